"""Step 2, the Ingester: parse, chunk, record: from that commit on the Chunks wait for their turn to be embedded."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory

import structlog

from penstock.database.chunks import IngestedFile, record_chunks
from penstock.database.connection import Database
from penstock.database.files import begin_ingest
from penstock.database.unclaimed import reserve_object
from penstock.failpoints import reach
from penstock.models import File, IngestRequest, NewChunk, page_ranges
from penstock.objects import ObjectStore, StoredObject, text_key
from penstock.parsing.pool import ParsedFile, ParserPool
from penstock.pipeline.claim import claiming
from penstock.pipeline.dispatch import Dispatcher
from penstock.settings import AUTO_LANGUAGE
from penstock.work_folders import wanting_room_in

log = structlog.get_logger()

SPOOL_BYTES = 8 * 1024 * 1024
"""Chunks of a larger File wait on the disk, not in memory, for their transaction."""


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
    async with database.transaction() as rows:
        file = await begin_ingest(rows, request.file_id, request.generation)
        if file is not None:
            await reserve_object(rows, key)
    reach("ingest.begun")
    if file is None:
        return
    async with (
        claiming(key, database=database, store=store),
        _parsed(file, store=store, parser=parser, language=language, folder=folder, text_key=key) as (ingested, spool),
    ):
        await store.write_file(key, spool.text_path)
        reach("ingest.text_stored")
        async with database.transaction() as rows:
            recorded = await record_chunks(rows, ingested, spool)
        reach("ingest.chunks_recorded")
    if not recorded:
        return
    dispatcher.wake()
    _report(file, ingested, seconds=time.perf_counter() - began)


@asynccontextmanager
async def _parsed(
    file: File, *, store: ObjectStore, parser: ParserPool, language: str, folder: Path, text_key: str
) -> AsyncGenerator[tuple[IngestedFile, _Spool]]:
    """The File's Chunks and what else parsing found out, in a folder that goes with the block."""
    with wanting_room_in(folder), TemporaryDirectory(prefix="ingest-", dir=folder) as work:
        source = Path(work) / "object"
        stored = await store.read_to(file.object_key, source)
        with closing(_Spool(Path(work) / "text")) as spool:
            async with parser.parse(source, name=file.name, text_path=spool.text_path) as parse:
                async for chunks in parse.batches():
                    spool.append(chunks)
            _report_losses(file, parse.result)
            ingested = _ingested(file, stored, parse.result, text_key)
            yield ingested if language == AUTO_LANGUAGE else replace(ingested, language=language), spool


class _Spool:
    """Chunks between the parser and their transaction, which must not be open while the parser works."""

    def __init__(self, text_path: Path) -> None:
        self.text_path = text_path
        self._file = SpooledTemporaryFile[str](  # `closing` closes it
            max_size=SPOOL_BYTES, mode="w+", dir=str(text_path.parent)
        )

    def append(self, chunks: list[NewChunk]) -> None:
        self._file.writelines(f"{chunk.model_dump_json()}\n" for chunk in chunks)

    def __iter__(self) -> Iterator[NewChunk]:
        self._file.seek(0)
        return (NewChunk.model_validate_json(line) for line in self._file)

    def close(self) -> None:
        self._file.close()


def _ingested(file: File, stored: StoredObject, parsed: ParsedFile, text_key: str) -> IngestedFile:
    return IngestedFile(
        file_id=file.file_id,
        generation=file.generation,
        media_type=parsed.media_type,
        sha256=stored.sha256,
        language=parsed.language,
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
