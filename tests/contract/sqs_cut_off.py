"""How a process dies, as SQS sees it, for a worker that lives in the test's own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

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


async def until_settled() -> None:
    """Until no worker tells SQS what became of a message: who dies before the end of that leaves it there twice."""
    while any(map(_settles, asyncio.all_tasks())):
        await asyncio.sleep(0.001)


def _settles(task: asyncio.Task[Any]) -> bool:
    waits_for: Any = task.get_coro()
    while waits_for is not None:
        code = getattr(waits_for, "cr_code", None)
        if code is not None and code.co_name in ("_settle", "_give_back"):
            return True
        waits_for = getattr(waits_for, "cr_await", None)
    return False
