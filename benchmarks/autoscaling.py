"""`penstock up --ingesters auto --embedders auto`, played: one file on an idle machine, then a burst, then nothing.

A real Penstock with real processes, and an engine that does nothing but take the time of a remote service (`fake://`):
what is shown is the scaling. Prints what was found, and draws the backlog and the Workers into `docs/autoscaling.svg`.
Takes four minutes, of which three are cooldowns.

    .venv/bin/python benchmarks/autoscaling.py [--quick] [--docs FOLDER]
"""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from penstock_run import BenchmarkError, RunningPenstock, looking, role_of, running_penstock
from plot import INK, MISSED, OURS
from scaling_page import plain

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QUEUES

DOCS = Path(__file__).resolve().parent.parent / "docs"
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 180.0
OPTIONS = ("--ingesters", "auto", "--embedders", "auto")
SETTINGS = {
    # A service to `auto`, which allows four Embedders of it. A file is a message and a batch here, two are in work at
    # once: 0.3 s a message, as the rule has it.
    "PENSTOCK_EMBEDDING_MODEL": "fake://384?latency_ms=600",
    "PENSTOCK_EMBEDDING_URL": "http://127.0.0.1:9/v1",
    "PENSTOCK_EMBEDDING_BATCH_TOKENS": "2048",
    "PENSTOCK_QUEUE_MAX_ATTEMPTS": "1",  # an attempt that a stop had cost would fail its File
}
SENTENCES = 130
"""Of a file: some ten Chunks, a batch."""
ROLES = {"ingester": ("Ingesters", INGEST_QUEUE, MISSED), "embedder": ("Embedders", EMBEDDING_QUEUE, OURS)}


@dataclass(frozen=True, slots=True)
class Look:
    """What there was at one moment, in seconds since the first."""

    at: float
    backlog: dict[str, int]
    """By queue."""
    workers: dict[str, int]
    """Processes by role, those that start and those that drain too."""


@dataclass(slots=True)
class Course:
    """What was seen, and when files were handed in and settled."""

    began: float = field(default_factory=time.monotonic)
    looks: list[Look] = field(default_factory=list[Look])
    marks: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def look(self, penstock: RunningPenstock) -> None:
        depths = penstock.http.get("/queues").raise_for_status().json()
        roles = Counter(role_of(process) for process in penstock.supervisor().children())
        self.looks.append(
            Look(
                self.now(),
                {queue: depths[queue]["waiting"] + depths[queue]["in_flight"] for queue in QUEUES},
                {role: roles[role] for role in ROLES},
            )
        )

    def now(self) -> float:
        return time.monotonic() - self.began

    def mark(self, what: str) -> None:
        self.marks.append((self.now(), what))

    def wait_for(self, holds: Callable[[Look], bool], what: str) -> float:
        """Seconds until a look shows it."""
        began = self.now()
        while not (self.looks and self.looks[-1].at >= began and holds(self.looks[-1])):
            if self.now() - began > PATIENCE_SECONDS:
                raise BenchmarkError(f"{what} was not seen within {PATIENCE_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS / 5)
        return self.now() - began


def nobody(look: Look) -> bool:
    return not any(look.workers.values())


def write_files(folder: Path, numbers: Iterable[int]) -> list[Path]:
    """Files of different text each."""
    paths = [folder / f"report-{number:04}.md" for number in numbers]
    for number, path in enumerate(paths):
        sentences = (
            f"On day {day} gauge {number} of {path.stem} was read by the night shift." for day in range(SENTENCES)
        )
        path.write_text(f"# Report {number}\n\n" + "\n\n".join(sentences))
    return paths


def play(penstock: RunningPenstock, course: Course, folder: Path, burst: int) -> None:
    """One file, nothing, many, nothing."""
    course.wait_for(nobody, "a Penstock without Workers")
    for what, numbers in (("1 file", range(1)), (f"{burst} files", range(1, burst + 1))):
        course.mark(what)
        ingestion = penstock.ingest(write_files(folder, numbers))
        course.mark("complete")
        print(f"{what}: complete after {ingestion.seconds:.1f} s")
        print(f"no Worker {course.wait_for(nobody, 'nobody at work'):.1f} s later")


def draw(course: Course) -> Drawing:
    """Backlog above, Workers below."""
    drawing = Drawing(figsize=(7.6, 3.8), layout="constrained")
    above, below = drawing.subplots(2, sharex=True)
    moments = [look.at for look in course.looks]
    for role, (label, queue, colour) in ROLES.items():
        above.plot(moments, [look.backlog[queue] for look in course.looks], color=colour, linewidth=1.2, label=queue)
        workers = [look.workers[role] for look in course.looks]
        below.step(moments, workers, where="post", color=colour, linewidth=1.2, label=label)
    for axes, title in ((above, "waiting and in work"), (below, "processes")):
        plain(axes)
        axes.set_title(title, loc="left", fontsize=9, color=INK)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
        for moment, _ in course.marks:
            axes.axvline(moment, color=INK, linewidth=0.6, linestyle=(0, (4, 3)))
    for moment, what in course.marks:
        if what != "complete":
            above.annotate(
                what, (moment, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                va="top", fontsize=8, color=INK,
            )  # fmt: skip
    below.set_xlabel("seconds (dashed: handed in, complete)", color=INK, fontsize=9)
    return drawing


def tell(course: Course) -> None:
    """The crests, and how much of the time processes ran."""
    whole = course.looks[-1].at - course.looks[0].at
    for role, (label, queue, _) in ROLES.items():
        most, deepest = (
            max(look.workers[role] for look in course.looks),
            max(look.backlog[queue] for look in course.looks),
        )
        paid = sum(now.workers[role] * (after.at - now.at) for now, after in pairwise(course.looks))
        print(f"{label}: {most} at most, for {deepest} messages at most; {paid:.0f} s of processes in {whole:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="seconds; figures without meaning")
    parser.add_argument("--docs", type=Path, default=DOCS)
    asked = parser.parse_args()
    quick = {"PENSTOCK_SCALING_COOLDOWN_SECONDS": "1"} if asked.quick else {}
    with (
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder,
        running_penstock(settings=SETTINGS | quick, options=OPTIONS) as penstock,
    ):
        course = Course()
        with looking(lambda: course.look(penstock), every=LOOK_SECONDS):
            play(penstock, course, Path(folder), 10 if asked.quick else 400)
        tell(course)
    mpl.rcParams["svg.hashsalt"] = "penstock"  # the same figures give the same file
    asked.docs.mkdir(parents=True, exist_ok=True)
    draw(course).savefig(asked.docs / "autoscaling.svg", transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
