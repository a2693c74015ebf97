"""/docs and /asyncapi: what people and tools read about the API and its queues."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from penstock.api import reference
from penstock.api.dependencies import SettingsNow
from penstock.queues import asyncapi

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """This API, to read. Swagger UI would load its scripts from a server that many installations cannot reach."""
    return HTMLResponse(reference.page(request.app.openapi()))


@router.get("/asyncapi", include_in_schema=False)
async def get_asyncapi_page(settings: SettingsNow) -> HTMLResponse:
    """The messages on the queues, to read."""
    document = asyncapi.document(settings.queue)
    return HTMLResponse(reference.messages_page(json.loads(document)))


@router.get(
    "/asyncapi.json",
    summary="The messages on the queues, as AsyncAPI",
    operation_id="get_asyncapi",
    tags=["queues"],
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def get_asyncapi(settings: SettingsNow) -> Response:
    """For generators and validators."""
    return Response(asyncapi.document(settings.queue), media_type="application/json")
