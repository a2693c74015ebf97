"""What OpenAPI cannot find out from annotations."""

from __future__ import annotations

from typing import Any

_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "name": {"type": "string", "description": "Unless the query says it; else the file's own."},
        "batch": {"type": "string", "format": "uuid"},
        "metadata": {"type": "string", "description": "A JSON object.", "examples": ['{"department": "pumps"}']},
        "file": {"type": "string", "format": "binary", "description": "Comes last."},
    },
}

UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {
            "name": "name",
            "in": "query",
            "description": "The File's name; keeps a folder-relative path.",
            "schema": {"type": "string", "maxLength": 1024},
            "example": "reports/2026/q3.pdf",
        },
        {
            "name": "batch",
            "in": "query",
            "description": "Groups the Files that are handed in together.",
            "schema": {"type": "string", "format": "uuid"},
        },
        {
            "name": "metadata",
            "in": "query",
            "description": "A JSON object, which search can filter by.",
            "schema": {"type": "string"},
            "example": '{"department": "pumps"}',
        },
    ],
}
"""The body of `POST /files` is read as a stream, so that FastAPI knows nothing of it."""
