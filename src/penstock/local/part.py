"""One part of Penstock as a process that is watched: started, heard, and started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from penstock.errors import SetupError
from penstock.local.part_log import OUR_READY, OUR_WARNING, PartLog
from penstock.local.program import Program
from penstock.local.terminal import Terminal

POLL_SECONDS = 0.05
SLOW_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A part that tried for so long to become ready may die again without being held for one that cannot live."""
BRIEF_SECONDS = 5.0
"""What dies so soon after it was ready may die of what it does first: it waits a little, too."""
MAX_START_DEATHS = 6
SETUP_STATUSES = range(2, 8)
"""What a role exits with when this installation cannot start as it is: see SetupError in errors.py."""
MAX_LINE_BYTES = 1 << 20
LAST_WORDS_SECONDS = 1.0


class Stage(IntEnum):
    """The order in which parts stop; they start the other way round."""

    API = 1
    WORKER = 2
    SERVER = 3


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How to run one part."""

    name: str
    stage: Stage
    program: Program
    stop_seconds: float
    """Wait so long for a clean stop, then kill."""
    detail: str = ""
    """Said beside `ready`: where the part is to be found."""
    is_ready: Callable[[int], bool] | None = None
    """Asks the process with this number, and may block; None: the part says `ready` in its log."""
    before_start: Callable[[], None] | None = None
    """Tidies up behind a run that was killed; may block."""
    warning: re.Pattern[bytes] = OUR_WARNING
    """The lines of its log that belong on the terminal as well."""
    must_start: bool = True
    """Whether everything ends where it cannot start; else it is tried again and again while the others serve."""


@dataclass(slots=True)
class Deaths:
    """The deaths of a part in a row, and how long to wait after each.

    What worked and was killed starts again at once, however often that happens: who kills it is none
    of its business. Only what dies of itself is held back, and little where it has worked before: it may be
    killed again and again while it starts, and others wait to take over what it held.
    """

    unready: int = 0
    """In a row, before the part was ready."""
    worked: bool = False
    """Whether it was ever ready."""
    brief: int = 0
    """In a row, within `BRIEF_SECONDS` of being ready."""

    def count(self, *, lived: float, ready_for: float | None) -> float:
        """Count a death after `lived` seconds, of which ready for so many; return the seconds to wait."""
        if ready_for is None:
            self.unready = 1 if lived > STEADY_SECONDS else self.unready + 1
            return _doubled(self.unready, first=1.0, most=2.0 if self.worked else 15.0)
        self.unready, self.worked = 0, True
        self.brief = self.brief + 1 if ready_for < BRIEF_SECONDS else 0
        return _doubled(self.brief, first=0.5, most=2.0)


def _doubled(deaths: int, *, first: float, most: float) -> float:
    """None after the first death, then `first`, twice that, and so on up to `most`."""
    return 0.0 if deaths <= 1 else min(first * 2.0 ** min(deaths - 2, 10), most)


class Part:
    """Runs a plan until it is told to stop."""

    def __init__(
        self,
        plan: PartPlan,
        *,
        log: PartLog,
        terminal: Terminal,
        inherited: tuple[int, ...],
        on_start: Callable[[str, int], None],
        began: float | None = None,
    ) -> None:
        self.plan = plan
        self.ready = asyncio.Event()
        """Set from the first time that the part was ready."""
        self._log = log
        self._terminal = terminal
        self._inherited = inherited
        self._on_start = on_start
        self._began = time.monotonic() if began is None else began
        self._said_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._ready_at: float | None = None
        """Of this life of the part."""
        self._deaths = Deaths()

    async def keep_running(self) -> None:
        """Run the part, and again whenever it ends, until `stop`. Raises `SetupError` when it cannot start at all."""
        while not self._stopping.is_set():
            started = time.monotonic()
            status = await self._run_once()
            if self._stopping.is_set():
                break
            ended = time.monotonic()
            ready_for = None if self._ready_at is None else ended - self._ready_at
            delay = self._deaths.count(lived=ended - started, ready_for=ready_for)
            self._give_up_if_hopeless(status)
            await self._pause(status, delay)
        self._log.close()

    async def stop(self, running: asyncio.Task[None]) -> None:
        """Ask for a clean stop, wait for it, kill what does not heed. `running` is the task of `keep_running`."""
        self._stopping.set()
        self._signal(self.plan.program.stop_signal)
        done, _ = await asyncio.wait({running}, timeout=self.plan.stop_seconds)
        if not done:
            self._terminal.part(self.plan.name, f"still at work after {self.plan.stop_seconds:.0f} s: killed")
            self.kill()
            await asyncio.wait({running})

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop; it may still drain."""
        return self._stopping.is_set()

    def kill(self) -> None:
        """End the part and its children at once, for good."""
        self._stopping.set()
        if self._process is not None:
            _kill_group(self._process.pid)

    def last_lines(self) -> str:
        """The end of the log, for a message."""
        return "\n".join(self._log.last_lines(15))

    async def _run_once(self) -> int:
        if self.plan.before_start is not None:
            await asyncio.to_thread(self.plan.before_start)
        process, lines = await self._launch()
        announcing = asyncio.create_task(self._announce(process.pid))
        try:
            return await process.wait()
        finally:
            self._process = None
            announcing.cancel()
            _kill_group(process.pid)  # parser children that outlived their worker
            await lines.finished(LAST_WORDS_SECONDS)

    async def _launch(self) -> tuple[asyncio.subprocess.Process, _Lines]:
        self._said_ready.clear()
        self._ready_at = None
        # A pipe of our own: asyncio's would have `wait` last until grandchildren, too, have closed it.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.plan.program.tethered(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=self.plan.program.environment,
                start_new_session=True,  # the terminal's Ctrl-C is ours to pass on, in order
                pass_fds=self._inherited,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        lines = _Lines(self._hear)
        await asyncio.get_running_loop().connect_read_pipe(lambda: lines, os.fdopen(reading, "rb"))
        self._process = process
        self._on_start(self.plan.name, process.pid)
        if self._stopping.is_set():  # while we were starting it
            self._signal(self.plan.program.stop_signal)
        return process, lines

    def _hear(self, line: bytes) -> None:
        self._log.write(line)
        if OUR_READY.search(line):
            self._said_ready.set()
        if self.plan.warning.search(line):
            self._terminal.part(self.plan.name, line.decode(errors="replace"))

    async def _announce(self, pid: int) -> None:
        while not await self._is_ready_within(SLOW_SECONDS, pid):
            self._terminal.part(self.plan.name, f"not ready after {self._age():.0f} s, see {self._log.path}")
        self._ready_at = time.monotonic()
        self._terminal.part(self.plan.name, f"ready in {self._age():.1f} s   {self.plan.detail}".rstrip())
        self.ready.set()

    async def _is_ready_within(self, seconds: float, pid: int) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._become_ready(pid)
                return True
        return False

    async def _become_ready(self, pid: int) -> None:
        if self.plan.is_ready is None:
            await self._said_ready.wait()
            return
        while not await asyncio.to_thread(self.plan.is_ready, pid):
            await asyncio.sleep(POLL_SECONDS)

    def _age(self) -> float:
        return time.monotonic() - self._began

    def _give_up_if_hopeless(self, status: int) -> None:
        if self.ready.is_set() or not self.plan.must_start:
            return
        is_final = self.plan.stage is not Stage.SERVER and status in SETUP_STATUSES
        if is_final or self._deaths.unready >= MAX_START_DEATHS:
            tries = "" if is_final else f" ({self._deaths.unready} tries)"
            error = SetupError(
                f"{self.plan.name} does not start{tries}. The end of {self._log.path}:\n{self.last_lines()}"
            )
            error.exit_status = status if is_final else SetupError.exit_status
            raise error

    async def _pause(self, status: int, delay: float) -> None:
        when = f"in {delay:g} s" if delay else "now"
        self._terminal.part(self.plan.name, f"ended {_how(status)}; starting it again {when}, see {self._log.path}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        self._began = time.monotonic()

    def _signal(self, signal_number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal_number)


class _Lines(asyncio.Protocol):
    """Cuts what a pipe brings into lines."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._closed = asyncio.Event()

    async def finished(self, seconds: float) -> None:
        """Wait until the last line is read; not for ever, since whoever inherited the pipe may live on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if self._rest:
            self._on_line(self._rest)
        self._closed.set()


def _how(status: int) -> str:
    if status >= 0:
        return f"with exit status {status}"
    return f"by {signal.Signals(-status).name}" if -status in set(signal.Signals) else f"by signal {-status}"


def _kill_group(pid: int) -> None:
    """Every part leads a session, and so a process group, of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
