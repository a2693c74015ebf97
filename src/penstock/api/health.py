"""/health: for whoever starts, restarts and routes."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from penstock.api.dependencies import ReadinessNow

router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be served."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


@router.get("/live", summary="Whether the process runs", operation_id="get_live")
async def get_live() -> Live:
    """Restart it if this does not answer."""
    return Live()


@router.get(
    "/ready",
    summary="Whether everything that the API needs answers",
    operation_id="get_ready",
    responses={503: {"model": Ready, "description": "Something does not; `checks` says what"}},
)
async def get_ready(response: Response, readiness: ReadinessNow) -> Ready:
    """Send it requests while this is 200."""
    checks = await readiness.checks()
    if all(verdict == "ok" for verdict in checks.values()):
        return Ready(status="ready", checks=checks)
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return Ready(status="not_ready", checks=checks)
