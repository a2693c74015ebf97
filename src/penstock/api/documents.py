"""/metrics, /docs, /asyncapi: what machines and people read about the API itself."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from penstock.api import reference
from penstock.api.dependencies import ReadinessNow, RequestMetricsNow, SettingsNow
from penstock.api.metrics import Snapshot, exposition
from penstock.api.probes import Probe, T
from penstock.errors import PenstockError
from penstock.queues import asyncapi

router = APIRouter()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="get_metrics",
    tags=["health"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(readiness: ReadinessNow, requests: RequestMetricsNow) -> Response:
    """Answers also while a service is away, and says so."""
    files, queues = await asyncio.gather(_or_none(readiness.file_counts), _or_none(readiness.queues))
    return Response(
        exposition(requests, Snapshot(files, queues)), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


async def _or_none(probe: Probe[T]) -> T | None:
    try:
        return await probe.answer()
    except PenstockError:
        return None


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """This API, to read. Swagger UI would load its scripts from a server that many installations cannot reach."""
    return HTMLResponse(reference.page(request.app.openapi()))


@router.get("/asyncapi", include_in_schema=False)
async def get_asyncapi_page(settings: SettingsNow) -> HTMLResponse:
    """The messages on the queues, to read."""
    document = asyncapi.document(settings.queue.url.get_secret_value())
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
    return Response(asyncapi.document(settings.queue.url.get_secret_value()), media_type="application/json")
