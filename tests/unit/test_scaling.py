"""How many Workers a backlog wants."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.scaling import EMBEDDERS, INGESTERS, Change, Scaled, ScalingRule, change, hold, scale

RULE = ScalingRule(service_seconds=2, target_seconds=60, most=10, cooldown_seconds=300)
"""A Worker works 30 messages off in time."""


@st.composite
def rules_of_any_kind(draw: st.DrawFn) -> ScalingRule:
    least = draw(st.integers(0, 5))
    return ScalingRule(
        service_seconds=draw(st.floats(0.001, 100)),
        target_seconds=draw(st.floats(0.1, 1000)),
        least=least,
        most=least + draw(st.integers(1, 50)),
        cooldown_seconds=draw(st.floats(0, 1000)),
    )


rules = rules_of_any_kind()
backlogs = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("backlog", "workers"), [(0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (299, 10), (300, 10), (10**8, 10)]
)
def test_as_many_as_work_the_backlog_off_in_time(backlog: int, workers: int) -> None:
    assert RULE.wanted(backlog) == workers


def test_some_stay_where_a_start_would_take_too_long() -> None:
    assert replace(RULE, least=2).wanted(0) == 2
    assert replace(RULE, least=2).wanted(61) == 3


@given(rules, backlogs)
def test_a_message_always_has_a_worker_and_the_target_is_kept_below_the_limit(rule: ScalingRule, backlog: int) -> None:
    workers = rule.wanted(backlog)
    assert rule.least <= workers <= rule.most
    assert workers >= 1 or backlog == 0
    if workers < rule.most:
        assert backlog * rule.service_seconds <= workers * rule.target_seconds * (1 + 1e-9)
    if workers > max(rule.least, 1):  # and none of them is too many
        assert backlog * rule.service_seconds > (workers - 1) * rule.target_seconds * (1 - 1e-9)


@given(rules, backlogs, backlogs)
def test_a_longer_backlog_never_wants_fewer(rule: ScalingRule, one: int, other: int) -> None:
    assert rule.wanted(min(one, other)) <= rule.wanted(max(one, other))


def test_more_come_at_once_and_fewer_after_the_cooldown() -> None:
    scaled = Scaled(0)
    history = [(0, 90), (15, 290), (30, 31), (300, 31), (314, 31), (315, 31), (330, 0), (614, 0), (630, 0)]
    workers: list[int] = []
    for now, backlog in history:
        scaled = scale(scaled, RULE, backlog=backlog, now=now)
        workers.append(scaled.workers)
    assert workers == [3, 10, 10, 10, 10, 2, 2, 2, 0]


@given(rules, st.lists(st.tuples(st.floats(0.1, 400), backlogs), min_size=1, max_size=60))
def test_the_decision_is_the_highest_wish_within_the_cooldown(
    rule: ScalingRule, steps: list[tuple[float, int]]
) -> None:
    scaled, now = Scaled(0), 0.0
    wishes: list[tuple[float, int]] = []
    for pause, backlog in steps:
        now += pause
        wishes.append((now, rule.wanted(backlog)))
        scaled = scale(scaled, rule, backlog=backlog, now=now)
        counting = [wish for at, wish in wishes if at > now - rule.cooldown_seconds or at == now]
        assert scaled.workers == max(counting)
        assert len(scaled.wishes) <= rule.most - rule.least + 1  # what is remembered stays small


def test_who_does_not_know_the_backlog_stops_nobody_and_waits_a_whole_cooldown_afterwards() -> None:
    scaled = scale(Scaled(0), RULE, backlog=90, now=0)
    for now in (15, 400, 800):
        scaled = hold(scaled, now=now)
        assert scaled.workers == 3
    workers: list[int] = []
    for now in (815, 1099, 1100):
        scaled = scale(scaled, RULE, backlog=0, now=now)
        workers.append(scaled.workers)
    assert workers == [3, 3, 0]


@pytest.mark.parametrize(
    ("workers", "running", "stopping", "wanted"),
    [
        (0, set[int](), set[int](), Change()),
        (2, {1, 2}, set[int](), Change()),
        (3, {1}, set[int](), Change(start=(2, 3))),
        (2, {2}, set[int](), Change(start=(1,))),
        (1, {1, 2, 3}, set[int](), Change(stop=(2, 3))),
        (0, {1, 3}, {2}, Change(stop=(1, 3))),
        (2, {1}, {2}, Change(start=(3,))),  # which has its number until it has ended
        (4, {1}, {2, 3}, Change(start=(4,))),  # and its place within the limit
        (4, {1}, {2, 3, 4}, Change()),
    ],
)
def test_lowest_numbers_start_and_highest_stop(
    workers: int, running: AbstractSet[int], stopping: AbstractSet[int], wanted: Change
) -> None:
    assert change(workers, most=4, running=running, stopping=stopping) == wanted


def test_a_rate_that_stays_settles_at_the_target() -> None:
    """Little's law, by hand: each second `rate` messages come and workers / service_seconds go."""
    rule, rate, backlog, scaled = replace(RULE, cooldown_seconds=0, most=1000), 50.0, 0.0, Scaled(0)
    for now in range(2000):
        scaled = scale(scaled, rule, backlog=math.ceil(backlog), now=now)
        backlog = max(0.0, backlog + rate - scaled.workers / rule.service_seconds)
    assert backlog / rate == pytest.approx(rule.target_seconds, rel=0.02)
    assert scaled.workers == pytest.approx(rate * rule.service_seconds, abs=1)


@pytest.mark.parametrize(
    "wrong", [{"service_seconds": 0}, {"target_seconds": -1}, {"cooldown_seconds": -1}, {"least": 11}, {"most": 0}]
)
def test_contradictions_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(RULE, **wrong)  # pyright: ignore[reportArgumentType]


def test_the_rules_that_are_shipped_scale_to_zero() -> None:
    assert INGESTERS.wanted(0) == EMBEDDERS.wanted(0) == 0
    assert INGESTERS.wanted(1) == EMBEDDERS.wanted(1) == 1
