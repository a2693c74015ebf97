"""Which character separates the values of a table written as text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

DELIMITERS = ",;\t|"
LONGEST_FIELD = 1024 * 1024
"""Characters of one value; beyond it a quote was opened and never closed."""

csv.field_size_limit(LONGEST_FIELD)


def find_delimiter(first_lines: Iterable[str]) -> str | None:
    """The delimiter that cuts the lines into the steadiest number of columns; None if no one makes two columns."""
    sample = [line for line in first_lines if line.strip()]
    best: tuple[float, int, str] | None = None
    for delimiter in DELIMITERS:
        widths = [len(row) for row in rows(sample, delimiter)]
        most = max(widths, default=0)
        if most < 2:
            continue
        usual = max(set(widths), key=lambda width: (widths.count(width), width))
        steadiness = widths.count(usual) / len(widths) if usual > 1 else 0.0
        candidate = (round(steadiness, 1), usual, delimiter)
        best = max(best, candidate) if best else candidate
    return best[2] if best else None


def rows(source: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Rows of cells. A quote that is never closed ends where the field grows past the limit of `csv`."""
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        yield row
