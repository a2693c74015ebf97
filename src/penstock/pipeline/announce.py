"""Put on the queues what the rows say is to be done. Repeating it is harmless: the steps look at the rows."""

from __future__ import annotations

from uuid import UUID

import structlog

from penstock.database.chunks import pending_chunk_ids
from penstock.database.connection import Database
from penstock.errors import ServiceUnavailable
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, MAX_CHUNKS_PER_MESSAGE, EmbedRequest, File, IngestRequest
from penstock.queues.port import Queues

log = structlog.get_logger()

PAGE = 64 * MAX_CHUNKS_PER_MESSAGE


async def announce_file(file: File, *, queues: Queues) -> None:
    """Ask for the ingestion of the File's latest generation.

    A queue that is away is no reason to refuse a File that is recorded: `recover` asks again.
    """
    try:
        await queues.publish(INGEST_QUEUE, [IngestRequest(file_id=file.file_id, generation=file.generation)])
    except ServiceUnavailable as error:
        log.warning("file waits for the queue", file_id=str(file.file_id), reason=error.message)


async def announce_chunks(file_id: UUID, generation: int, *, database: Database, queues: Queues) -> None:
    """Ask for the vectors that this generation still lacks, a page of Chunks at a time."""
    after = -1
    while True:
        async with database.transaction() as rows:
            page = await pending_chunk_ids(rows, file_id, generation, limit=PAGE, after=after)
        if not page:
            return
        ids = [chunk_id for chunk_id, _ in page]
        _, after = page[-1]
        await queues.publish(
            EMBEDDING_QUEUE,
            [
                EmbedRequest(
                    file_id=file_id, generation=generation, chunk_ids=tuple(ids[start : start + MAX_CHUNKS_PER_MESSAGE])
                )
                for start in range(0, len(ids), MAX_CHUNKS_PER_MESSAGE)
            ],
        )
