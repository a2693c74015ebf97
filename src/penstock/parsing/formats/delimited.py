"""CSV and its relatives, in whatever dialect, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.dialect import find_delimiter, rows
from penstock.parsing.encoding import lines
from penstock.parsing.formats.cleaning import one_line

SNIFFED_LINES = 50


def read_delimited(path: Path) -> Iterator[Block]:
    source = (line.replace("\0", "") for line in lines(path))
    first = list(itertools.islice(source, SNIFFED_LINES))
    delimiter = find_delimiter(first) or ","
    for row in rows(itertools.chain(first, source), delimiter):
        yield table_row(row)


def table_row(cells: Iterable[str], page: int | None = None) -> Block:
    """A row as one Block. Empty cells keep their place between others, so that columns can be counted."""
    texts = [one_line(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return Block(" | ".join(texts), BlockKind.TABLE_ROW, page=page) if any(texts) else Block("", page=page)
