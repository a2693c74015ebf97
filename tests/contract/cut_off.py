"""How a process dies, as Redis sees it, for a worker that lives in the test's own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from penstock.queues.redis import RedisQueues


async def end_as_a_killed_process_does(queues: RedisQueues, consuming: asyncio.Task[None]) -> None:
    """Cut it off from Redis, so that nothing it does on its way out arrives."""

    async def nothing(*_: object, **__: object) -> list[object]:
        return []

    queues._client.execute_command = nothing  # pyright: ignore[reportAttributeAccessIssue]  # a cut wire
    consuming.cancel()
    with suppress(asyncio.CancelledError):
        await consuming
    del queues._client.execute_command
