"""`docs/scaling.md` and its plots, from what `scaling.py` simulated."""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from plot import INK, MISSED, OURS
from scaling_model import Outcome, Platform, Times

from penstock.scaling import ScalingRule

DOLLARS_AN_HOUR = 2 * 0.04048 + 4 * 0.004445
"""For a Worker of 2 vCPU and 4 GB: AWS Fargate's list price in its cheapest region, Linux on x86."""
COLOURS = ("#7fb0c0", OURS, MISSED, "#6f7b82")


@dataclass(frozen=True, slots=True)
class Row:
    """One simulated day."""

    load: int
    kind: str
    name: str
    platform: Platform
    rules: tuple[ScalingRule, ScalingRule]
    outcome: Outcome

    @property
    def dollars(self) -> float:
        return self.outcome.paid_hours * DOLLARS_AN_HOUR

    @property
    def paid(self) -> float:
        """As a multiple of what the work itself takes."""
        return self.outcome.paid_hours / self.outcome.busy_hours

    @property
    def starts(self) -> int:
        return sum(
            max(0, after - before)
            for stage in (self.outcome.ingesters, self.outcome.embedders)
            for before, after in zip([0, *stage.workers], stage.workers, strict=False)
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """All that the page tells."""

    days: Sequence[Row]
    fleets: Sequence[Row]
    targets: Sequence[Row]
    cooldowns: Sequence[Row]


RULE = """\
# How many Workers

Written by `make scaling` (`benchmarks/scaling.py`), not by hand: a simulation with a seed, no measurement.

## The rule

    backlog  = messages waiting + in work     (GET /queues, /metrics: what waits in the rows counts, too)
    wanted   = backlog * service_seconds / target_seconds, rounded up, between the limits
    workers  = the most wanted within the last cooldown_seconds

`src/penstock/scaling.py` is the rule, a pure function. One message wants one Worker, none wants none. More come at
once, fewer after the cooldown. At an even rate a message takes `target_seconds` from its arrival to its end, whatever
the rate is (Little's law), so the target is what one chooses, and the Workers follow.

Scale on the backlog that Penstock reports, not on the length of the queue. The queue is kept short on purpose
(4 or 16 messages and 1 or 2 for each one in work, [ADR 18](decisions/0018-rows-are-the-backlog.md)): Redis' stream
lag and SQS' `ApproximateNumberOfMessagesVisible` never show more, and a rule that divides them by a target would run
one Worker for a million files. `deploy/` therefore asks the Core API's `/queues`, and
[ADR 28](decisions/0028-scaling-on-the-reported-backlog.md) says why.

| | service_seconds | target_seconds | cooldown_seconds | backlog per Worker | simulated here with |
|---|---|---|---|---|---|
{shipped}

Service times are those of a Worker with 2 cores, for files of 24 Chunks on the average (lognormal: half have 12 or
fewer, one in a hundred has more than 190). Source: {source}.
Your own: messages that one busy Worker settles in an hour, `increase(penstock_attempts_total[1h])` of that Worker,
into 3,600 s.
"""

DAYS = """
## A day

Files come by night at a fifth of the day's mean and at noon at nine fifths of it. *Bulk*: a fifth of the day's files
come in three loads of a minute each. The backlog is looked at every 15 s and is 15 s old then; a Worker takes its first
message 45 s after it is asked for, of which the process itself needs 4. First come, first served: Penstock lets batches
take turns, so a single file beside a bulk load waits less than here. Limits: four times the Workers that the mean
keeps busy.

| files a day | | ingest-queue p50, p99 | embedding-queue p50, p99 | upload to searchable p50, p99 \
| Ingesters, Embedders at most | Worker hours paid, of work | $ a day | $ a million files |
|---|---|---|---|---|---|---|---|---|
{days}

A Worker hour is {dollars:.4f} $: 2 vCPU and 4 GB at AWS Fargate's list price. Workers alone: no database, no store.
At 10,000 files a day a file comes every nine seconds and one Worker of each kind hardly ever stops: scaling to zero
pays where there are hours without files. Minutes at p99 with bulk loads are the limit's: 67,000 files in one minute
are more than so many Workers do in time.

![Workers over a day with three bulk loads](scaling-day.svg)

Beside fleets that never change, 1,000,000 files with bulk loads:

| Workers | upload to searchable p50, p99 | Worker hours paid | $ a day |
|---|---|---|---|
{fleets}
"""

CONSTANTS = """
## Where the constants come from

**The target.** Between a longer backlog and the Worker that it brings lies a delay: until the next look, the age of
what it sees, the start. A backlog that is worked off by (backlog of a delay ago) / target is a delayed integrator: it
comes to rest without swinging only if the target is at least e = 2.72 times the delay, and below π/2 = 1.57 times it
the swings never end. A target that short is not kept, and it costs, as the cooldown keeps the crest of each wave. Paid
Worker hours as a multiple of the work, and p99 from upload to searchable, which is two queues; 100,000,000 files a day
without bulk loads:

| delay, e times it | {columns} |
|---|{bars}
{platforms}

![Paid hours by target](scaling-target.svg)

`INGESTERS` and `EMBEDDERS` have the shortest target of the table at which Kubernetes with its nodes there pays for the
work alone. Where nodes have to be started it is 180 s, and on ECS, which acts after three CloudWatch minutes, 300 s.

**The cooldown.** 1,000,000 files with bulk loads, target as shipped. A longer one pays for idle Workers, a shorter one
starts more of them. 300 s is where the curve of the costs begins to rise.

| cooldown | Worker hours paid | starts | upload to searchable p50, p99 |
|---|---|---|---|
{cooldowns}

## What this does not say

- *The database.* Workers are not the limit at a hundred million files a day. One PostgreSQL took 1,900 to 4,300 vectors
  a second without the vector index, which costs more than ten times the rest
  ([ADR 23](decisions/0023-a-message-is-one-statement.md)); a million files a day of 24 Chunks are 280 a second, a
  hundred million 28,000. That load needs its documents spread over many installations; the table shows what their
  Workers need together.
- *A large file* is read by one core however many Workers there are.
- *Machines that vanish* are left out: their messages come back after a lease, 15 s.
- The simulation is held against an exact one with fixed Workers (`tests/unit/test_scaling_model.py`), not yet against
  a real run. The service times are one processor's: the rule wants yours.
"""


def write_page(
    docs: Path,
    tables: Tables,
    *,
    service: tuple[float, float],
    source: str,
    shipped: tuple[ScalingRule, ScalingRule],
) -> Path:
    """Write the page and its plots into `docs`; the page's path."""
    docs.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "penstock"  # the same figures give the same file
    for name, drawing in (
        ("scaling-day.svg", draw_days([row for row in tables.days if row.kind == "bulk"])),
        ("scaling-target.svg", draw_targets(tables.targets)),
    ):
        drawing.savefig(docs / name, transparent=True, metadata={"Date": None})
    page = docs / "scaling.md"
    page.write_text(
        RULE.format(source=source, shipped=_lines(map(_shipped, ("`INGESTERS`", "`EMBEDDERS`"), shipped, service)))
        + DAYS.format(
            dollars=DOLLARS_AN_HOUR, days=_lines(map(_day, tables.days)), fleets=_lines(map(_fleet, tables.fleets))
        )
        + _constants(tables)
    )
    return page


def _lines(rows: Iterable[str]) -> str:
    return "\n".join(rows)


def _shipped(name: str, rule: ScalingRule, seconds: float) -> str:
    return (
        f"| {name} | {rule.service_seconds:g} | {rule.target_seconds:g} | {rule.cooldown_seconds:g} | "
        f"{rule.backlog_per_worker:,.0f} | {seconds:.3f} s |"
    )


def _day(row: Row) -> str:
    outcome = row.outcome
    queues = " | ".join(_pair(times) for times in (outcome.ingesters.times, outcome.embedders.times, outcome.total))
    most = f"{max(outcome.ingesters.workers):,}, {max(outcome.embedders.workers):,}"
    return (
        f"| {row.load:,} | {row.kind} | {queues} | {most} | {outcome.paid_hours:,.0f}, {outcome.busy_hours:,.1f} | "
        f"{row.dollars:,.2f} | {row.dollars / row.load * 1e6:,.2f} |"
    )


def _fleet(row: Row) -> str:
    return f"| {row.name} | {_pair(row.outcome.total)} | {row.outcome.paid_hours:,.0f} | {row.dollars:,.2f} |"


def _constants(tables: Tables) -> str:
    targets = sorted({int(row.name) for row in tables.targets})
    platforms = dict.fromkeys(row.platform for row in tables.targets)
    return CONSTANTS.format(
        columns=" | ".join(f"target {target} s" for target in targets),
        bars="---|" * len(targets),
        platforms=_lines(_platform(platform, tables.targets) for platform in platforms),
        cooldowns=_lines(
            f"| {row.name} s | {row.outcome.paid_hours:,.0f} | {row.starts:,} | {_pair(row.outcome.total)} |"
            for row in tables.cooldowns
        ),
    )


def _platform(platform: Platform, rows: Iterable[Row]) -> str:
    cells = [
        f"{row.paid:.2f}, {_seconds(row.outcome.total.percentile(0.99))}" for row in rows if row.platform == platform
    ]
    return f"| {platform.name}: {delay(platform):.0f} s, {math.e * delay(platform):.0f} s | {' | '.join(cells)} |"


def delay(platform: Platform) -> float:
    """Seconds between a backlog and the Workers that it brings, on the average."""
    return platform.period / 2 + platform.lag + platform.start


def _pair(times: Times) -> str:
    return f"{_seconds(times.percentile(0.5))}, {_seconds(times.percentile(0.99))}"


def _seconds(value: float) -> str:
    return "< 1 s" if value < 1 else f"{value:,.0f} s" if value < 600 else f"{value / 60:,.0f} min"


def draw_days(rows: Sequence[Row]) -> Drawing:
    """Workers of both kinds over the day, one picture for each load."""
    drawing = Drawing(figsize=(7.6, 1.9 * len(rows)), layout="constrained")
    for axes, row in zip(drawing.subplots(len(rows), sharex=True, squeeze=False).flat, rows, strict=True):
        plain(axes)
        for label, stage, colour in (
            ("Embedders", row.outcome.embedders, OURS),
            ("Ingesters", row.outcome.ingesters, MISSED),
        ):
            workers = stage.workers[::60]
            hours = [minute / 60 for minute in range(len(workers))]
            axes.step(hours, workers, where="post", color=colour, linewidth=1.2, label=label)
        axes.set_title(f"{row.load:,} files a day", loc="left", fontsize=9, color=INK)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    drawing.axes[-1].set_xlabel("hour", color=INK, fontsize=9)
    return drawing


def draw_targets(rows: Sequence[Row]) -> Drawing:
    """Paid hours as a multiple of the work, by the target as a multiple of the delay."""
    drawing = Drawing(figsize=(7.6, 3.2), layout="constrained")
    axes = drawing.add_subplot()
    plain(axes)
    for colour, platform in zip(COLOURS, dict.fromkeys(row.platform for row in rows), strict=False):
        curve = [row for row in rows if row.platform == platform]
        ratios = [int(row.name) / delay(platform) for row in curve]
        axes.plot(ratios, [row.paid for row in curve], color=colour, marker="o", markersize=3, label=platform.name)
    axes.axvline(math.e, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_xlabel("target / delay (dashed: e)", color=INK, fontsize=9)
    axes.set_title("Worker hours paid, as a multiple of the work", loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawing


def plain(axes: Axes) -> None:
    """Nothing but what is drawn."""
    axes.tick_params(colors=INK, length=0, labelsize=8)
    axes.spines[:].set_visible(False)
