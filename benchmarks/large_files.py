"""What an Ingester and its parser child hold at most while they read very large files, and when Chunks are embedded.

    .venv/bin/python benchmarks/large_files.py [--only text|pdf|csv] [--quick]

A text of 1 GB, a PDF file of 10,000 pages and a table of 1,000,000 rows, each handed in by HTTP to a Penstock of its
own, which runs as `penstock up` starts it; only the limits of time and text that would refuse such files are raised,
the engine is one that returns at once, and there is no HNSW index, which would take hours for a million vectors and
hold up the reading, for it is the reading that is looked at. The memory is the resident one of
the Ingester and of all that it started, added up at each look, shared pages and idle children included. A file ends
when all its Chunks are in the database; the first embedded one is what the database has first. With `--quick`: a small
table.
"""

# pypdfium2 has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import psutil
import psycopg
import pypdfium2
from folders import CORPORA
from measured import Figure, keep
from penstock_run import BenchmarkError, RunningPenstock, looking, role_of, running_penstock
from psycopg import sql

SETTINGS = {
    "PENSTOCK_EMBEDDING_MODEL": "fake://384",
    "PENSTOCK_PARSING_MAX_TEXT_MB": "2048",
    "PENSTOCK_PARSING_TIMEOUT_SECONDS": "3600",
}
WANTED_MB = 600.0
PATIENCE_SECONDS = 3600.0
LOOK_SECONDS = 0.05
MEGABYTE = 1_000_000
SEED = 10


@dataclass(frozen=True, slots=True)
class Size:
    """Of the three files."""

    text_megabytes: int
    pages: int
    rows: int


