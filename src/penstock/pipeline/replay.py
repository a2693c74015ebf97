"""The way out of the dead letters: the File waits again, then its message goes back on the queue."""

from __future__ import annotations

from penstock.database.connection import Database
from penstock.database.files import revive_file
from penstock.errors import NotFound
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, MESSAGE_TYPES, DeadLetter, FileStatus
from penstock.queues.port import Queues

WAITS_AT = {INGEST_QUEUE: FileStatus.QUEUED, EMBEDDING_QUEUE: FileStatus.EMBEDDING}


async def replay(queue: str, dead_letter_id: str, *, database: Database, queues: Queues) -> DeadLetter:
    """Try a dead letter again with all its attempts before it. Raises `NotFound`, `InvalidRequest`."""
    found = await queues.find_dead_letter(queue, dead_letter_id)
    if found is None:
        raise NotFound(f"There is no dead letter {dead_letter_id} on {queue}.")
    if found.message.keys() == MESSAGE_TYPES[queue].model_fields.keys():
        async with database.transaction() as rows:
            await revive_file(rows, found.file_id, found.message["generation"], WAITS_AT[queue])
    await queues.replay(queue, dead_letter_id)
    return found
