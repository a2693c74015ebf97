"""How often the queues are looked at."""

from __future__ import annotations

from penstock.pipeline.dispatch import Pace


def looks(pace: Pace, *, first: float, count: int) -> list[float]:
    """When looks are made that are asked for all the time and cost none."""
    times = [first]
    while len(times) < count:
        times.append(round(times[-1] + pace.pause(times[-1]), 6))
    return times


def test_a_few_looks_come_at_once_and_then_one_every_so_often() -> None:
    assert looks(Pace(1.0, at_once=3), first=10, count=6) == [10, 10, 10, 11, 12, 13]


def test_after_a_quiet_time_a_few_come_at_once_again_and_no_more_for_a_long_one() -> None:
    pace = Pace(1.0, at_once=3)
    looks(pace, first=10, count=6)
    assert looks(pace, first=1000, count=5) == [1000, 1000, 1000, 1001, 1002]


def test_a_look_that_takes_longer_than_the_pause_is_followed_by_the_next() -> None:
    pace = Pace(1.0, at_once=3)
    assert [pace.pause(now) for now in (0.0, 2.0, 4.0, 6.0, 8.0)] == [0] * 5
