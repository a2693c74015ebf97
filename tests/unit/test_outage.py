"""A service that is away: waited for longer each time, and said once."""

from __future__ import annotations

import asyncio
import math

import pytest
from structlog.testing import capture_logs

from penstock.errors import RateLimited, ServiceUnavailable
from penstock.workers.outage import FIRST_PAUSE, LONGEST_PAUSE, SAID_AFTER, Outage


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(found: Outage, error: ServiceUnavailable | None = None) -> float:
    """A failure of what was tried after all others had failed."""
    return found.failed(error or ServiceUnavailable(), tried_at=math.inf)


def outage(clock: Clock, *, jitter: float = 1.0, stop: asyncio.Event | None = None) -> Outage:
    return Outage(stop or asyncio.Event(), clock=clock, jitter=lambda: jitter)


def test_each_failure_doubles_the_pause_up_to_the_longest() -> None:
    found = outage(Clock())
    pauses = [fail(found) for _ in range(8)]
    assert pauses[:5] == [FIRST_PAUSE, 1.0, 2.0, 4.0, 8.0]
    assert pauses[5:] == [LONGEST_PAUSE] * 3


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, FIRST_PAUSE / 2), (1.0, FIRST_PAUSE)])
def test_jitter_spreads_the_tries(jitter: float, seconds: float) -> None:
    assert fail(outage(Clock(), jitter=jitter)) == seconds


def test_who_is_told_how_long_to_wait_waits_so_long() -> None:
    assert fail(outage(Clock()), RateLimited(retry_after=42)) == 42


def test_it_is_said_once_and_once_that_it_is_over() -> None:
    clock = Clock()
    found = outage(clock)
    with capture_logs() as logs:
        for _ in range(20):
            fail(found, ServiceUnavailable("The database does not answer."))
            clock.now += 3
        found.succeeded()
        found.succeeded()
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "a service is away; files wait for it"),
        ("info", "the service is back"),
    ]
    assert logs[0]["reason"] == "The database does not answer."
    assert logs[1]["away_seconds"] == 60.0
    assert not found.lasts


def test_a_failure_now_and_then_is_no_outage() -> None:
    found = outage(Clock())
    with capture_logs() as logs:
        for _ in range(10):
            for _ in range(SAID_AFTER - 1):
                fail(found)
            found.succeeded()
    assert logs == []


def test_what_was_tried_together_is_one_piece_of_news() -> None:
    clock = Clock()
    found = outage(clock)
    with capture_logs() as logs:
        pauses: list[float] = []
        for _ in range(8):
            clock.now += 0.01
            pauses.append(found.failed(ServiceUnavailable(), tried_at=100.0))
    assert pauses == [FIRST_PAUSE] * 8
    assert logs == []


async def test_a_success_ends_the_pause_of_all() -> None:
    clock = Clock()
    found = outage(clock)
    for _ in range(6):
        fail(found)
    pausing = [asyncio.create_task(found.pause()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in pausing)
    found.succeeded()
    async with asyncio.timeout(5):
        await asyncio.gather(*pausing)


async def test_the_end_of_the_worker_ends_the_pause() -> None:
    stop = asyncio.Event()
    found = outage(Clock(), stop=stop)
    for _ in range(6):
        fail(found)
    pausing = asyncio.create_task(found.pause())
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await pausing


async def test_nobody_pauses_while_all_is_well() -> None:
    async with asyncio.timeout(1):
        await outage(Clock()).pause()
