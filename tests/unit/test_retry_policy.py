"""The one rule about what becomes of a failed attempt."""

from __future__ import annotations

import pytest

from penstock.errors import CorruptFile, ParserCrashed, PasswordProtected, RateLimited, ServiceUnavailable
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Bury, Retry

POLICY = RetryPolicy(max_attempts=3, first_delay=1, max_delay=15)


def no_jitter() -> float:
    return 1.0


@pytest.mark.parametrize("error", [CorruptFile("torn"), PasswordProtected("locked")])
def test_a_fault_of_the_file_is_final_at_once(error: CorruptFile) -> None:
    assert POLICY.after(error, 1) == Bury(error.code, error.message)


def test_what_may_pass_is_tried_until_the_attempts_are_used_up() -> None:
    assert POLICY.after(ParserCrashed("x"), 1, jitter=no_jitter) == Retry(1)
    assert POLICY.after(ParserCrashed("x"), 2, jitter=no_jitter) == Retry(2)
    assert POLICY.after(ParserCrashed("It died."), 3) == Bury("parser_crashed", "It died. (3 attempts)")


def test_the_unforeseen_ends_as_gave_up_with_its_words() -> None:
    verdict = POLICY.after(ZeroDivisionError("by zero"), 3)
    assert isinstance(verdict, Bury)
    assert verdict.code == "gave_up"
    assert "ZeroDivisionError: by zero" in verdict.reason


def test_a_service_that_is_away_never_burns_an_attempt() -> None:
    """Trap: 429s that kill indexing (Dify #41112)."""
    for attempt in (1, 3, 50):
        verdict = POLICY.after(ServiceUnavailable("away"), attempt)
        assert isinstance(verdict, Retry)
        assert not verdict.burns_attempt
    assert POLICY.after(RateLimited("slow down", retry_after=7), 9) == Retry(7, burns_attempt=False)


def test_no_delay_is_longer_than_the_queue_can_hide_a_message() -> None:
    assert POLICY.after(RateLimited("slow down", retry_after=3600), 1) == Retry(15, burns_attempt=False)
    assert POLICY.delay(30, no_jitter) == 15


def test_jitter_spreads_delays_over_their_upper_half() -> None:
    assert POLICY.delay(3, lambda: 0.0) == 2
    assert POLICY.delay(3, lambda: 1.0) == 4


@pytest.mark.parametrize(("attempt", "buried"), [(1, False), (3, False), (4, False), (5, True), (9, True)])
def test_a_worker_may_die_once_more_than_a_step_may_fail(attempt: int, buried: bool) -> None:
    """The first time another message in the same worker may have been at fault."""
    verdict = RetryPolicy(max_attempts=3).after_deaths(attempt)
    assert (verdict is not None) == buried
    assert verdict is None or (verdict.code, verdict.attempts) == ("gave_up", attempt - 1)
