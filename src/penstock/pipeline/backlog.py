"""How much waits: on the queues, and in the rows for its turn."""

from __future__ import annotations

import asyncio

from penstock.database.connection import Database
from penstock.database.turns import Waiting, count_waiting
from penstock.models import QueueDepth
from penstock.queues.port import Queues


async def backlog(*, database: Database, queues: Queues) -> dict[str, QueueDepth]:
    """By queue, the messages on it and those that will come. Raises `ServiceUnavailable`."""
    depths, waiting = await asyncio.gather(queues.depths(), _in_rows(database))
    return {queue: _sum(depth, waiting[queue]) for queue, depth in depths.items()}


async def _in_rows(database: Database) -> dict[str, Waiting]:
    async with database.transaction() as rows:
        return await count_waiting(rows)


def _sum(depth: QueueDepth, waiting: Waiting) -> QueueDepth:
    ages = [age for age in (depth.oldest_seconds, waiting.oldest_seconds) if age is not None]
    return depth.model_copy(
        update={"waiting": depth.waiting + waiting.messages, "oldest_seconds": max(ages, default=None)}
    )
