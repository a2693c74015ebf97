"""Work beside other work."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from penstock import tasks
from penstock.errors import ServiceUnavailable
from penstock.tasks import beside, together


async def test_the_work_ends_with_the_block() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(work()):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_work_that_forgets_that_it_was_cancelled_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FORGOTTEN_SECONDS", 0.01)
    forgotten = 0

    async def work() -> None:
        nonlocal forgotten
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        forgotten += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(10), beside(work()):
        await asyncio.sleep(0)
    assert forgotten == 1


async def test_what_the_work_raised_raises_when_the_block_ends() -> None:
    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        async with beside(work()):
            await asyncio.sleep(0)


async def test_two_works_go_on_at_the_same_time() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def work(mine: asyncio.Event, other: asyncio.Event, result: str) -> str:
        mine.set()
        await other.wait()
        return result

    async with asyncio.timeout(10):
        assert await together(work(first, second, "a"), work(second, first, "b")) == ("a", "b")


async def test_where_one_of_two_fails_the_other_ends_and_the_error_comes_through() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise ServiceUnavailable("away")

    async with asyncio.timeout(10):
        with pytest.raises(ServiceUnavailable, match="away"):
            await together(waits(), fails())
    assert ended.is_set()
