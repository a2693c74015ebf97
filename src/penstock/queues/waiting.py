"""Waiting that a stop cuts short."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Until `stop`, but not longer than `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
