"""Pages a second of our PDF reader, beside PDFium's raw text calls on the same files, in turns, one core.

    .venv/bin/python benchmarks/pdf.py [--quick]

Ours is what a parser child runs: Blocks with headings, paragraphs, rows of tables and pages, in reading order, and the
count of words that shows whether any is lost. Beside it PDFium gives the text of each page as one string, and nothing
else is done. Seconds are those of the processor: neither side waits for anything.
With `--quick`: the file with the fewest pages, once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pypdfium2  # pyright: ignore[reportMissingTypeStubs]  # it has none
from folders import CORPORA
from measured import Figure, keep
from penstock_run import BenchmarkError

from penstock.parsing.coverage import Coverage
from penstock.parsing.formats import read
from penstock.parsing.media_type import PDF

ROUNDS = 7
WANTED = 0.70


def raw(path: Path) -> None:
    """PDFium's text of every page, nothing else."""
    document = pypdfium2.PdfDocument(path)
    for page in document:
        text = page.get_textpage()
        text.get_text_range()
        text.close()
        page.close()
    document.close()


def ours(path: Path) -> None:
    """Our Blocks: headings, paragraphs, table rows, pages; no word lost by the count that goes along."""
    coverage = Coverage()
    for _ in read(path, PDF, coverage):
        pass
    if coverage.lost or not coverage.counted:
        raise BenchmarkError(f"{path.name} was not read in full: {coverage}")


def pages_of(path: Path) -> int:
    document = pypdfium2.PdfDocument(path)
    try:
        return len(document)
    finally:
        document.close()


def measure(paths: Sequence[Path], *, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """The median round's ratio; a round reads each file by one and then the other."""
    pages = {path: pages_of(path) for path in paths}
    seconds = [{path: (_seconds(raw, path), _seconds(ours, path)) for path in paths} for _ in range(rounds)]
    totals = [tuple(map(sum, zip(*each.values(), strict=True))) for each in seconds]
    theirs, mine = (sum(pages.values()) / statistics.median(total[side] for total in totals) for side in (0, 1))
    by_file = {
        path.name: statistics.median(before / after for before, after in (r[path] for r in seconds)) for path in paths
    }
    figure = Figure(
        row=6,
        measure=f"{sum(pages.values())} pages of text PDFs, one core",
        unit="pages/s",
        ours=mine,
        against=theirs,
        other="PDFium's raw text calls",
        value=statistics.median(before / after for before, after in totals),
        wanted=WANTED,
        note="Headings, paragraphs, rows and pages are made and every word is counted again. By file: "
        + ", ".join(f"{pages[path]} pages {by_file[path.name]:.2f}" for path in paths)
        + ".",
    )
    return [figure], {"pages": {path.name: count for path, count in pages.items()}, "ratio": by_file, "rounds": rounds}


def _seconds(work: Callable[[Path], None], path: Path) -> float:
    began = time.process_time()
    work(path)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the file with the fewest pages, once")
    arguments = parser.parse_args()
    paths = sorted((CORPORA / "filings").glob("*.pdf"))
    try:
        if not paths:
            raise BenchmarkError(f"There are no filings in {CORPORA}; PENSTOCK_CORPORA names another place.")
        if arguments.quick:
            keep("pdf", *measure([min(paths, key=pages_of)], rounds=1))
        else:
            keep("pdf", *measure(paths, rounds=ROUNDS))
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
