"""/health and /metrics: for whoever starts, restarts, routes and watches."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from penstock.api.dependencies import ReadinessNow, RequestMetricsNow
from penstock.api.metrics import Snapshot, exposition
from penstock.api.probes import Probe, T
from penstock.errors import PenstockError

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "not_ready", "draining"]
    checks: dict[str, str]


@router.get("/health/live", summary="Whether the process runs", operation_id="get_live")
async def get_live() -> Live:
    """Restart it if this does not answer."""
    return Live()


@router.get(
    "/health/ready",
    summary="Whether everything that the API needs answers",
    operation_id="get_ready",
    responses={
        503: {"model": Ready, "description": "Something does not, as `checks` says, or the API is about to stop"}
    },
)
async def get_ready(response: Response, readiness: ReadinessNow) -> Ready:
    """Send it requests while this is 200."""
    checks = await readiness.checks()
    if not readiness.draining and all(verdict == "ok" for verdict in checks.values()):
        return Ready(status="ready", checks=checks)
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return Ready(status="draining" if readiness.draining else "not_ready", checks=checks)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="get_metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(readiness: ReadinessNow, requests: RequestMetricsNow) -> Response:
    """Answers also while a service is away, and says so."""
    files, queues = await asyncio.gather(_or_none(readiness.file_counts), _or_none(readiness.backlog))
    return Response(
        exposition(requests, Snapshot(files, queues)), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


async def _or_none(probe: Probe[T]) -> T | None:
    try:
        return await probe.answer()
    except PenstockError:
        return None
