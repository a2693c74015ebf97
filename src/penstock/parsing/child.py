"""A parser child: `python -m penstock.parsing.child`, started and watched by the pool.

Reads one file at a time: detect, read, chunk. Its frames go through copies of the pipes it was started
with, because native libraries print to file descriptors 1 and 2 whenever they like.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from penstock.chunking.chunker import Chunker
from penstock.chunking.context import title_of
from penstock.chunking.document import Block
from penstock.errors import NoText, ParserCrashed, ParserMemory, PenstockError, TooLarge, WorkFolderFull, is_full
from penstock.models import NewChunk, Value
from penstock.parsing.containment import MEBIBYTE, contain
from penstock.parsing.coverage import Coverage
from penstock.parsing.frames import (
    EARLY_CHUNKS,
    MAX_BATCH_CHARACTERS,
    MAX_BATCH_CHUNKS,
    MAX_MESSAGE_CHARACTERS,
    TEXT_NAME,
    Finished,
    MadeChunks,
    ParseRequest,
    Ready,
    Recognising,
    Refused,
    Setup,
    frame_of,
    read_frame,
)

Detect = Callable[[Path, str], str]
"""Path and name to media type. Raises a `FileError`."""
Read = Callable[[Path, str, Coverage], Iterable[Block]]
"""Path and media type to Blocks, lazily; counts into the `Coverage`. Raises a `FileError`."""
TellLanguage = Callable[[Path], str]
"""The text's path to its language."""
WRITE_BUFFER_BYTES = 1024 * 1024


def main(*, detect: Detect | None = None, read: Read | None = None) -> None:
    """Serve the pool until it closes the pipe. The readers can be others than Penstock's own."""
    requests, answers = _claim_pipes()
    setup = Setup.model_validate_json(read_frame(requests) or b"")
    folder = Path.cwd()
    given_up = contain(folder=folder, memory_mb=setup.memory_mb, max_text_mb=setup.max_text_mb)
    try:
        chunker = Chunker(setup.recipe)
        detect, read = detect or _own_detect(), read or _own_read(setup, answers)
        tell_language = _own_tell_language()
    except PenstockError as error:
        _send(answers, Refused(code=error.code, message=error.message))
        return
    _send(answers, Ready(given_up=given_up))
    while (body := read_frame(requests)) is not None:
        request = ParseRequest.model_validate_json(body)
        with _refusing(answers, request.name):
            media_type = detect(Path(request.path), request.name)
            coverage = Coverage()
            blocks = read(Path(request.path), media_type, coverage)
            document = _Document(blocks, coverage, limit=setup.max_text_mb * MEBIBYTE)
            with (folder / TEXT_NAME).open("wb", buffering=WRITE_BUFFER_BYTES) as file:
                chunks = document.chunks(
                    chunker, file, title=title_of(request.name), pages_apart=_pages_apart(media_type)
                )
                for made in _made(chunks, file, language_so_far=partial(tell_language, folder / TEXT_NAME)):
                    _send(answers, made)
            _send(answers, document.finished(media_type, language=tell_language(folder / TEXT_NAME)))


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Private copies of stdin and stdout. What others print goes to stderr, which the pool logs."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


# The parsers are imported after `contain`, which wants a process without threads.
def _own_detect() -> Detect:
    from penstock.parsing.media_type import detect  # noqa: PLC0415  # see above

    return detect


def _pages_apart(media_type: str) -> bool:
    from penstock.parsing.media_type import SLIDES_AND_SHEETS  # noqa: PLC0415  # see above

    return media_type in SLIDES_AND_SHEETS


def _own_read(setup: Setup, answers: BinaryIO) -> Read:
    """Raises `InvalidSettings` where text is to be recognised in languages that are not there."""
    from penstock.parsing.formats import read  # noqa: PLC0415  # see above
    from penstock.parsing.recognition.tesseract import open_recogniser  # noqa: PLC0415

    def announce(page: int | None) -> None:
        _send(answers, Recognising(page=page))

    return partial(read, recogniser=open_recogniser(setup.ocr_data, setup.ocr_languages, announce=announce))


