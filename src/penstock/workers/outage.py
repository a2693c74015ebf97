"""What a Worker knows of a service that is away: how long to wait, and that it is said once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from penstock.errors import ServiceUnavailable
from penstock.queues.policy import RetryPolicy
from penstock.queues.waiting import wait

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds; doubled with each failure that no success interrupts."""
PAUSES = RetryPolicy(first_delay=FIRST_PAUSE, max_delay=LONGEST_PAUSE)
MOST_DOUBLED = 10
"""Failures after which a pause is the longest in any case, and no number overflows."""
SAID_AFTER = 3
"""Failures in a row: a single one is no outage, and a message whose object alone is locked is none either."""


class Outage:
    """Failures of services, counted over all messages of one Worker.

    While one lasts, a message that comes in waits before it is tried: its lease is renewed meanwhile, and
    a Worker holds no more of them than it works on at once.
    """

    def __init__(
        self,
        stop: asyncio.Event,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._stop = stop
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._began = self._counted_at = 0.0
        self._pause_ends = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the last that was heard of a service is that it is away."""
        return self._failures > 0

    async def pause(self) -> None:
        """Wait before the next try, if one must; a success or the Worker's end cuts it short."""
        while self.lasts and not self._stop.is_set() and (left := self._pause_ends - self._clock()) > 0:
            await wait(self._stop, min(left, FIRST_PAUSE))

    def failed(self, error: ServiceUnavailable, *, tried_at: float) -> float:
        """Note a failure of what was tried at a moment of the clock; the seconds before another try."""
        now = self._clock()
        if self._failures == 0:
            self._began = now
        if self._failures == 0 or tried_at >= self._counted_at:  # what was tried together is one piece of news
            self._failures += 1
            self._counted_at = now
            if self._failures == SAID_AFTER:
                self._say(error)
        seconds = PAUSES.delay(min(self._failures, MOST_DOUBLED), self._jitter)
        self._pause_ends = max(self._pause_ends, now + seconds)
        return max(seconds, error.retry_after or 0.0)

    def _say(self, error: ServiceUnavailable) -> None:
        log.warning("a service is away; files wait for it", code=error.code, reason=error.message)

    def succeeded(self) -> None:
        """A step met no failure of a service."""
        if self._failures >= SAID_AFTER:
            log.info("the service is back", away_seconds=round(self._clock() - self._began, 1))
        self._failures = 0
