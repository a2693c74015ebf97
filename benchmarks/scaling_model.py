"""A day of Penstock in seconds: files arrive and wait for Ingesters and then for Embedders, which a rule scales.

Time goes in steps of one second. What arrives in a second is one cohort, drawn file by file while there are few and by
their sum where there are hundreds; cohorts are served first come, first served. Penstock itself lets batches take
turns, so that in a bulk load this is the worst that a single file can meet. The rule is the product's own,
`penstock.scaling`. Everything is drawn from a seed.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from penstock.models import MAX_CHUNKS_PER_MESSAGE
from penstock.scaling import Scaled, ScalingRule, scale

DAY = 86_400
FEW = 200
"""Files of one second that are drawn one by one: of more, the sum is as good as normal."""
PATIENCE = 20 * DAY
"""Seconds after the last arrival until the queues must be empty."""


@dataclass(frozen=True, slots=True)
class Files:
    """What is handed in. A few large files hold most of the text: sizes are lognormal."""

    mean_chunks: float = 24.0
    sigma: float = 1.2

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Chunks of each of `count` files, at least one."""
        middle = math.log(self.mean_chunks) - self.sigma**2 / 2
        return np.maximum(1.0, np.rint(np.exp(middle + self.sigma * random.standard_normal(count))))


@dataclass(frozen=True, slots=True)
class Platform:
    """What runs the Workers, and how long it takes to notice and to act. Seconds."""

    name: str
    period: int
    """Between two looks at the backlog."""
    lag: int
    """Age of the backlog that it sees."""
    start: int
    """Until a Worker that is asked for takes its first message."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of Worker does: seconds of it alone on its machine."""

    per_file: float
    per_chunk: float
    side_by_side: int
    """Messages that it needs in hand to be busy: fewer leave some of its cores idle."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """By second: how many files, and their Chunks together."""

    files: NDArray[np.int64]
    chunks: NDArray[np.float64]


@dataclass(slots=True)
class Cohort:
    """Files that go together."""

    entered: int
    origin: int
    files: float
    chunks: float


@dataclass(slots=True)
class Times:
    """How many files waited how many whole seconds."""

    files: dict[int, float] = field(default_factory=dict[int, float])

    def add(self, seconds: int, files: float) -> None:
        self.files[seconds] = self.files.get(seconds, 0.0) + files

    def percentile(self, share: float) -> float:
        """The least time that this share of the files did not exceed. Seconds."""
        seconds = sorted(self.files)
        summed = list(accumulate(self.files[one] for one in seconds))
        return float(seconds[bisect_left(summed, share * summed[-1] * (1 - 1e-12))])


@dataclass(slots=True)
class Stage:
    """A queue and its Workers."""

    work: Work
    rule: ScalingRule
    platform: Platform
    messages_per_file: float
    queue: deque[Cohort] = field(default_factory=deque[Cohort])
    scaled: Scaled = field(default_factory=lambda: Scaled(0))
    ready: int = 0
    starting: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])
    waiting_files: float = 0.0
    backlogs: list[int] = field(default_factory=list[int])
    workers: list[int] = field(default_factory=list[int])
    """By second; those that start are paid for as well."""
    busy_seconds: float = 0.0
    times: Times = field(default_factory=Times)

    def enter(self, cohort: Cohort) -> None:
        self.queue.append(cohort)
        self.waiting_files += cohort.files

    def step(self, now: int) -> list[Cohort]:
        """One second: look at the backlog if it is time, work, and hand on what is done."""
        self.backlogs.append(math.ceil(max(0.0, self.waiting_files) * self.messages_per_file - 1e-6))
        if now % self.platform.period == 0:
            seen = self.backlogs[max(0, now - self.platform.lag)]
            self.scaled = scale(self.scaled, self.rule, backlog=seen, now=now)
            self._obey(now)
        while self.starting and self.starting[0][0] <= now:
            self.ready += self.starting.popleft()[1]
        self.workers.append(self.ready + sum(count for _, count in self.starting))
        return self._serve(now)

    def _obey(self, now: int) -> None:
        """Start what is missing. Of what is too much those go first that have not begun."""
        change = self.scaled.workers - self.ready - sum(count for _, count in self.starting)
        if change > 0:
            self.starting.append((now + self.platform.start, change))
        while change < 0 and self.starting:
            at, count = self.starting.pop()
            if count + change > 0:
                self.starting.append((at, count + change))
            change = min(0, change + count)
        self.ready += min(0, change)

    def _serve(self, now: int) -> list[Cohort]:
        in_hand = self.waiting_files * self.messages_per_file / self.work.side_by_side
        left = min(float(self.ready), max(in_hand, 1.0))
        done: list[Cohort] = []
        while self.queue and left > 1e-12:
            first = self.queue[0]
            needed = first.files * self.work.per_file + first.chunks * self.work.per_chunk
            share = min(1.0, left / needed)
            done.append(Cohort(now, first.origin, first.files * share, first.chunks * share))
            self.times.add(now - first.entered, first.files * share)
            self.waiting_files -= first.files * share
            self.busy_seconds += needed * share
            left -= needed * share
            if share == 1.0:
                self.queue.popleft()
            else:
                first.files, first.chunks = first.files * (1 - share), first.chunks * (1 - share)
        if not self.queue:
            self.waiting_files = 0.0  # what rounding left
        return done


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a day."""

    ingesters: Stage
    embedders: Stage
    total: Times
    """From the upload to the last vector."""

    @property
    def paid_hours(self) -> float:
        """Of Workers of both kinds."""
        return (sum(self.ingesters.workers) + sum(self.embedders.workers)) / 3600

    @property
    def busy_hours(self) -> float:
        """The least that any way of scaling could pay."""
        return (self.ingesters.busy_seconds + self.embedders.busy_seconds) / 3600


