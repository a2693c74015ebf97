"""The way into the dead letters: the File says why, then the message is put aside."""

from __future__ import annotations

import structlog

from penstock.database.connection import Database
from penstock.database.files import fail_file
from penstock.failpoints import reach
from penstock.models import Failure, Message

log = structlog.get_logger()


async def give_up(message: Message, failure: Failure, *, database: Database) -> None:
    """Mark the message's generation as failed, unless it is settled or superseded."""
    async with database.transaction() as rows:
        file = await fail_file(rows, message.file_id, message.generation, failure)
    reach("give_up.file_failed")
    if file is not None:
        log.error("file failed", file_id=str(file.file_id), name=file.name, code=failure.code, reason=failure.message)
