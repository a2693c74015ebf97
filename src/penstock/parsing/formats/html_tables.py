"""Tables of HTML pages: cells that span, and tables that only lay a page out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.chunking.document import Block
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row

MOST_SPANNED = 64
"""Columns that one cell takes up at most: a page may say that it is a billion."""


@dataclass
class Row:
    """A table row that is open."""

    cells: list[str] = field(default_factory=list[str])
    open: bool = False
    """Whether we are inside one of its cells."""
    width: int = 1
    """Columns that the open cell takes up."""
    height: int = 1
    """Rows that the open cell takes up."""
    layout: bool = False
    """Its cells hold headings, lists or tables: they are read one after the other as if there were no table."""


@dataclass
class Table:
    """A table that is open."""

    from_above: dict[int, int] = field(default_factory=dict[int, int])
    """Columns that a cell of a row above takes up, and for how many rows more."""
    has_header: bool = False
    """Whether a row of it came already: the first says what the columns are."""

    def begin_cell(self, row: Row, attributes: Mapping[str, str]) -> None:
        """Leaves out the columns that cells from above take up, so that columns can be counted."""
        while len(row.cells) in self.from_above:
            row.cells.append("")
        row.open = True
        row.width = _span(attributes.get("colspan"))
        row.height = _span(attributes.get("rowspan"))

    def end_cell(self, row: Row, text: str) -> None:
        first = len(row.cells)
        row.cells += [one_line(text), *[""] * (row.width - 1)]
        row.open = False
        if row.height > 1:
            self.from_above |= dict.fromkeys(range(first, len(row.cells)), row.height)

    def end_row(self, row: Row) -> Block | None:
        """The row as a Block. One with a single filled cell is layout, or a title."""
        self.from_above = {column: left - 1 for column, left in self.from_above.items() if left > 1}
        filled = [cell for cell in row.cells if cell]
        if len(filled) < 2:
            return Block(filled[0]) if filled else None
        block = table_row(row.cells, names_columns=not self.has_header)
        self.has_header = True
        return block


def _span(value: str | None) -> int:
    return min(max(int(value), 1), MOST_SPANNED) if value and value.isdecimal() and len(value) < 6 else 1
