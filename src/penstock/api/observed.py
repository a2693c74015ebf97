"""Around every request: its time, its status, and an answer to what nobody foresaw."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock import tracing
from penstock.api.metrics import RequestMetrics
from penstock.api.problems import internal_error

log = structlog.get_logger()

UNKNOWN_ROUTE = "(unknown)"
"""Of all addresses that lead nowhere: each as a label of its own would fill the metrics' memory."""


class Observed:
    """An ASGI application that counts the requests of another, and catches what escapes it."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with tracing.called(scope["headers"]):
                await self._app(scope, receive, noting_send)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer has begun: only a broken connection tells the client that it is not whole
            await internal_error()(scope, receive, noting_send)
        finally:
            self._metrics.observe(
                method=scope["method"] if route_of(scope) != UNKNOWN_ROUTE else "ANY",
                route=route_of(scope),
                status=status,
                seconds=time.perf_counter() - began,
            )


def route_of(scope: Scope) -> str:
    """The route's template, such as /files/{file_id}."""
    return getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
