"""The parser pool: files are read in children that a hostile file may crash, hang or bloat.

async with pool.parse(path, name=file.name, text_path=text) as parse:
    async for chunks in parse.batches():
        await record(chunks)
    parsed = parse.result
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from penstock.chunking.recipe import ChunkRecipe
from penstock.errors import (
    FileError,
    ParserCrashed,
    ParserError,
    ParserMemory,
    ParserTimeout,
    PenstockError,
    ServiceUnavailable,
    WorkFolderFull,
    error_with_code,
)
from penstock.models import NewChunk
from penstock.parsing.frames import (
    TEXT_NAME,
    Answer,
    Finished,
    MadeChunks,
    ParseRequest,
    Recognising,
    Refused,
    Setup,
)
from penstock.parsing.process import CHILD_COMMAND, ChildProcess
from penstock.processors import available_processors
from penstock.settings import ParsingSettings
from penstock.tasks import beside
from penstock.work_folders import full, has_little_room, work_folder

log = structlog.get_logger()

MEBIBYTE = 1024 * 1024
WATCH_SECONDS = 0.025
"""A child that fills memory at 4 GB/s is 100 MB over its limit when it is seen."""
DESCENDANTS_EVERY = 40
"""Finding what a child has started means reading all of /proc: once a second is enough."""
PAGE_HANGS_SECONDS = 180
"""Three times what the child allows itself for recognising the text of a page."""
SLOW_SECONDS = 2.0
"""A file that takes longer is slow: where others wait, one more child lets them pass, for as long as it takes."""
FILES_OF_A_CHILD = 200
"""Then a fresh one: native libraries leak."""
GROWTH_BYTES = 256 * MEBIBYTE
"""A child that holds so much more than when it was fresh is replaced as well."""

CLOSED = "The parser pool is closed; the file is parsed again elsewhere."


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a parse found out about a file."""

    media_type: str
    language: str
    """The text search configuration that suits its text."""
    page_count: int | None
    chunk_count: int
    character_count: int
    token_count: int
    coverage: float | None = None
    """Of the words that an independent count finds, those that are in the text; None without such a count."""
    supplemented: int = 0
    """Words that only the independent count brought."""
    unread_pages: Sequence[int] = ()
    """The first 1000 that show something of which no text came, or not all."""


