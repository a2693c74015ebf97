"""When a message is tried again, counted with the policy that the Workers obey."""

from __future__ import annotations

from from_code.marks import table
from penstock.settings import load_settings
from penstock.workers.process import retry_policy


def waits() -> str:
    """How long after each attempt, with the default settings."""
    policy = retry_policy(load_settings({}).queue)
    rows = [
        (str(attempt), f"{policy.delay(attempt, lambda: 0.0):g} to {policy.delay(attempt, lambda: 1.0):g} s")
        for attempt in range(1, policy.max_attempts)
    ]
    return table(("attempt that failed", "wait before the next"), [*rows, (str(policy.max_attempts), "none: given up")])
