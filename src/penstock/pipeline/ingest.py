"""Step 2, the Ingester: parse, chunk, record: from that commit on the Chunks wait for their turn to be embedded."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from penstock import tracing
from penstock.database.chunks import IngestedFile, record_chunks, record_early_chunks
from penstock.database.connection import Database
from penstock.database.files import Reading, begin_ingest
from penstock.failpoints import reach
from penstock.models import File, IngestRequest, NewChunk, page_ranges
from penstock.objects import ObjectStore, StoredObject, text_key
from penstock.parsing.frames import EARLY_CHUNKS
from penstock.parsing.pool import ParsedFile, ParserPool
from penstock.pipeline.claim import claiming
from penstock.pipeline.dispatch import Dispatcher
from penstock.settings import AUTO_LANGUAGE
from penstock.stages import stage
from penstock.work_folders import wanting_room_in

log = structlog.get_logger()

MOST_CHUNKS_HELD = 2048
"""In memory. A long File's Chunks are recorded in parts, each twice as large as the one before up to this: the first
soon, so that they are embedded while the rest is read, the others in few transactions."""


class _TakenOver(Exception):
    """The generation was deleted, superseded or begun by another Ingester while it was read."""


async def ingest(
    request: IngestRequest,
    *,
    database: Database,
    store: ObjectStore,
    dispatcher: Dispatcher,
    parser: ParserPool,
    language: str,
    folder: Path,
) -> None:
    """Turn one generation of a File into Chunks, in `language` or, where that is `auto`, in that of its text.

    The same message twice changes nothing: a generation that is deleted, superseded or past this step is left
    alone. Raises a `FileError` where the File is at fault, a `ParserError` where it killed its parser,
    `ServiceUnavailable` otherwise, also where the disk of `folder` is full.
    """
    began = time.perf_counter()
    key = text_key(request.file_id, request.generation)
    async with database.statement() as rows:
        reading = await begin_ingest(rows, request.file_id, request.generation, text_key=key)
    reach("ingest.begun")
    if reading is None:
        return
    recorder = _Recorder(reading, database, dispatcher, language=None if language == AUTO_LANGUAGE else language)
    try:
        async with (
            claiming(key, database=database, store=store),
            _parsed(recorder, store=store, parser=parser, folder=folder, text_key=key) as (ingested, text_path),
        ):
            with stage("ingest.store_text"):
                await store.write_file(key, text_path)
                reach("ingest.text_stored")
            with stage("ingest.record"):
                await recorder.record_rest(ingested)
    except _TakenOver:
        return
    dispatcher.wake()
    tracing.note(chunks=ingested.chunk_count, media_type=ingested.media_type)
    _report(reading.file, ingested, seconds=time.perf_counter() - began)


@asynccontextmanager
async def _parsed(
    recorder: _Recorder, *, store: ObjectStore, parser: ParserPool, folder: Path, text_key: str
) -> AsyncGenerator[tuple[IngestedFile, Path]]:
    """What parsing found out, and the text, in a file that goes with the block. The first Chunks of a long File are
    recorded by then.
    """
    file = recorder.reading.file
    with wanting_room_in(folder), _two_files(folder) as (source, text_path):
        with stage("ingest.fetch"):
            stored = await store.read_to(file.object_key, source)
        async with parser.parse(source, name=file.name, text_path=text_path) as parse:
            with stage("ingest.parse"):
                async for chunks in parse.batches():
                    await recorder.add(chunks, language_so_far=parse.language)
        _report_losses(file, parse.result)
        yield _ingested(recorder, stored, parse.result, text_key), text_path


@contextmanager
def _two_files(folder: Path) -> Generator[tuple[Path, Path]]:
    """Places for an object and its text, gone with the block. No folder of their own: to make and remove one took a
    twelfth of an Ingester's time on a small file.
    """
    name = secrets.token_hex(8)
    source, text_path = folder / f"{name}.object", folder / f"{name}.text"
    try:
        yield source, text_path
    finally:
        source.unlink(missing_ok=True)
        text_path.unlink(missing_ok=True)


@dataclass(slots=True)
class _Recorder:
    """Chunks between the parser and the database, which gets them in parts where there are many."""

    reading: Reading
    database: Database
    dispatcher: Dispatcher
    language: str | None
    """Of all Files; None where each has that of its text."""
    recorded: int = 0
    held: list[NewChunk] = field(default_factory=list[NewChunk])
    part: int = EARLY_CHUNKS

    async def add(self, chunks: list[NewChunk], *, language_so_far: str | None) -> None:
        """Hold `chunks`, and record what is held where that is enough. Raises `_TakenOver`.

        The last ones are always held: when the File is read it waits for their vectors, and these complete it.
        """
        language = self.language or language_so_far
        if language is not None and len(self.held) >= self.part:
            with stage("ingest.record"):
                await self._record(language)
        self.held.extend(chunks)

    async def _record(self, language: str) -> None:
        async with self.database.statement() as rows:
            recorded = await record_early_chunks(rows, self.reading, self.held, language=language)
        reach("ingest.early_chunks_recorded")
        if not recorded:
            raise _TakenOver
        self.dispatcher.wake()
        self.recorded += len(self.held)
        self.held = []
        self.part = min(2 * self.part, MOST_CHUNKS_HELD)

    async def record_rest(self, ingested: IngestedFile) -> None:
        """The File is read to its end, and waits for its vectors. Raises `_TakenOver`."""
        async with self.database.statement() as rows:
            recorded = await record_chunks(rows, ingested, self.held, early=self.recorded)
        reach("ingest.chunks_recorded")
        if not recorded:
            raise _TakenOver


def _ingested(recorder: _Recorder, stored: StoredObject, parsed: ParsedFile, text_key: str) -> IngestedFile:
    file = recorder.reading.file
    return IngestedFile(
        file_id=file.file_id,
        generation=file.generation,
        attempt=recorder.reading.attempt,
        media_type=parsed.media_type,
        sha256=stored.sha256,
        language=recorder.language or parsed.language,
        page_count=parsed.page_count,
        chunk_count=parsed.chunk_count,
        token_count=parsed.token_count,
        coverage=parsed.coverage,
        unread_pages=parsed.unread_pages,
        text_key=text_key,
    )


def _report_losses(file: File, parsed: ParsedFile) -> None:
    which = {"file_id": str(file.file_id), "name": file.name, "media_type": parsed.media_type}
    if parsed.supplemented:  # nobody misses a word, but the reader has a fault: worth an issue with the file
        log.warning("the reader lost text, which the independent count supplied", **which, words=parsed.supplemented)
    if parsed.unread_pages:
        log.warning("pages that show something were not read", **which, pages=page_ranges(parsed.unread_pages))


def _report(file: File, ingested: IngestedFile, *, seconds: float) -> None:
    log.info(
        "file ingested",
        file_id=str(file.file_id),
        name=file.name,
        media_type=ingested.media_type,
        language=ingested.language,
        chunks=ingested.chunk_count,
        pages=ingested.page_count,
        coverage=ingested.coverage,
        seconds=round(seconds, 3),
    )