class ParserPool:
    """Warm children that parse one file each at a time; who comes first is served first.

    Two files that hang would else hold up all others until their time is over. So a slow one counts no longer:
    another child takes its place, up to twice as many children as usual. It keeps its share of the processor: with
    less, a busy machine starved it, and it was in the way for ten times as long.
    """

    def __init__(
        self,
        settings: ParsingSettings,
        recipe: ChunkRecipe,
        folder: Path | None = None,
        *,
        command: Sequence[str] = CHILD_COMMAND,
    ) -> None:
        """`folder` is where each child gets its temporary folder; by default one of the system's."""
        self._settings = settings
        self._setup = Setup(
            recipe=recipe,
            memory_mb=settings.memory_mb,
            max_text_mb=settings.max_text_mb,
            ocr_data=settings.ocr_data,
            ocr_languages=settings.ocr_languages,
        )
        self._command = command
        self._given_folder = folder
        self._own_folder = contextlib.ExitStack()
        self._seats: list[_Seat] = []
        self._free: asyncio.Queue[_Seat] = asyncio.Queue()
        self._children_folder = Path()
        self._numbers = itertools.count()
        self._waiting = 0
        self._overtaken = set[_Seat]()
        """Seats of slow files: each has a substitute among the others."""
        self._spare: list[_Seat] = []
        """Former substitutes, warm, for the next time."""

    async def start(self) -> None:
        """Start the children and wait until they are warm. Raises what keeps them from starting."""
        self._free = asyncio.Queue()
        self._children_folder = self._folder()
        self._seats = [self._new_seat() for _ in range(self._width)]
        try:
            await asyncio.gather(*(seat.child() for seat in self._seats))
        except BaseException:
            await self.close()
            raise
        for seat in self._seats:
            self._free.put_nowait(seat)

    async def close(self) -> None:
        """Kill the children, whatever they do, and delete their folders."""
        await asyncio.gather(*(seat.close() for seat in self._seats))
        self._seats = []
        self._spare = []
        self._own_folder.close()

    @property
    def _width(self) -> int:
        return self._settings.children or available_processors()

    def _new_seat(self) -> _Seat:
        folder = self._children_folder / f"child-{os.getpid()}-{next(self._numbers)}"
        return _Seat(self._command, setup=self._setup, folder=folder)

    def _folder(self) -> Path:
        if self._given_folder is not None:
            return self._given_folder.absolute()
        return self._own_folder.enter_context(work_folder("parsing"))

    @asynccontextmanager
    async def parse(self, path: Path, *, name: str, text_path: Path) -> AsyncGenerator[Parse]:
        """Parse the file at `path` in a child of its own for as long as the context lasts.

        The extracted text goes to `text_path`, as UTF-8. Leaving early kills the child.
        """
        seat = await self._free_seat()
        parse: Parse | None = None
        watch: asyncio.Task[None] | None = None
        try:
            child = await seat.child()
            watch = asyncio.create_task(self._let_others_pass(seat))
            parse = Parse(child, self._settings, path=path, name=name, text_path=text_path)
            async with parse.running():
                yield parse
        finally:
            if watch is not None:
                watch.cancel()
            self._take_back(seat, keep=parse is not None and parse.child_is_sound)

    async def _free_seat(self) -> _Seat:
        self._waiting += 1
        try:
            return await self._free.get()
        finally:
            self._waiting -= 1

    async def _let_others_pass(self, seat: _Seat) -> None:
        """Where the file turns out to be slow and others wait, give them another child."""
        await asyncio.sleep(SLOW_SECONDS)
        # A former substitute may be getting ready: it is waited for, or there would be more and more of them.
        while not self._waiting or not (self._spare or len(self._seats) < 2 * self._width):
            await asyncio.sleep(SLOW_SECONDS / 4)
        self._overtaken.add(seat)
        if self._spare:
            self._free.put_nowait(self._spare.pop())
            return
        substitute = self._new_seat()
        self._seats.append(substitute)
        substitute.prepare().add_done_callback(lambda _: self._free.put_nowait(substitute))

    def _take_back(self, seat: _Seat, *, keep: bool) -> None:
        overtaken = seat in self._overtaken
        self._overtaken.discard(seat)
        let_in = self._spare.append if overtaken else self._free.put_nowait  # its substitute has its place
        preparing = seat.leave(keep=keep)
        if preparing is None:
            let_in(seat)
        else:  # the next file goes to a child that is ready, if there is one
            preparing.add_done_callback(lambda _: let_in(seat))


