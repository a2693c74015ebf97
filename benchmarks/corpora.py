"""Hand the corpora in as a user would and print what became of each format, and what memory it took.

Two runs: the good files (`formats/` and `docs/`), then the hostile ones together with a hundred good ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from folders import CORPORA
from penstock_run import Added, BenchmarkError, RunningPenstock, looking, role_of, running_penstock
from rich.console import Console
from rich.table import Table

GOOD_FILES = 100
SAMPLE_SECONDS = 0.05
console = Console()


@dataclass
class Peaks:
    """The most memory that the processes of each role held together, bytes, and who ran."""

    bytes_by_role: Counter[str] = field(default_factory=Counter[str])
    pids_by_role: dict[str, set[int]] = field(default_factory=dict[str, set[int]])


@contextmanager
def watching_memory(penstock: RunningPenstock) -> Generator[Peaks]:
    """Samples the resident memory of Ingesters, their parser children, Embedders and the API while the block runs."""
    peaks, supervisor = Peaks(), penstock.supervisor()
    with looking(lambda: _look(supervisor, peaks), every=SAMPLE_SECONDS):
        yield peaks


def _look(supervisor: psutil.Process, peaks: Peaks) -> None:
    now: Counter[str] = Counter()
    for process in supervisor.children(recursive=True):
        try:
            role = role_of(process)
            now[role] += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        peaks.pids_by_role.setdefault(role, set()).add(process.pid)
    peaks.bytes_by_role |= now


def outcomes(added: Sequence[dict[str, Any]], title: str) -> Table:
    """A row for each ending of a name: how many complete, and the codes of the others."""
    table = Table("format", "files", "complete", "failed with", title=title, title_justify="left")
    by_format: dict[str, list[str]] = {}
    for line in added:
        code = line["error"]["code"] if line["error"] else line["status"]
        by_format.setdefault(Path(line["name"]).suffix.lower() or "(none)", []).append(code)
    for suffix, codes in sorted(by_format.items(), key=lambda item: -len(item[1])):
        counts = Counter(codes)
        complete = counts.pop("complete", 0)
        table.add_row(suffix, str(len(codes)), str(complete), ", ".join(f"{code} {n}" for code, n in counts.items()))
    return table


def report(added: Added, peaks: Peaks, title: str) -> None:
    statuses = Counter(line["status"] for line in added.rows)
    title = f"{title}: {len(added.rows)} files in {added.seconds:.1f} s, {dict(statuses)}"
    console.print(outcomes(added.rows, title))
    for role in ("api", "ingester", "parser children", "embedder"):
        pids = len(peaks.pids_by_role.get(role, ()))
        console.print(f"  {role}: at most {peaks.bytes_by_role[role] / 2**20:.0f} MiB, {pids} processes in all")


def main() -> int:
    if not CORPORA.is_dir():
        raise BenchmarkError(f"There are no corpora in {CORPORA}; PENSTOCK_CORPORA names another place")
    with running_penstock() as penstock:
        with watching_memory(penstock) as peaks:
            added = penstock.add(CORPORA / "formats", CORPORA / "docs")
        report(added, peaks, "formats/ and docs/")
    with running_penstock() as penstock, tempfile.TemporaryDirectory() as folder:
        good = Path(folder) / "good"
        good.mkdir()
        for n in range(GOOD_FILES):
            (good / f"note-{n}.md").write_text(f"# Note {n}\n\n" + f"Gauge {n} was read by the night shift. " * 40)
        with watching_memory(penstock) as peaks:
            added = penstock.add(good, CORPORA / "hostile")
        report(added, peaks, f"hostile/ and {GOOD_FILES} good files")
        spared = [line for line in added.rows if line["name"].startswith("good/") and line["status"] == "complete"]
        console.print(f"  good files complete: {len(spared)} of {GOOD_FILES}")
    return 0 if len(spared) == GOOD_FILES else 1


if __name__ == "__main__":
    sys.exit(main())
