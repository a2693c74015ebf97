"""Questions to the services that must never make the one who asks wait for long."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from penstock.errors import PenstockError, ServiceUnavailable

T = TypeVar("T")

PATIENCE_SECONDS = 2.0


class Probe(Generic[T]):
    """Asks one thing, once at a time however many want to know, and remembers an answer for a while.

    A service that hangs gets one question and no more: cancelling it could hang too, as psycopg waits
    for the server to confirm.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, fresh_seconds: float = 0.0) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._asked: asyncio.Task[T] | None = None
        self._answered_at = -math.inf

    async def answer(self) -> T:
        """The answer, or what asking raised; `ServiceUnavailable` where it does not come in time."""
        asked = self._current()
        done, _ = await asyncio.wait({asked}, timeout=PATIENCE_SECONDS)
        if not done:
            raise ServiceUnavailable(f"No answer within {PATIENCE_SECONDS:g} s.")
        return asked.result()

    async def verdict(self) -> str:
        """`ok`, or what is wrong."""
        try:
            await self.answer()
        except PenstockError as error:
            return error.message
        return "ok"

    def _current(self) -> asyncio.Task[T]:
        """The question that is being asked or was answered just now, else a new one."""
        asked = self._asked
        if asked is None or (asked.done() and time.monotonic() - self._answered_at >= self._fresh_seconds):
            asked = self._asked = asyncio.create_task(self._timed())
            asked.add_done_callback(_look_at)
        return asked

    async def _timed(self) -> T:
        answer = await self._ask()
        self._answered_at = time.monotonic()  # a failure is not remembered: what is back is seen at once
        return answer


def _look_at(asked: asyncio.Task[object]) -> None:
    """An error that came after everybody had stopped waiting is no news: asyncio need not print it."""
    if not asked.cancelled():
        asked.exception()
