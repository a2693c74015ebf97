"""`/health/live`, `/health/ready` and `/metrics` of a Worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.settings import Settings
from penstock.workers.health import Health


@asynccontextmanager
async def serve_health(health: Health, settings: Settings) -> AsyncGenerator[None]:
    """Answer on the Worker's health port while the block runs."""
    config = uvicorn.Config(
        application(health),
        host=settings.api.host,
        port=settings.worker.health_port,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """A server that leaves the signals to the Worker it runs beside."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def application(health: Health) -> Starlette:
    """The three pages."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        status = health.status
        return JSONResponse({"status": status, "role": health.role}, status_code=200 if status == "ready" else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)])