class Parse:
    """One file in one child."""

    def __init__(
        self, child: ChildProcess, settings: ParsingSettings, *, path: Path, name: str, text_path: Path
    ) -> None:
        self._child = child
        self._settings = settings
        self._name = name
        self._request = ParseRequest(path=str(path.absolute()), name=name)
        self._text_path = text_path
        self._time = _TimeLeft(settings)
        self._memory_over: int | None = None
        self._chunk_count = 0
        self._result: ParsedFile | None = None
        self.language: str | None = None
        """Of the text so far, once `EARLY_CHUNKS` are made: that of a shorter file is in the result only."""
        self.child_is_sound = False
        """Whether the child has answered to the end and may read another file."""

    @property
    def result(self) -> ParsedFile:
        """What was found, once `batches` is through."""
        assert self._result, "`result` is there when `batches` has ended"
        return self._result

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Ask the child and watch its memory meanwhile."""
        async with beside(self._watch_memory()):
            await self._child.begin(self._request)
            yield

    async def batches(self) -> AsyncIterator[list[NewChunk]]:
        """The Chunks in order, in lists of at most 64.

        Raises a `FileError` where the file is at fault, `ParserTimeout`, `ParserMemory` or `ParserCrashed`
        where the child died of it, `ServiceUnavailable` where the pool was closed. Time counts while the child
        is waited for, not while the caller is busy.
        """
        while True:
            match await self._next_answer():
                case MadeChunks(chunks=chunks, language=language):
                    self._check_order(chunks)
                    self.language = self.language or language
                    self._chunk_count += len(chunks)
                    yield chunks
                case Recognising(page=page):
                    self._time.turn_to(page)
                case Finished() as finished:
                    await asyncio.to_thread(self._take_text)
                    self._result = self._parsed(finished)
                    self.child_is_sound = True
                    return
                case Refused() as refused:
                    raise self._error_of(refused)
                case other:
                    raise ParserCrashed(f"{self._name}: the parser answered out of turn ({other.kind}).")

    async def _next_answer(self) -> Answer:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._time.left):
                return await self._child.answer()
        except TimeoutError as error:
            raise ParserTimeout(f"{self._name}: {self._time.problem}") from error
        except EOFError as error:
            raise await self._death() from error
        except ParserCrashed as error:
            raise ParserCrashed(f"{self._name}: {error.message}") from error
        finally:
            self._time.spend(time.monotonic() - began)

    def _take_text(self) -> None:
        """The child can write in its own folder only, so the text is fetched from there."""
        written = self._child.folder / TEXT_NAME
        # A link in its place would hand out whatever file of ours it points to.
        if written.is_symlink() or not written.is_file():
            raise ParserCrashed(f"{self._name}: the parser's text is no file; the file is probably hostile.")
        shutil.move(written, self._text_path)

    def _check_order(self, chunks: list[NewChunk]) -> None:
        expected = range(self._chunk_count, self._chunk_count + len(chunks))
        if [chunk.index for chunk in chunks] != list(expected):
            raise ParserCrashed(f"{self._name}: the parser's Chunks are out of order; the file is probably hostile.")

    async def _death(self) -> PenstockError:
        """Why the child ended in the middle of the file."""
        if self._child.is_dismissed:
            return ServiceUnavailable(f"{self._name}: {CLOSED}")
        self._child.kill_now()  # it may have closed its pipe and live on
        end = await self._child.ended()
        if self._memory_over is not None:
            return ParserMemory(
                f"{self._name}: parsing needed more than {self._settings.memory_mb} MiB of memory; "
                "raise PENSTOCK_PARSING_MEMORY_MB or split the file."
            )
        return ParserCrashed(f"{self._name}: the parser crashed on the file ({end}); the file is probably damaged.")

    async def _watch_memory(self) -> None:
        limit = self._settings.memory_mb * MEBIBYTE
        looks = 0
        while self._memory_over is None:
            used = self._child.memory_bytes(descendants=looks % DESCENDANTS_EVERY == DESCENDANTS_EVERY - 1)
            if used > limit:
                self._memory_over = used
                self._child.kill_now()
            looks += 1
            await asyncio.sleep(WATCH_SECONDS)

    def _parsed(self, finished: Finished) -> ParsedFile:
        return ParsedFile(
            media_type=finished.media_type,
            language=finished.language,
            page_count=finished.page_count,
            chunk_count=self._chunk_count,
            character_count=finished.character_count,
            token_count=finished.token_count,
            coverage=finished.coverage,
            supplemented=finished.supplemented,
            unread_pages=tuple(finished.unread_pages),
        )

    def _error_of(self, refused: Refused) -> PenstockError:
        error = error_with_code(refused.code, refused.message)
        # After a `ParserError` the child's memory is in nobody knows which state.
        self.child_is_sound = isinstance(error, FileError)
        if isinstance(error, WorkFolderFull) or has_little_room(self._child.folder):
            # Some libraries call a file damaged when they cannot write: it is read again when there is room.
            return self._without_room()
        if isinstance(error, (FileError, ParserError)):
            return error
        return ParserCrashed(f"{self._name}: the parser failed with {refused.code}: {refused.message}")

    def _without_room(self) -> PenstockError:
        """The disk is full; the file is to blame only where it has filled it."""
        self.child_is_sound = False
        limit = self._settings.max_text_mb
        if _bytes_in(self._child.folder) <= limit * MEBIBYTE:
            return full(self._child.folder)
        return ParserCrashed(f"{self._name}: reading it filled the disk with more than {limit} MiB of temporary files.")


class _TimeLeft:
    """What a file may still take: seconds for reading it, and others for recognising text in pictures of its pages.

    A scan of 200 pages honestly takes minutes. The child itself goes on to the next page after `PAGE_SECONDS`;
    where it does not, it hangs.
    """

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._reading = settings.timeout_seconds
        self._recognising = settings.ocr_timeout_seconds
        self._page: int | None = None
        self._of_page = 0.0

    def turn_to(self, page: int | None) -> None:
        """The child begins to recognise a page, or has ended it."""
        self._page = page
        self._of_page = PAGE_HANGS_SECONDS

    @property
    def left(self) -> float:
        return self._reading if self._page is None else min(self._recognising, self._of_page)

    def spend(self, seconds: float) -> None:
        if self._page is None:
            self._reading -= seconds
        else:
            self._recognising -= seconds
            self._of_page -= seconds

    @property
    def problem(self) -> str:
        """What to say where no time is left, after the file's name."""
        if self._page is None:
            return (
                f"parsing took longer than {self._settings.timeout_seconds:g} seconds; "
                "raise PENSTOCK_PARSING_TIMEOUT_SECONDS or split the file."
            )
        if self._of_page < self._recognising:
            return f"recognising the text on page {self._page} hangs; the file is probably hostile."
        return (
            f"recognising its text took longer than {self._settings.ocr_timeout_seconds:g} seconds; "
            "raise PENSTOCK_PARSING_OCR_TIMEOUT_SECONDS or split the file."
        )


