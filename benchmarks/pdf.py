"""Pages a second of our PDF reader, beside PDFium's raw text calls on the same files, in turns, one core."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pypdfium2  # pyright: ignore[reportMissingTypeStubs]  # it has none

from penstock.parsing.formats import read
from penstock.parsing.media_type import PDF

ROOT = Path(__file__).resolve().parents[1]
CORPORA = Path(os.environ.get("PENSTOCK_CORPORA", ROOT.parent / "shared" / "corpora"))
ROUNDS = 5


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
    """Our Blocks: headings, paragraphs, table rows, pages."""
    for _ in read(path, PDF):
        pass


def seconds(work: Callable[[Path], None], paths: list[Path]) -> float:
    began = time.perf_counter()
    for path in paths:
        work(path)
    return time.perf_counter() - began


def main() -> int:
    paths = sorted((CORPORA / "filings").glob("*.pdf"))
    if not paths:
        print(f"There are no filings in {CORPORA}; PENSTOCK_CORPORA names another place")
        return 1
    pages = sum(len(pypdfium2.PdfDocument(path)) for path in paths)
    rounds = [(seconds(raw, paths), seconds(ours, paths)) for _ in range(ROUNDS)]
    for name, index in (("PDFium's raw text", 0), ("Penstock", 1)):
        print(f"{name}: {pages / statistics.median(pair[index] for pair in rounds):.0f} pages/s")
    print(f"ratio: {statistics.median(before / after for before, after in rounds):.2f} of raw")
    return 0


if __name__ == "__main__":
    sys.exit(main())
