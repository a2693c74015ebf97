"""What becomes of a message whose step failed: one pure rule, the same on every broker."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import GaveUp, PenstockError, ServiceUnavailable
from penstock.queues.port import Bury, Retry


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter, up to a last attempt."""

    max_attempts: int = 3
    first_delay: float = 1.0
    max_delay: float = 15.0
    """Never longer than the lease: Redis cannot hide a pending message for longer."""

    def after(self, error: BaseException, attempt: int, *, jitter: Callable[[], float] = random.random) -> Retry | Bury:
        """The verdict on a message whose `attempt` (from 1) ended with `error`.

        A service that is away burns no attempt. A fault of the file is final at once. All else is
        tried again until the attempts are used up.
        """
        if isinstance(error, ServiceUnavailable):
            return self.wait(error, self.delay(attempt, jitter) if error.retry_after is None else error.retry_after)
        if isinstance(error, PenstockError) and not error.transient:
            return Bury(error.code, error.message)
        if attempt < self.max_attempts:
            return Retry(self.delay(attempt, jitter))
        if isinstance(error, PenstockError):
            return Bury(error.code, f"{error.message} ({attempt} attempts)")
        return Bury(GaveUp.code, f"{attempt} attempts failed, the last with {type(error).__name__}: {error}")

    def wait(self, error: ServiceUnavailable, seconds: float) -> Retry:
        """The verdict where a service is away, or asks for patience, for so long."""
        return Retry(min(seconds, self.max_delay), burns_attempt=error.burns_attempt)

    def after_deaths(self, attempt: int) -> Bury | None:
        """The verdict on a message before its `attempt` begins, where those before ended with their worker's death.

        One attempt more than others: the first death may have been the fault of another message in the same
        worker. From the second on it was alone.
        """
        if attempt <= self.max_attempts + 1:
            return None
        deaths = attempt - 1
        return Bury(GaveUp.code, f"The worker died on each of {deaths} attempts; its log may say why.", deaths)

    def delay(self, attempt: int, jitter: Callable[[], float]) -> float:
        """Seconds before the next attempt: doubled each time, between half and all of it by chance."""
        full = min(self.first_delay * 2 ** (attempt - 1), self.max_delay)
        return full * (0.5 + jitter() / 2)
