"""How many Workers a backlog wants. A pure rule over values; whoever starts and stops Workers obeys it.

A Worker spends `service_seconds` on a message, so backlog * service_seconds / target_seconds of them work a backlog
off within `target_seconds`. While messages arrive evenly, the backlog settles where a message takes just that long
from its arrival to its end (Little's law), whatever the rate: the target is the only thing to choose. More Workers
come at once; fewer only when the rule has wanted fewer for a whole cooldown, since each start costs a start-up time.

The same rule stands in `deploy/`: as the threshold of a KEDA trigger and as the target of ECS' target tracking, both
`backlog_per_worker`. `benchmarks/scaling.py` proves it and derives its constants: `docs/scaling.md`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class ScalingRule:
    """For the Workers of one queue. Raises `ValueError` for limits and times that contradict themselves."""

    service_seconds: float
    """Of one Worker for one message on the average: its wall-clock seconds while it is busy, divided by the messages
    that it settled in them. What it does side by side is in that number already."""
    target_seconds: float
    """From the arrival of a message to its end."""
    most: int
    """Workers at most: what the database, the purse or the rate limit of an embedding service allow."""
    least: int = 0
    """Workers that stay when there is nothing to do; 0 scales to zero, and the next message waits for a start."""
    cooldown_seconds: float = 300.0
    """So long must fewer be enough before any is stopped."""

    def __post_init__(self) -> None:
        if not (self.service_seconds > 0 and self.target_seconds > 0 and self.cooldown_seconds >= 0):
            raise ValueError("service_seconds and target_seconds must be above 0, cooldown_seconds not below")
        if not 0 <= self.least <= self.most or self.most == 0:
            raise ValueError("0 <= least <= most and most >= 1 must hold")

    @property
    def backlog_per_worker(self) -> float:
        """Messages that one Worker works off within the target."""
        return self.target_seconds / self.service_seconds

    def wanted(self, backlog: int) -> int:
        """Workers for a backlog, which is all messages that are not settled: waiting (in the rows, too) and in work.

        Counting only what waits would stop Workers as soon as they have taken the last messages.
        """
        return min(self.most, max(self.least, math.ceil(backlog / self.backlog_per_worker)))


@dataclass(frozen=True, slots=True)
class Scaled:
    """What the rule has decided last, and what it must remember for the next time."""

    workers: int
    wishes: tuple[tuple[float, int], ...] = ()
    """Moment and number of Workers, falling: of the wishes within the cooldown only those that no later one tops."""


def scale(before: Scaled, rule: ScalingRule, *, backlog: int, now: float) -> Scaled:
    """The decision at the moment `now`, in seconds of a clock that never goes back."""
    wanted = rule.wanted(backlog)
    recent = (wish for wish in before.wishes if wish[0] > now - rule.cooldown_seconds)
    wishes = (*(wish for wish in recent if wish[1] > wanted), (now, wanted))
    return Scaled(workers=wishes[0][1], wishes=wishes)


def hold(before: Scaled, *, now: float) -> Scaled:
    """The decision while the backlog is not known: what runs stays, and the cooldown begins anew."""
    return Scaled(before.workers, wishes=((now, before.workers),))


@dataclass(frozen=True, slots=True)
class Change:
    """The Workers to start and to stop, by their numbers, which begin with 1."""

    start: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()


def change(workers: int, *, most: int, running: Collection[int], stopping: Collection[int]) -> Change:
    """What makes `workers` of those that run: the lowest free numbers start, the highest stop.

    One that still drains keeps its number, and counts towards `most`: limits are of memory and connections.
    """
    if workers <= len(running):
        return Change(stop=tuple(sorted(running)[workers:]))
    free = (number for number in range(1, most + 1) if number not in running and number not in stopping)
    return Change(start=tuple(islice(free, workers - len(running))))


INGESTERS = ScalingRule(service_seconds=0.04, target_seconds=120, most=20, cooldown_seconds=300)
"""For Ingesters of 2 cores and files of 24 Chunks on the average; larger files want their own measurement."""
EMBEDDERS = ScalingRule(service_seconds=0.3, target_seconds=120, most=40, cooldown_seconds=300)
"""For Embedders of 2 cores with the default model, and messages of about 21 Chunks."""
