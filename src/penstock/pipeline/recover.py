"""Let what the rows say is announced, and no queue knows of, wait for its turn again.

A message may be gone because Redis lost it or was restored from an old backup, because somebody deleted it,
or because a process died between commit and publish. The queues are short (`dispatch` sees to that), so they
are simply asked which Files their messages are about. A File that an Ingester is reading needs no message.
"""

from __future__ import annotations

import time

import structlog

from penstock.database.connection import Database
from penstock.database.files import try_lead, wait_again
from penstock.failpoints import reach
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, FileStatus, QueueDepth
from penstock.pipeline.claim import EXTEND_SECONDS
from penstock.queues.port import Queues

log = structlog.get_logger()

LEADER = 0x7265636F766572
"""Of the advisory lock: "recover" in ASCII."""
GRACE_SECONDS = 5.0
"""Between a commit and its message."""
UNKNOWN_SECONDS = 900.0
"""A broker that cannot tell what it holds is trusted for so long beyond the age of its oldest message."""
SILENT_SECONDS = 2.5 * EXTEND_SECONDS
"""An Ingester that was not heard of for so long is dead. Two extensions may fail before."""
STEPS = {
    INGEST_QUEUE: (FileStatus.QUEUED, FileStatus.INGESTING),
    EMBEDDING_QUEUE: (FileStatus.EMBEDDING,),
}


async def recover(*, database: Database, queues: Queues) -> int:
    """Let lost Files wait again, for `dispatch`, and return their number.

    One process at a time does it; the others return 0. Raises `ServiceUnavailable`.
    """
    began = time.monotonic()
    # Before the rows: a message that is settled after this look has its commit behind it.
    on_queue = {queue: await queues.files_on(queue) for queue in STEPS}
    depths = await queues.depths() if None in on_queue.values() else {}
    lost = 0
    async with database.transaction() as rows:
        if not await try_lead(rows, LEADER):
            return 0
        for queue, statuses in STEPS.items():
            held = on_queue[queue]
            grace = GRACE_SECONDS + time.monotonic() - began if held is not None else _unknown(depths[queue])
            lost += len(
                await wait_again(
                    rows,
                    statuses,
                    on_queue=held or (),
                    older_than_seconds=grace,
                    extend_seconds=EXTEND_SECONDS,
                    silent_seconds=SILENT_SECONDS,
                )
            )
    reach("recover.files_wait_again")
    if lost:
        log.warning("messages were lost; their files wait for their turn again", files=lost)
    return lost


def _unknown(depth: QueueDepth) -> float:
    return (depth.oldest_seconds or 0.0) + UNKNOWN_SECONDS
