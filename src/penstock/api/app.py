"""Puts the routers together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from penstock.api import contents, direct, documents, files, hand_in, health, problems, queues, search
from penstock.api.metrics import RequestMetrics
from penstock.api.observed import Observed
from penstock.api.opening import Opening
from penstock.api.readiness import Readiness

DESCRIPTION = """\
Files in, searchable vectors out.

Hand a file in with `POST /files`, follow its `status` until it is `complete` or `failed`, then `POST /search`.

Every error is an RFC 9457 problem with a stable `code`. A list is `{"items": […], "next": cursor | null}`: ask
again with `cursor` until `next` is null. 503 says in `Retry-After` when to try again; nothing that was answered
with 202 is ever lost.
"""
TAGS = [
    {"name": "files", "description": "Documents that were handed in."},
    {"name": "search", "description": "Finding their Chunks."},
    {"name": "queues", "description": "Work that waits, and messages that were given up on."},
    {"name": "health", "description": "For whoever runs Penstock."},
]


class CoreApi(FastAPI):
    """FastAPI, whose document knows our problems too."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"].update(problems.schemas())
        return document


def create_app(opening: Opening) -> FastAPI:
    """The Core API on what `opening` opens; whoever calls this runs `opening.hold()`."""
    release = version("penstock")
    app = CoreApi(
        title="Penstock",
        version=release,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,  # `documents.py` has one that works offline
        redoc_url=None,
        redirect_slashes=False,  # a redirected upload would be sent twice
    )
    app.state.opening = opening
    app.state.readiness = Readiness(opening)
    app.state.request_metrics = RequestMetrics(release)
    app.add_middleware(Observed, metrics=app.state.request_metrics)
    problems.install(app)
    app.include_router(hand_in.stream_router)
    for resource in (hand_in, direct, files, contents, search, queues, health, documents):
        app.include_router(resource.router)
    return app
