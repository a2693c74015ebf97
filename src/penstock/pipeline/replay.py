"""The way out of the dead letters: the File waits again at the step it failed in, then the letter is dropped."""

from __future__ import annotations

from penstock.database.connection import Database
from penstock.database.files import revive_file
from penstock.errors import InvalidRequest, NotFound
from penstock.failpoints import reach
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, MESSAGE_TYPES, DeadLetter, FileStatus
from penstock.queues.port import Queues

WAITS_AT = {INGEST_QUEUE: FileStatus.QUEUED, EMBEDDING_QUEUE: FileStatus.EMBEDDING}


async def replay(queue: str, dead_letter_id: str, *, database: Database, queues: Queues) -> DeadLetter:
    """Try a dead letter again with all its attempts before it. Raises `NotFound`, `InvalidRequest`.

    The File asks for whatever it still lacks, so that one letter of a File stands for all of them. Where it was
    deleted, read anew or completed meanwhile there is nothing to do, and the letter just goes.
    """
    found = await queues.find_dead_letter(queue, dead_letter_id)
    if found is None:
        raise NotFound(f"There is no dead letter {dead_letter_id} on {queue}.")
    if found.message.keys() != MESSAGE_TYPES[queue].model_fields.keys():
        raise InvalidRequest("This dead letter was never a message of Penstock; it can only be dropped.")
    async with database.transaction() as rows:
        await revive_file(rows, found.file_id, found.message["generation"], WAITS_AT[queue])
    reach("replay.file_waits_again")
    await queues.drop(queue, dead_letter_id)
    reach("replay.letter_dropped")
    return found
