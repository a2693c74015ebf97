"""How long a part that died waits before it starts again."""

from __future__ import annotations

import pytest

from penstock.local.part import Deaths


@pytest.mark.parametrize(
    ("lived", "ready_for", "delays"),
    [
        (9.0, 8.0, [0, 0, 0, 0, 0, 0, 0]),  # killed every few seconds while it works
        (2.0, 1.0, [0, 0.5, 1, 2, 2, 2, 2]),  # dies of what it does first
        (1.0, None, [0, 1, 2, 4, 8, 15, 15]),  # cannot start
        (90.0, None, [0, 0, 0, 0, 0, 0, 0]),  # starts slowly, and is killed meanwhile
    ],
)
def test_the_delay_grows_only_for_what_cannot_live(lived: float, ready_for: float | None, delays: list[float]) -> None:
    deaths = Deaths()
    assert [deaths.count(lived=lived, ready_for=ready_for) for _ in delays] == delays


def test_who_has_worked_has_a_clean_slate() -> None:
    deaths = Deaths()
    for _ in range(4):
        deaths.count(lived=1, ready_for=None)
        deaths.count(lived=1, ready_for=0.5)
    assert deaths.count(lived=20, ready_for=19) == 0
    assert deaths.count(lived=1, ready_for=0.5) == 0
    assert deaths.count(lived=1, ready_for=None) == 0
    assert deaths.unready == 1


def test_who_has_worked_is_not_held_back_for_long_when_it_is_killed_while_it_starts() -> None:
    deaths = Deaths()
    deaths.count(lived=20, ready_for=15)
    assert [deaths.count(lived=3, ready_for=None) for _ in range(6)] == [0, 1, 2, 2, 2, 2]


def test_ten_thousand_deaths_overflow_nothing() -> None:
    deaths = Deaths()
    assert [deaths.count(lived=1, ready_for=None) for _ in range(10_000)][-1] == 15
