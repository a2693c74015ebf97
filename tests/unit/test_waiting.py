"""Waiting for an event, and being cancelled meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from penstock.queues.waiting import wait


async def test_it_ends_with_the_event_or_after_the_seconds() -> None:
    event = asyncio.Event()
    await wait(event, 0.01)
    event.set()
    async with asyncio.timeout(5):
        await wait(event, 60)


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_as_the_event_comes_ends(turns: int) -> None:
    """However many turns of the loop lie between the two: a task that forgot it would go on for ever."""
    event = asyncio.Event()

    async def again_and_again() -> None:
        while True:
            event.clear()
            await wait(event, 60)

    task = asyncio.create_task(again_and_again())
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({task})
    assert task.cancelled()