class _Seat:
    """A place for a child; who dies is replaced while nobody waits."""

    def __init__(self, command: Sequence[str], *, setup: Setup, folder: Path) -> None:
        self._command = command
        self._setup = setup
        self._folder = folder
        self._child: ChildProcess | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._closed = False

    async def child(self) -> ChildProcess:
        """A child that is warm and idle. Raises `ServiceUnavailable` where none can be started."""
        if self._closed:
            raise ServiceUnavailable(CLOSED)
        if self._preparing is None and (self._child is None or self._child.returncode is not None):
            self.prepare()
        if (preparing := self._preparing) is not None:
            try:
                await asyncio.shield(preparing)
            finally:
                if preparing.done():
                    self._preparing = None  # so that the next file tries again
        if self._child is None:
            raise ServiceUnavailable(CLOSED)
        return self._child

    def leave(self, *, keep: bool) -> asyncio.Task[None] | None:
        """The child has done its file; return what makes the seat ready for the next, if anything must.

        Without `keep` the child is killed at once; a worn one is replaced as well.
        """
        if self._child is None or self._closed:
            return None
        if not keep:
            self._child.kill_now()
        replace = not keep or _is_worn(self._child)
        return self.prepare(replace=replace) if replace or any(self._folder.iterdir()) else None

    async def close(self) -> None:
        self._closed = True
        if self._child is not None:
            self._child.kill_now()
        if self._preparing is not None:  # ends soon: its child is dead, or finds the seat closed
            await asyncio.wait([self._preparing])
        if self._child is not None:
            await self._child.kill()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def prepare(self, *, replace: bool = True) -> asyncio.Task[None]:
        """What ends when a child is warm and idle, or cannot be started."""
        self._preparing = asyncio.create_task(self._make_ready(replace=replace))
        self._preparing.add_done_callback(self._log_failure)
        return self._preparing

    async def _make_ready(self, *, replace: bool) -> None:
        if replace and self._child is not None:
            await self._child.kill()
            self._child = None
        await asyncio.to_thread(_empty, self._folder)
        if self._child is None and not self._closed:
            self._child = await ChildProcess.start(self._command, folder=self._folder)
            await self._warm_up(self._child)

    async def _warm_up(self, child: ChildProcess) -> None:
        try:
            if self._closed:
                child.kill_now()
            await child.warm_up(self._setup)
        except BaseException:
            await child.kill()
            self._child = None
            raise

    def _log_failure(self, preparing: asyncio.Task[None]) -> None:
        """Who next wants the child gets the error as well; this is for a pool that nobody uses."""
        if not preparing.cancelled() and (error := preparing.exception()) is not None and not self._closed:
            log.warning("no parser child could be started", error=str(error))


def _is_worn(child: ChildProcess) -> bool:
    return child.files >= FILES_OF_A_CHILD or child.memory_bytes() - child.warm_bytes > GROWTH_BYTES


def _bytes_in(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _empty(folder: Path) -> None:
    """Delete what parsing left behind."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
