"""Ask again for what the rows say is unfinished and no queue knows of.

A queue hands out its messages oldest first and keeps each until it is done. So an unfinished File that
was announced longer ago than the oldest message on its queue has no message any more: somebody
deleted it, Redis lost it, or the process died between commit and publish. A File that merely waits
its turn is younger than that and is left alone.
"""

from __future__ import annotations

import structlog

from penstock.database.connection import Database
from penstock.database.files import claim_unannounced, try_lead
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, File, FileStatus, QueueDepth
from penstock.pipeline.announce import announce_chunks, announce_file
from penstock.queues.port import Queues

log = structlog.get_logger()

LEADER = 0x7265636F766572
"""Of the advisory lock: "recover" in ASCII."""
GRACE_SECONDS = 5.0
"""Between a commit and its message."""
MOST_AT_ONCE = 1_000


async def recover(*, database: Database, queues: Queues) -> int:
    """Announce lost Files again and return their number. One process at a time does it; the others return 0."""
    depths = await queues.depths()
    async with database.transaction() as rows:
        if not await try_lead(rows, LEADER):
            return 0
        unread = await claim_unannounced(
            rows,
            [FileStatus.QUEUED, FileStatus.INGESTING],
            older_than_seconds=_age(depths[INGEST_QUEUE]),
            limit=MOST_AT_ONCE,
        )
        unembedded = await claim_unannounced(
            rows,
            [FileStatus.EMBEDDING],
            older_than_seconds=_age(depths[EMBEDDING_QUEUE]),
            limit=MOST_AT_ONCE,
        )
    for file in unread:
        await announce_file(file, queues=queues)
    for file in unembedded:
        await announce_chunks(file.file_id, file.generation, database=database, queues=queues)
    return _report([*unread, *unembedded])


def _age(depth: QueueDepth) -> float:
    return (depth.oldest_seconds or 0.0) + GRACE_SECONDS


def _report(lost: list[File]) -> int:
    if lost:
        log.warning("messages were lost; announced their files again", files=len(lost))
    return len(lost)
