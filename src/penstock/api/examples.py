"""What OpenAPI cannot find out from annotations."""

from __future__ import annotations

from typing import Any

FILE: dict[str, Any] = {
    "file_id": "6f1c2a0e-5d0b-4a43-9c1e-3f2b7d9a8c55",
    "owner": "default",
    "name": "reports/2026/q3.pdf",
    "object_key": "files/6f1c2a0e-5d0b-4a43-9c1e-3f2b7d9a8c55",
    "media_type": None,
    "language": None,
    "size": 482133,
    "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "status": "queued",
    "generation": 1,
    "active_generation": None,
    "page_count": None,
    "chunk_count": 0,
    "embedded_count": 0,
    "token_count": 0,
    "coverage": None,
    "unread_pages": [],
    "error": None,
    "metadata": {"department": "pumps"},
    "created_at": "2026-11-23T17:00:00.000000Z",
    "updated_at": "2026-11-23T17:00:00.000000Z",
    "settled_at": None,
}
COMPLETE_FILE: dict[str, Any] = FILE | {
    "media_type": "application/pdf",
    "language": "english",
    "status": "complete",
    "active_generation": 1,
    "page_count": 12,
    "chunk_count": 57,
    "embedded_count": 57,
    "token_count": 9841,
    "coverage": 0.9993,
    "unread_pages": [3, 7, 8, 9],
    "updated_at": "2026-11-23T17:00:04.000000Z",
    "settled_at": "2026-11-23T17:00:04.000000Z",
}
HIT: dict[str, Any] = {
    "score": 3.27,
    "file_id": FILE["file_id"],
    "name": FILE["name"],
    "chunk_id": "4f0c6e1d-7a58-8b1e-9d7f-0b6f0c6f2a11",
    "index": 8,
    "text": "Prime the pump by opening the bleed valve until water runs without bubbles.",
    "pages": [3, 3],
    "char_span": [6120, 6195],
    "headings": ["Operation", "Starting"],
    "context": "q3 > Operation > Starting",
    "metadata": {},
    "highlights": [[0, 5], [10, 14]],
}


def answered(status: int, example: Any) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` entry of a success, with an example of it."""
    return {status: {"content": {"application/json": {"example": example}}}}


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
