"""The Worker's side of its heartbeat: starts that process, tells it what is worked on, replaces it when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import structlog

from penstock.tasks import beside

log = structlog.get_logger()

COMMAND = (sys.executable, "-P", "-m")
"""-P: a file in the user's folder must not pass for one of our modules."""
PAUSE_SECONDS = 0.5
"""Before another try, where the process does not start or dies at once."""
MOST_BEAT_SECONDS = 2.0
"""Between two renewals of the leases."""


class Keeper:
    """Keeps leases alive while `running`, from a process of its own. Its methods cost one write to a pipe."""

    def __init__(self, module: str, *, every: float, **first: object) -> None:
        """`module` is the broker's heartbeat, which is told `first`; it renews leases `every` so many seconds."""
        self._module = module
        self._first = {**first, "every": every}
        self._until: dict[str, float] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._begun = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The heartbeat beats while the block runs."""
        async with beside(self._keep_running()):
            await self._begun.wait()
            yield

    def hold(self, message_id: str, seconds: float) -> None:
        """Renew the lease of this message from now on, for at most so long."""
        self._until[message_id] = time.monotonic() + seconds
        self._tell({"hold": message_id, "seconds": seconds})

    def release(self, message_id: str) -> None:
        """Renew it no more."""
        if self._until.pop(message_id, None) is not None:
            self._tell({"release": message_id})

    def _tell(self, order: dict[str, object]) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _keep_running(self) -> None:
        while True:
            began = time.monotonic()
            try:
                status = await self._run_once()
            except OSError as error:  # no memory, no processes: leases run out meanwhile, and work goes to others
                log.warning("the heartbeat cannot be started; trying again", error=str(error))
            else:
                log.warning("the heartbeat ended; another one is started", status=status)
            self._begun.set()
            if time.monotonic() - began < PAUSE_SECONDS:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for the Worker, which needs its leases while it drains
        )
        self._process = process
        try:
            self._tell({**self._first, "parent": os.getpid()})
            for message_id, until in self._until.items():
                self._tell({"hold": message_id, "seconds": until - time.monotonic()})
            assert process.stdout is not None
            await process.stdout.read(1)  # it beats; until then a lease could run out at once
            self._begun.set()
            return await process.wait()
        finally:
            self._process = None
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def beat_seconds(lease_seconds: float) -> float:
    """How long there is between two renewals of such leases: three may fail."""
    return min(MOST_BEAT_SECONDS, lease_seconds / 4)
