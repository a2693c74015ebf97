"""Work beside other work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

FORGOTTEN_SECONDS = 1.0
"""Who has not ended so long after it was cancelled is cancelled again."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Do `work` while the block runs; it is cancelled, and waited for, when the block ends.

    What it raised before raises here then.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await cancel(task)


async def together(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Do both at the same time. Where one raises, the other is cancelled and waited for; then the error raises here."""
    try:
        async with asyncio.TaskGroup() as group:
            one, other = group.create_task(first), group.create_task(second)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return one.result(), other.result()


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel and wait for the end; what the task raised raises here.

    More than once if need be: before Python 3.12 `asyncio.wait_for`, on which libraries build, can forget it.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=FORGOTTEN_SECONDS)
    if not task.cancelled():
        task.result()
