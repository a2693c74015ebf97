"""docs/reliability.md, and a page for each other broker: what a run has shown, and how to repeat it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.run import Phase, Result
from chaos.sqs_broker import SqsBroker

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {"redis": DOCS / "reliability.md", "sqs": DOCS / "reliability-sqs.md"}

HEAD = """# Reliability{where}: what was broken, and what became of the files

Written by `make chaos` (`tests/chaos`), which runs a whole Penstock as `penstock up` does, with {ingesters} Ingesters
and {embedders} Embedders and the default model, on a PostgreSQL, {broker} and an S3 of its own, each behind a TCP
proxy.
A stubborn client hands files in over HTTP while processes are killed, servers lose their data and the network fails; a
fault comes when there is work in hand, and the next one a moment after it is over.

The same Penstock reads the same files with nothing in its way, and the rows are compared: every File `complete`, or
`failed` with the code that it has without faults; every Chunk the same in text, place, pages, headings, metadata and
context; every vector the same, within {close} in cosine distance (a bf16 sum depends a little on its batch).

`make chaos {which}SEED={seed} FILES={files} FAULTS={faults} MINUTES={minutes:g}` repeats the run:
the files, the faults and their order follow from the seed; what exactly a fault hits depends on the machine.

| | |
|---|---|
| seed | {seed} |
| commit | {commit} |
| machine | {machine} |
| duration | {duration}, and {reference} without faults |
| files handed in | {handed} |
| faults injected | {injected} |
| lost, stuck, duplicated, different | {sums} |
| slowest takeover | {slowest} |
| largest cosine distance of two vectors of one text | {distance:.1e} |
| orphan objects, processes, temporary files | {leftovers} |
"""

EXPLANATION = """
*Lost*: not there, or failed for a reason that the run without faults does not know (which `parser_…` code a file gets
that always ends its parser depends on whether a fault was quicker). *Stuck*: neither complete nor
failed when nothing moved any more, or a message that stayed on a queue. *Duplicated*: a File twice, a Chunk of a former
generation, or a File that had been deleted. *Different*: other Chunks or vectors than without faults. *Slowest
takeover*: from the fault until the last message that the Worker held was done or in another Worker's hands.
"""

NOTES = """
## How some faults are made

- **Fail points** (`src/penstock/failpoints.py`) stand behind every durable operation of the steps; a test reads the
  code and finds one that is missing. Each is reached in turn, and kills the process that reaches it.
- **Clock jumps**: {clocked} and the installation run with a small library preloaded (`tests/chaos/clock.c`)
  that shifts the wall clock, by 5 seconds to an hour, forwards or backwards, for one of them at a time. The
  monotonic clock is left alone, as it is by a clock that is set. Parser children have an environment of their own and
  no such library.
- **Disk full**: the installation's temporary folder, a file system of {temporary} MiB, is filled to the last byte.
{own}
- **Network**: *cut* resets all connections and refuses new ones; *stalled* forwards nothing and says nothing; *slow*
  holds back each piece by 50 to 300 ms. Each lasts up to {outage:g} s.
"""


OF_REDIS = """\
- **Redis from an old copy**: its append-only file is copied, work goes on, Redis is killed and starts with the copy."""
OF_SQS = """\
- **SQS** is an emulator, moto's, over HTTP: AWS was not at hand. It counts exactly, so that Workers were told to
  believe its counts after {late:g} s (`PENSTOCK_QUEUE_COUNTS_LATE_SECONDS`) instead of a minute, and keeps everything
  in memory: restarted it is empty. *Deleted and made again*: half of the times by hand, without what Penstock sets,
  else by a Worker that misses them.
- **Not injected on SQS**: {left_out}."""


@dataclass(frozen=True)
class Section:
    """A measurement besides the table."""

    title: str
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Asked:
    """What the run was asked for."""

    files: int
    faults: int
    minutes: float


def write(result: Result, asked: Asked, sections: Sequence[Section]) -> None:
    """The whole page of the broker that the run was on."""
    parts = [_head(result, asked), "## The table\n", _table(result.phases), EXPLANATION]
    if result.problems:
        parts += ["## What went wrong\n", *(f"- {problem}" for problem in result.problems), ""]
    parts.append(_notes(result))
    parts += [f"## {section.title}\n\n{section.text}\n" for section in sections]
    PAGES[result.plan.broker].write_text("\n".join(parts))


def _notes(result: Result) -> str:
    is_redis = result.plan.broker == "redis"
    left_out = "; ".join(f"{fault} ({why})" for fault, why in SqsBroker.left_out.items())
    return NOTES.format(
        temporary=result.plan.temporary_mib,
        outage=result.outage_seconds,
        clocked="PostgreSQL, Redis" if is_redis else "PostgreSQL",
        own=OF_REDIS if is_redis else OF_SQS.format(late=result.plan.counts_late_seconds, left_out=left_out),
    )


def _head(result: Result, asked: Asked) -> str:
    findings = [phase.findings for phase in result.phases]
    sums = [sum(getattr(found, kind) for found in findings) for kind in ("lost", "stuck", "duplicated", "different")]
    slowest = max((phase.slowest_takeover or 0.0 for phase in result.phases), default=0.0)
    left = (result.orphans, result.processes_left, result.temporary_left)
    is_redis = result.plan.broker == "redis"
    return HEAD.format(
        where="" if is_redis else " on SQS",
        broker="a Redis" if is_redis else "an SQS",
        which="" if is_redis else f"BROKER={result.plan.broker} ",
        ingesters=result.plan.ingesters,
        embedders=result.plan.embedders,
        close="0.001",
        seed=result.seed,
        files=asked.files,
        faults=asked.faults,
        minutes=asked.minutes,
        commit=_commit(),
        machine=_machine(),
        duration=_duration(result.seconds),
        reference=_duration(result.reference_seconds),
        handed=f"{result.files:,}",
        injected=f"{result.faults:,}",
        sums=", ".join(map(str, sums)),
        slowest=f"{slowest:.1f} s",
        distance=max((found.largest_distance for found in findings), default=0.0),
        leftovers=", ".join(str(len(things)) for things in left),
    )


def _table(phases: Sequence[Phase]) -> str:
    columns = ("fault", "times", "files handed in", "lost", "stuck", "duplicated", "different", "slowest takeover")
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    for phase in phases:
        found = phase.findings
        takeover = (
            "" if phase.slowest_takeover is None else f"{phase.slowest_takeover:.1f} s ({phase.taken_over} messages)"
        )
        cells = (phase.times, phase.files, found.lost, found.stuck, found.duplicated, found.different, takeover)
        shown = (f"not injected: {phase.skipped}", *[""] * 6) if phase.skipped else cells
        lines.append(f"| {' | '.join(map(str, (phase.fault, *shown)))} |")
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    said = subprocess.run(command, cwd=DOCS, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def _machine() -> str:
    told = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
    )
