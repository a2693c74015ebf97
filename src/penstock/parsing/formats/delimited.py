"""CSV and its relatives, in whatever dialect, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
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
    is_first = True
    for row in rows(itertools.chain(first, source), delimiter):
        block = table_row(row, names_columns=is_first)
        is_first = is_first and not block.text
        yield block


def table_row(cells: Iterable[str], page: int | None = None, *, names_columns: bool = False) -> Block:
    """A row as one Block. Empty cells keep their place between others, so that columns can be counted."""
    texts = [one_line(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    if not any(texts):
        return Block("", page=page)
    return Block(" | ".join(texts), BlockKind.TABLE_ROW, page=page, names_columns=names_columns)


def first_names_columns(blocks: Iterable[Block]) -> Iterator[Block]:
    """The Blocks of a sheet: its first row with more than one value says what the columns are.

    A single value in a row above is the title of what follows.
    """
    found = False
    for block in blocks:
        is_row = block.kind is BlockKind.TABLE_ROW and not found
        if is_row and _is_filled(block.text):
            found = True
            yield replace(block, names_columns=True)
        else:
            yield block


def _is_filled(row: str) -> bool:
    """Whether there are two values in it."""
    return sum(1 for cell in row.split(" | ") if cell.strip(" |")) > 1
