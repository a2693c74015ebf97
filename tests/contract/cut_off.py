"""How a process dies, as Redis sees it, for a worker that lives in the test's own."""

from __future__ import annotations

import asyncio

from penstock.queues.redis import RedisQueues


async def end_as_a_killed_process_does(queues: RedisQueues, consuming: asyncio.Task[None]) -> None:
    """Cut it off from Redis, so that nothing it does on its way out arrives."""

    async def nothing(*_: object, **__: object) -> list[object]:
        return []

    queues._client.execute_command = nothing  # pyright: ignore[reportAttributeAccessIssue]  # a cut wire
    # Again if it must be: before Python 3.12 a library can forget that it was cancelled. Then it would live on, deaf,
    # until its heartbeat kills the process, which is that of the tests.
    while not consuming.done():
        consuming.cancel()
        await asyncio.wait({consuming}, timeout=queues._drain_seconds + 3)
    assert consuming.cancelled()
    del queues._client.execute_command