def day(rate: Callable[[float], float], *, files: Files, bursts: dict[int, int], seed: int, seconds: int) -> Arrivals:
    """Poisson arrivals at `rate(second)` files a second, and bursts: so many files each, spread over one minute."""
    random = np.random.default_rng(seed)
    counts = random.poisson([rate(second) for second in range(seconds)]).astype(np.int64)
    for begin, size in bursts.items():
        counts[begin : begin + 60] += np.diff(np.linspace(0, size, 61).astype(np.int64))
    return Arrivals(counts, _chunks(counts, files, random))


def _chunks(counts: NDArray[np.int64], files: Files, random: np.random.Generator) -> NDArray[np.float64]:
    few = np.where(counts <= FEW, counts, 0)
    owners = np.repeat(np.arange(len(counts)), few)
    drawn_few = files.draw(int(few.sum()), random)
    sums = np.bincount(owners, weights=drawn_few, minlength=len(counts)).astype(np.float64)
    sample = files.draw(1_000_000, np.random.default_rng(1))
    many = np.where(counts > FEW, counts, 0)
    drawn = many * sample.mean() + np.sqrt(many) * sample.std() * random.standard_normal(len(many))
    return sums + np.maximum(many, drawn)


def messages_per_file(files: Files) -> float:
    """Messages on the embedding-queue for a file, on the average."""
    sample = files.draw(1_000_000, np.random.default_rng(1))
    return float(np.ceil(sample / MAX_CHUNKS_PER_MESSAGE).mean())


def simulate(arrivals: Arrivals, ingesters: Stage, embedders: Stage) -> Outcome:
    """Until everything is done. Raises `RuntimeError` where that takes forever."""
    total, now, end = Times(), 0, len(arrivals.files)
    while now < end or ingesters.queue or embedders.queue:
        if now > end + PATIENCE:
            raise RuntimeError("the Workers never finish: the limits are too low for this load")
        if now < end and arrivals.files[now]:
            ingesters.enter(Cohort(now, now, float(arrivals.files[now]), float(arrivals.chunks[now])))
        for cohort in ingesters.step(now):
            embedders.enter(cohort)
        for cohort in embedders.step(now):
            total.add(now - cohort.origin, cohort.files)
        now += 1
    return Outcome(ingesters, embedders, total)
