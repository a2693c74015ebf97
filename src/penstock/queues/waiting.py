"""Waiting that an event cuts short."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until `event`, but not longer than `seconds`.

    Not by `asyncio.wait_for`, which until Python 3.12 forgets that it was cancelled if what it waits for comes at
    the same moment: whoever cancelled the task would wait for it for ever.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
