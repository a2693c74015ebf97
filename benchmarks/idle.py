"""One small file on an idle Penstock: from the first byte of its upload until search sees it.

Penstock runs as `penstock up` starts it. Files are handed in one after the other, a Markdown note and a PDF of one page
in turn, each with a word that no other has. The moment at which a File is searchable is read from its row, over a
connection of the benchmark's own that looks every 2 ms: asking the API so often would be work for the processor
that is measured. Then a search for the word has to find the file.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg
from measured import RESULTS, Figure, keep
from penstock_run import BenchmarkError, RunningPenstock, running_penstock

LOOK_SECONDS = 0.002
DEADLINE_SECONDS = 30.0
REST_SECONDS = 0.1
"""Between two files: what the first leaves to do, such as acknowledging, is no part of the second."""
WARM_UP = 6
WORDS = (
    "the pump of unit gauge valve pressure level water gate intake turbine shift was read and noted by operator night "
    "before after within limits report penstock spillway flow metres seconds opened closed checked again"
)


@dataclass(frozen=True, slots=True)
class Handled:
    """One file's times, in seconds from the first byte of its upload."""

    kind: str
    answered: float
    """When the API had stored it and said so."""
    searchable: float
    found: float
    """When a search for its word had answered with it."""


def prose(word: str, random: Random, count: int) -> str:
    """So many words, one of which is `word`."""
    words: list[str] = random.choices(WORDS.split(), k=count)
    words[random.randrange(count)] = word
    return " ".join(words)


def markdown(word: str, random: Random) -> tuple[str, bytes]:
    """A note of half a page."""
    return (
        f"{word}.md",
        f"# Shift report\n\n{prose(word, random, 120)}\n\n## Readings\n\n{prose(word, random, 80)}\n".encode(),
    )


def pdf(word: str, random: Random) -> tuple[str, bytes]:
    """One page, 35 lines of text."""
    words = prose(word, random, 350).split()
    lines = [" ".join(words[start : start + 10]) for start in range(0, len(words), 10)]
    shown = "BT /F1 11 Tf 60 780 Td 20 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Font << /F1 5 0 R >> >>",
    ]
    content, places = "%PDF-1.4\n", list[int]()
    for number, body in enumerate(objects, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    return f"{word}.pdf", (content + end).encode()


KINDS: Sequence[Callable[[str, Random], tuple[str, bytes]]] = (markdown, pdf)


def hand_in(penstock: RunningPenstock, rows: psycopg.Connection, made: tuple[str, bytes], word: str) -> Handled:
    """Hand one file in and wait until it is found."""
    name, content = made
    began = time.perf_counter()
    answer = penstock.http.post("/files", files={"file": (name, content)}).raise_for_status().json()
    answered = time.perf_counter() - began
    wait_until_complete(rows, UUID(answer["file_id"]))
    searchable = time.perf_counter() - began
    hits = penstock.search(word, k=1)
    if not hits or hits[0]["file_id"] != answer["file_id"]:
        raise BenchmarkError(f"a search for {word} does not find {name}")
    return Handled(name.rpartition(".")[2], answered, searchable, time.perf_counter() - began)


def wait_until_complete(rows: psycopg.Connection, file_id: UUID) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = rows.execute("select status from files where file_id = %s", [file_id], prepare=True).fetchone()
        if found == ("complete",):
            return
        if found == ("failed",):
            raise BenchmarkError(f"File {file_id} failed")
        time.sleep(LOOK_SECONDS)
    raise BenchmarkError(f"File {file_id} was not complete within {DEADLINE_SECONDS:.0f} s")


def hand_in_all(penstock: RunningPenstock, count: int, *, seed: int) -> Iterator[Handled]:
    random = Random(seed)
    with psycopg.connect(penstock.database_url, autocommit=True) as rows:
        for kind in islice(cycle(KINDS), count):
            word = "".join(random.choices("bcdfghjklmnpqrstvwxz", k=12))
            yield hand_in(penstock, rows, kind(word, random), word)
            time.sleep(REST_SECONDS)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(handled: Sequence[Handled]) -> dict[str, float]:
    searchable = [1000 * one.searchable for one in handled]
    return {
        "files": len(handled),
        "answered_p50": round(statistics.median(1000 * one.answered for one in handled), 1),
        "searchable_p50": round(statistics.median(searchable), 1),
        "searchable_p99": round(percentile(searchable, 0.99), 1),
        "searchable_longest": round(max(searchable), 1),
        "search_p50": round(statistics.median(1000 * (one.found - one.searchable) for one in handled), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="a dozen files")
    parser.add_argument("--output", type=Path, default=RESULTS / "idle.json")
    options = parser.parse_args()
    with running_penstock() as penstock:
        for _ in hand_in_all(penstock, WARM_UP, seed=1):
            pass
        handled = list(hand_in_all(penstock, 12 if options.quick else options.files, seed=2))
    found = milliseconds(handled)
    note = f"upload answered after {found['answered_p50']} ms; a search took {found['search_p50']} ms more"
    p50, p99 = found["searchable_p50"], found["searchable_p99"]
    measure = "one file of a page on an idle system, upload to searchable, "
    keep(
        "idle",
        [
            Figure(8, measure + "p50", "ms", p50, None, "", p50, 150, "lower", note),
            Figure(
                8, measure + "p99", "ms", p99, None, "", p99, 500, "lower", f"longest {found['searchable_longest']} ms"
            ),
        ],
        {
            "milliseconds": found,
            "by_kind": {kind: milliseconds([one for one in handled if one.kind == kind]) for kind in ("md", "pdf")},
        },
        output=options.output,
    )


if __name__ == "__main__":
    main()
