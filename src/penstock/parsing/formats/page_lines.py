"""What a page is made of before it is understood: lines of text with their places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from penstock.chunking.document import Block

CELL_SEPARATOR = " | "
HYPHEN = "\ufffe"
"""PDFium's mark for a hyphen at a line's end, where the line break is left out."""
LONGEST_TITLE = 120
"""Characters of a line of a heading."""


class Cell(NamedTuple):
    """A stretch of a line that wide gaps part from the rest."""

    text: str
    left: float
    right: float


class Line(NamedTuple):
    """A line of a page with its place in points: left to right as one reads it, and upwards.

    A line that was written sideways has its places in a page turned so that it is upright.
    """

    text: str
    left: float
    right: float
    top_base: float
    """Height of its base line; of the first, in a row of several."""
    base: float
    """Height of its base line; of the last, in a row of several."""
    size: float
    """Font size, in points, of a character in its middle: the first may be a raised figure, or a bullet."""
    bold: bool = False
    italic: bool = False
    cells: tuple[Cell, ...] = ()
    """Two or more where wide gaps part it; empty otherwise."""
    hyphen: bool = False
    """Whether a hyphen, left out of `text`, parts its last word at its end."""
    turn: int = 0
    """Quarter turns, counter-clockwise, in which it was written."""
    names_columns: bool = False
    """Of a table's row: it says what the columns are."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's lines in the order of the file, and what was written on it afterwards."""

    number: int
    lines: list[Line]
    notes: list[Block] = field(default_factory=list[Block])
    recognised: list[Block] = field(default_factory=list[Block])
    """What was read from its picture."""


def as_cell(line: Line) -> Cell:
    return Cell(line.text, line.left, line.right)


def pieces(line: Line) -> tuple[Cell, ...]:
    """The line's cells, or itself as one; a hyphen at its end is marked."""
    cells = line.cells or (as_cell(line),)
    return (*cells[:-1], cells[-1]._replace(text=cells[-1].text + HYPHEN)) if line.hyphen else cells


def joined(texts: Iterable[str]) -> str:
    """The texts with a space between them, but none behind a marked hyphen."""
    return " ".join(texts).replace(f"{HYPHEN} ", HYPHEN)


def may_be_title(text: str) -> bool:
    """Whether a line can be one of a heading by its words; only then its font is asked for."""
    return 3 <= len(text) <= LONGEST_TITLE and text[-1] not in ".,;"
