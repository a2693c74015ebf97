"""How a process dies, as SQS sees it, for a worker that lives in the test's own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from penstock.queues.sqs import SqsQueues


async def end_as_a_killed_process_does(queues: SqsQueues, consuming: asyncio.Task[None]) -> None:
    """Cut it off from SQS, so that nothing it does on its way out arrives."""

    async def nothing(*_: object, **__: object) -> dict[str, object]:
        return {}

    queues._wire._call = nothing  # pyright: ignore[reportAttributeAccessIssue]  # a cut wire
    consuming.cancel()
    with suppress(asyncio.CancelledError):
        await consuming
    del queues._wire._call