FULL = Size(text_megabytes=1000, pages=10_000, rows=1_000_000)
QUICK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one large file."""

    megabytes: float
    chunks: int
    peak_megabytes: float
    """Of the Ingester and all that it started."""
    peaks: dict[str, float]
    """Each of them for itself, whenever that was; MB."""
    seconds: float
    """From the end of the upload until all its Chunks were in the database."""
    seconds_to_first_embedded: float


class Memory:
    """Looks again and again at what an Ingester and its children hold."""

    def __init__(self, ingester: psutil.Process) -> None:
        self._ingester = ingester
        self.peak = 0
        """Bytes."""
        self.peaks: dict[str, int] = {}
        """Bytes by process."""

    def look(self) -> None:
        held = dict(self._held())
        self.peak = max(self.peak, sum(held.values()))
        for name, size in held.items():
            self.peaks[name] = max(self.peaks.get(name, 0), size)

    def _held(self) -> Iterator[tuple[str, int]]:
        for process in [self._ingester, *self._ingester.children(recursive=True)]:
            try:
                yield f"{role_of(process)} {process.pid}", process.memory_info().rss
            except psutil.NoSuchProcess:
                continue


def write_text(path: Path, megabytes: int) -> None:
    """Prose of the documentation, its paragraphs in another order each time."""
    choose = Random(SEED)
    texts = [source.read_text(encoding="utf-8") for source in sorted((CORPORA / "docs").rglob("*.md"))]
    paragraphs = [part for text in texts for part in text.split("\n\n") if part.strip()]
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * MEGABYTE:
            file.write("\n\n".join(choose.sample(paragraphs, len(paragraphs) // 4)) + "\n\n")


def write_pdf(path: Path, pages: int) -> None:
    """The pages of the filings, again and again."""
    target = pypdfium2.PdfDocument.new()
    sources = [pypdfium2.PdfDocument(source) for source in sorted((CORPORA / "filings").glob("*.pdf"))]
    while len(target) < pages:
        for source in sources:
            wanted = min(len(source), pages - len(target))
            if wanted > 0:
                target.import_pages(source, pages=list(range(wanted)))
    target.save(path)
    for document in (*sources, target):
        document.close()


def write_csv(path: Path, rows: int) -> None:
    choose = Random(SEED)
    places = ("intake", "spillway", "turbine hall", "surge tank", "upper gate", "lower gate")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("number", "place", "level", "pressure", "operator", "remark"))
        for number in range(rows):
            level, pressure = choose.uniform(400, 420), choose.uniform(2, 9)
            remark = f"read by hand, shift {number % 3}"
            table.writerow((number, choose.choice(places), f"{level:.2f}", f"{pressure:.3f}", number % 47, remark))


def read(path: Path) -> Reading:
    """Hand the file in to a Penstock that has read nothing yet."""
    with running_penstock(settings=SETTINGS) as penstock, psycopg.connect(penstock.database_url) as database:
        database.autocommit = True
        found = database.execute("select indexname from pg_indexes where indexdef ilike '%using hnsw%'").fetchall()
        for (name,) in found:
            database.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
        memory = Memory(ingester_of(penstock))
        with looking(memory.look, every=LOOK_SECONDS):
            file_id = penstock.upload(path)
            began = time.perf_counter()
            first, ended = _wait(database, file_id, began)
        [(chunks,)] = database.execute("select chunk_count from files where file_id = %s", (file_id,)).fetchall()
    return Reading(
        megabytes=path.stat().st_size / MEGABYTE,
        chunks=chunks,
        peak_megabytes=memory.peak / MEGABYTE,
        peaks={name: size / MEGABYTE for name, size in memory.peaks.items()},
        seconds=ended,
        seconds_to_first_embedded=first,
    )


def ingester_of(penstock: RunningPenstock) -> psutil.Process:
    """The one that `penstock up` started."""
    found = [one for one in penstock.supervisor().children() if role_of(one) == "ingester"]
    if len(found) != 1:
        raise BenchmarkError(f"There are {len(found)} Ingesters.")
    return found[0]


def _wait(database: psycopg.Connection, file_id: str, began: float) -> tuple[float, float]:
    """Seconds until the first Chunk was embedded, and until all were in the database, whichever came first."""
    first: float | None = None
    ended: float | None = None
    while time.perf_counter() - began < PATIENCE_SECONDS:
        row = database.execute("select status, error_message from files where file_id = %s", (file_id,)).fetchone()
        now = time.perf_counter() - began
        if row is None or row[0] == "failed":
            raise BenchmarkError(f"The file failed: {row}")
        if first is None and database.execute("select from embeddings limit 1").rowcount:
            first = now
        if ended is None and row[0] in {"embedding", "complete"}:
            ended = now
        if first is not None and ended is not None:
            return first, ended
        time.sleep(LOOK_SECONDS)
    raise BenchmarkError(f"The file was not read within {PATIENCE_SECONDS:.0f} s.")


def figure(what: str, reading: Reading) -> Figure:
    return Figure(
        row=10,
        measure=f"{what}: peak memory of the Ingester with its parser children",
        unit="MB",
        ours=reading.peak_megabytes,
        against=None,
        other="",
        value=reading.peak_megabytes,
        wanted=WANTED_MB,
        better="lower",
        note=f"{reading.megabytes:.0f} MB in {reading.seconds:.0f} s, {reading.chunks:,} chunks; the first was "
        f"embedded after {reading.seconds_to_first_embedded:.1f} s. Most of each process: "
        + ", ".join(f"{name.rpartition(' ')[0]} {size:.0f}" for name, size in reading.peaks.items())
        + " MB.",
    )


def files(size: Size) -> dict[str, tuple[str, str, Callable[[Path], None]]]:
    """By kind: what it is, its name, and who writes it."""
    return {
        "text": (f"{size.text_megabytes} MB of text", "large.txt", lambda path: write_text(path, size.text_megabytes)),
        "pdf": (f"{size.pages:,} pages of PDF", "large.pdf", lambda path: write_pdf(path, size.pages)),
        "csv": (f"{size.rows:,} rows of csv", "large.csv", lambda path: write_csv(path, size.rows)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", choices=("text", "pdf", "csv"), help="one of them; keeps nothing")
    parser.add_argument("--quick", action="store_true", help="a small table only")
    for name, of in (("text-megabytes", FULL.text_megabytes), ("pages", FULL.pages), ("rows", FULL.rows)):
        parser.add_argument(f"--{name}", type=int, default=of)
    arguments = parser.parse_args()
    size, only = Size(arguments.text_megabytes, arguments.pages, arguments.rows), arguments.only
    if arguments.quick:
        size, only = replace(size, rows=QUICK_ROWS), "csv"
    found: dict[str, tuple[Figure, Reading]] = {}
    try:
        for kind, (what, name, write) in files(size).items():
            if only in {None, kind}:
                with tempfile.TemporaryDirectory(prefix="penstock-large-") as folder:
                    path = Path(folder) / name
                    write(path)
                    reading = read(path)
                found[kind] = figure(what, reading), reading
                print(f"{what}: {reading.peak_megabytes:.0f} MB. {found[kind][0].note}", flush=True)
    except BenchmarkError as error:
        sys.exit(str(error))
    if arguments.only is None:  # a part of it is no measurement
        details: dict[str, Any] = {kind: asdict(reading) for kind, (_, reading) in found.items()}
        keep("large_files", [one for one, _ in found.values()], details)


if __name__ == "__main__":
    main()
