"""What Penstock wants to reach, row by row, and the benchmarks that measure it: the one list of each.

`make bench` runs the list from first to last, the page has a line for each row, and the tests run what is `alone`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the table, in the words that the project set itself."""

    row: int
    measure: str
    wanted: str


TARGETS = (
    Target(1, "embedding engine, texts of mixed lengths", "≥ 6 times sentence-transformers at cosine ≥ 0.9999"),
    Target(2, "embedding engine, arithmetic", "≥ 0.70 of the peak of bf16 matrix multiplication"),
    Target(3, "filings, from upload to all searchable, everything durable", "≥ 6 times LlamaIndex in memory"),
    Target(4, "the same, beside its parts alone", "≥ 0.90 of parsing, chunking and embedding alone"),
    Target(5, "queue, database and index, the engine returns at once", "≥ 5,000 chunks/s without the vector index"),
    Target(6, "parsing text PDFs, one core", "≥ 0.70 of PDFium's raw text calls"),
    Target(7, "chunking, one core", "≥ 5 times semantic-text-splitter"),
    Target(8, "one file of one page on an idle system", "p50 ≤ 150 ms, p99 ≤ 500 ms"),
    Target(9, "1 to 8 Embedders on a remote engine of 100 ms latency", "≥ 0.95 of linear"),
    Target(10, "1 GB of text, 10,000 PDF pages, 1,000,000 rows of csv", "Ingester's peak ≤ 600 MB"),
    Target(11, "500,000 stored chunks beside 10,000", "≥ 0.8 of the speed, search p95 ≤ 50 ms at recall@10 ≥ 0.95"),
    Target(12, "processor time of a chunk outside parsing, embedding and the index", "≤ 0.4 ms"),
    Target(13, "10,000 small Markdown files", "≥ 6 times LlamaIndex; unchanged again: ≥ 50 times the first time"),
)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A script that prints its figures and writes `results/NAME.json`."""

    name: str
    rows: tuple[int, ...]
    """Of `TARGETS`; 0 is no row, but something that must hold as well."""
    peer: bool = False
    """Whether it needs the environment that `peers/install.py` makes."""
    alone: bool = False
    """Whether its quick form needs no peer and takes seconds, on a busy machine too: the tests run it."""

    @property
    def script(self) -> Path:
        return FOLDER / f"{self.name}.py"


BENCHMARKS = (
    Benchmark("engine", (1, 2), peer=True),
    Benchmark("end_to_end", (3, 4), peer=True),
    Benchmark("flow", (5, 12)),
    Benchmark("pdf", (6,), alone=True),
    Benchmark("chunking", (7,)),
    Benchmark("idle", (8,)),
    Benchmark("embedders", (9,)),
    Benchmark("large_files", (10,)),
    Benchmark("half_a_million", (11,)),
    Benchmark("small_files", (13,), peer=True, alone=True),
    Benchmark("vectors", (0,), peer=True),
)
