"""One parser child as the pool sees it: started, asked, watched, killed, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import structlog
from pydantic import ValidationError

from penstock.errors import ParserCrashed, ServiceUnavailable, error_with_code
from penstock.models import Value
from penstock.parsing.frames import (
    ANSWER,
    LENGTH,
    MAX_FRAME_BYTES,
    Answer,
    ParseRequest,
    Ready,
    Refused,
    Setup,
    frame_of,
)

log = structlog.get_logger()

CHILD_COMMAND = (sys.executable, "-P", "-m", "penstock.parsing.child")
"""-P: without it the temporary folder, where hostile files are unpacked, would be on the import path."""
START_SECONDS = 60
REAP_SECONDS = 5
LOGGED_BYTES = 16 * 1024
"""Of what a child prints about one file; the rest is read and dropped."""
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TESSDATA_PREFIX")
"""What of the environment a child gets. All else stays here: a hijacked parser must find no secret."""


class ChildProcess:
    """A warm child. One life: once `kill` was called it stays dead."""

    def __init__(self, process: asyncio.subprocess.Process, *, folder: Path) -> None:
        self._process = process
        self._log = asyncio.create_task(self._log_prints())
        self._printed = 0
        self._seen: psutil.Process | None = None
        self._reaping: asyncio.Task[None] | None = None
        self.files = 0
        """Files that it was asked to read."""
        self.warm_bytes = 0
        """Memory before the first file."""
        self.folder = folder

    @classmethod
    async def start(cls, command: Sequence[str], *, folder: Path) -> ChildProcess:
        """A new child; `warm_up` comes next. Must not be cancelled: the process could be left without an owner."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env=_environment(folder),
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceUnavailable(f"No parser child could be started: {error}") from error
        return cls(process, folder=folder)

    async def warm_up(self, setup: Setup) -> None:
        """Return when the child is contained and can read files. Raises what it says keeps it from that."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.ask(setup)
                answer = await self.answer()
        except (TimeoutError, EOFError) as error:
            raise ServiceUnavailable("A parser child does not start; the debug log has what it printed.") from error
        if isinstance(answer, Refused):
            raise error_with_code(answer.code, answer.message)
        self.warm_bytes = self.memory_bytes()
        given_up = answer.given_up if isinstance(answer, Ready) else []
        log.debug("parser child ready", pid=self.pid, given_up=given_up, memory=self.warm_bytes)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    @property
    def is_dismissed(self) -> bool:
        """Whether its end was ordered by `kill`, not caused by a file."""
        return self._reaping is not None

    async def begin(self, request: ParseRequest) -> None:
        self.files += 1
        self._printed = 0
        await self.ask(request)

    async def ask(self, value: Value) -> None:
        """Send a frame. A child that is gone shows in the answer, not here."""
        assert self._process.stdin
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(frame_of(value))
            await self._process.stdin.drain()

    async def answer(self) -> Answer:
        """The next frame. Raises `EOFError` where the child has ended, `ParserCrashed` where it talks nonsense."""
        assert self._process.stdout
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ParserCrashed(f"The parser announced an answer of {length} bytes; the file is probably hostile.")
        body = await self._process.stdout.readexactly(length)
        try:
            return ANSWER.validate_json(body)
        except ValidationError as error:
            raise ParserCrashed("The parser gave an answer that is none; the file is probably hostile.") from error

    def memory_bytes(self, *, descendants: bool = False) -> int:
        """Resident memory, with that of the programs it started if asked for; 0 where the child has ended."""
        try:
            if self._seen is None:  # to find a process is dearer than to look at it
                self._seen = psutil.Process(self.pid)
            family = [self._seen, *(self._seen.children(recursive=True) if descendants else ())]
            return sum(member.memory_info().rss for member in family)
        except psutil.Error:
            return 0

    def kill_now(self) -> None:
        """Kill the child and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """Kill and reap. Who is cancelled here leaves the reaping to go on."""
        self.kill_now()
        if self._reaping is None:
            self._reaping = asyncio.create_task(self._reap())
        await asyncio.shield(self._reaping)

    async def _reap(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        # Reading to the end is what lets asyncio close the pipes. Bounded: a program that the child started and
        # that left its process group may hold them open.
        rest = asyncio.create_task(self._process.stdout.read())
        _, pending = await asyncio.wait([rest, self._log], timeout=REAP_SECONDS)
        for task in pending:
            task.cancel()
        await self.ended()

    async def ended(self) -> str:
        """Wait for the end and tell how it came: the signal's name or the exit status."""
        status = await self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        return next((known.name for known in signal.Signals if known == -status), f"signal {-status}")

    async def _log_prints(self) -> None:
        assert self._process.stderr
        while printed := await self._process.stderr.read(4096):
            room = max(LOGGED_BYTES - self._printed, 0)
            self._printed += len(printed)
            for line in printed[:room].decode(errors="replace").splitlines():
                log.debug("parser printed", pid=self.pid, line=line)


def _environment(folder: Path) -> dict[str, str]:
    """Few variables, one thread each for the libraries: the pool has one child for each core."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    threads = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
    return kept | own | threads
