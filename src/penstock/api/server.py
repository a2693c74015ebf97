"""The process: a socket, uvicorn on it, and what happens at SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from types import FrameType

import structlog
import uvicorn

from penstock.api.app import create_app
from penstock.api.opening import Opening
from penstock.errors import PortTaken
from penstock.settings import ApiSettings, Settings

log = structlog.get_logger()

BACKLOG = 2048


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish the requests at work, within the drain limit.

    Raises `PortTaken`, and whatever other `SetupError` keeps the services from being opened.
    """
    with closing(listen(settings.api)) as listening:
        factory = uvicorn.Config(app="", loop="auto", log_config=None).get_loop_factory()  # uvloop where there is one
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(settings, listening))


def listen(settings: ApiSettings) -> socket.socket:
    """A socket that queues connections from now on. Raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Another program listens on port {settings.port}; choose one with PENSTOCK_API_PORT or --port."
        else:
            message = f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}."
        raise PortTaken(message) from error


async def serve(settings: Settings, listening: socket.socket) -> None:
    """Answer on `listening` until told to stop, while the services are opened in the background."""
    opening = Opening(settings)
    server = _Server(_uvicorn_config(settings, opening), opening)
    holding = asyncio.create_task(opening.hold(lambda: log.info("ready", url=_url(listening))))
    holding.add_done_callback(lambda _: server.stop())  # it only ends by itself when there is no use in going on
    try:
        await server.serve(sockets=[listening])
    finally:
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding


def _uvicorn_config(settings: Settings, opening: Opening) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(opening),
        http="httptools",
        ws="none",
        lifespan="off",  # `serve` opens and closes
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.worker.drain_seconds),
    )


class _Server(uvicorn.Server):
    """Ends by returning. uvicorn's own kills the process with the signal it got, before the services are closed."""

    def __init__(self, config: uvicorn.Config, opening: Opening) -> None:
        super().__init__(config)
        self._opening = opening

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Whoever sends us requests hears first that we go; a second signal, or Ctrl-C, does not wait for that."""
        linger = self._opening.settings.api.linger_seconds
        if sig != signal.SIGTERM or self._opening.draining or not linger:
            self._opening.draining = True
            super().handle_exit(sig, frame)
            return
        self._opening.draining = True
        log.info("draining", seconds=linger)
        asyncio.get_running_loop().call_later(linger, self.stop)

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