def _own_tell_language() -> TellLanguage:
    from penstock.parsing.language import language_of  # noqa: PLC0415  # see above

    return language_of


def _send(answers: BinaryIO, value: Value) -> None:
    answers.write(frame_of(value))
    answers.flush()


@contextmanager
def _refusing(answers: BinaryIO, name: str) -> Generator[None]:
    """Whatever reading the file raises becomes a `Refused`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except BaseException as error:  # noqa: BLE001  # a panic in a Rust parser is a BaseException
        if not isinstance(error, PenstockError):
            traceback.print_exc(limit=-8, file=sys.stderr)
        _send(answers, _refusal(error, name))


def _refusal(error: BaseException, name: str) -> Refused:
    if is_full(error):  # also behind what a reader calls damaged
        return Refused(code=WorkFolderFull.code, message=WorkFolderFull().message)
    if isinstance(error, PenstockError):
        return Refused(code=error.code, message=_naming(name, error.message))
    if isinstance(error, MemoryError):
        return Refused(code=ParserMemory.code, message=_naming(name, ParserMemory().message))
    reason = f"{ParserCrashed().message} ({type(error).__name__}: {error})"
    return Refused(code=ParserCrashed.code, message=_naming(name, reason))


def _naming(name: str, message: str) -> str:
    told = message if name in message else f"{name}: {message}"
    return told[:MAX_MESSAGE_CHARACTERS]


class _Document:
    """The counts of one file, taken while its Blocks and Chunks pass by."""

    def __init__(self, blocks: Iterable[Block], coverage: Coverage, *, limit: int) -> None:
        self._blocks = blocks
        self._coverage = coverage
        self._limit = limit
        self._bytes = 0
        self._characters = 0
        self._tokens = 0
        self._page_count: int | None = None

    def chunks(self, chunker: Chunker, file: BinaryIO, *, title: str, pages_apart: bool) -> Iterator[NewChunk]:
        """The Chunks, while the text goes to `file`. Raises `TooLarge` where that grows over the limit."""

        def write(text: str) -> None:
            self._characters += len(text)
            self._bytes += file.write(text.encode())
            if self._bytes > self._limit:
                raise TooLarge(
                    f"The file holds more than {self._limit // MEBIBYTE} MiB of text; "
                    "raise PENSTOCK_PARSING_MAX_TEXT_MB or split the file."
                )

        for chunk in chunker.chunk(self._counted_blocks(), write=write, title=title, pages_apart=pages_apart):
            self._tokens += chunk.token_count
            yield chunk

    def finished(self, media_type: str, *, language: str) -> Finished:
        """The last frame. Raises `NoText` where there was nothing that the model could see."""
        if not self._tokens:
            raise NoText
        unread = self._coverage.unread_pages
        return Finished(
            media_type=media_type,
            language=language,
            page_count=max(self._page_count or 0, unread[-1]) if unread else self._page_count,
            character_count=self._characters,
            token_count=self._tokens,
            coverage=self._coverage.share,
            supplemented=self._coverage.missed - self._coverage.lost,
            unread_pages=unread,
        )

    def _counted_blocks(self) -> Iterator[Block]:
        for block in self._blocks:
            if block.page is not None:
                self._page_count = max(self._page_count or 0, block.page)
            yield block


def _made(chunks: Iterable[NewChunk], text: BinaryIO, *, language_so_far: Callable[[], str]) -> Iterator[MadeChunks]:
    """The Chunks in frames; one of them tells the language where more are made than a short file has."""
    made = 0
    for batch in _batches(chunks):
        was_short, made = made < EARLY_CHUNKS, made + len(batch)
        if was_short and made >= EARLY_CHUNKS:
            text.flush()
            yield MadeChunks(chunks=batch, language=language_so_far())
        else:
            yield MadeChunks(chunks=batch)


def _batches(chunks: Iterable[NewChunk]) -> Iterator[list[NewChunk]]:
    batch: list[NewChunk] = []
    characters = 0
    for chunk in chunks:
        batch.append(chunk)
        characters += len(chunk.text)
        if len(batch) == MAX_BATCH_CHUNKS or characters >= MAX_BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


if __name__ == "__main__":
    main()
