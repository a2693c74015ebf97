"""From the lines of a page to its Blocks: pure rules over places and sizes."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from penstock.chunking.document import Block, BlockKind

PARAGRAPH_PITCH = 1.3
"""Lines further apart than this many usual line distances belong to two paragraphs."""
FULL_LINE = 0.85
"""A line that fills this share of its column was broken by the column's edge, not by its author."""
HEADING_SCALES = ((1.6, 1), (1.35, 2), (1.15, 3))
"""How much larger than the body's text a heading of each level is at least."""
BOLD_LEVEL = 4
LONGEST_HEADING = 200
EDGE_LINES = 2
"""So many lines at the top and at the bottom of a page can be running headers and footers."""

_BULLET = re.compile(r"(?:[•●○▪■◦‣∙·\u2013—*]|-|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s")
_NUMBER = re.compile(r"\(?[$€£]?\(?[-+]?\d(?:[\d,.]*\d)?\)?%?\)?$|[$€£%()\u2013—-]+$")
_PAGE_NUMBER = re.compile(
    r"(?:page\s+)?[-\u2013—(]?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*[-\u2013—)]?(?:\s+of\s+\d{1,4})?$", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")
_SENTENCE_END = re.compile(r"[.!?:;][\"'”\u2019)\]]*$")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page with its place in points, measured from the page's lower left corner."""

    text: str
    left: float
    right: float
    top_base: float
    """Lower edge of its first character."""
    base: float
    """Lower edge of its last character; another where the line is two that a hyphen joined."""
    size: float
    """Font size of its first character."""
    bold: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a line is taken for."""

    line: Line
    level: int
    """Of a heading, from 1; 0 for all else."""
    is_row: bool
    """Of a table."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page's lines in reading order, and what was written on it afterwards."""

    number: int
    lines: list[Line]
    notes: list[str] = field(default_factory=list[str])
    recognised: list[Block] = field(default_factory=list[Block])
    """What was read from its picture."""


@dataclass
class Layout:
    """Takes pages in order, gives Blocks one page later: running headers show only beside the next page."""

    outline: dict[str, int]
    """Level of each title in the document's outline, case folded."""
    sizes: Counter[float] = field(default_factory=Counter[float])
    """Characters seen in each font size."""
    previous: Page | None = None
    held: Page | None = None

    def add_page(self, page: Page) -> Iterator[Block]:
        for line in page.lines:
            self.sizes[line.size] += len(line.text)
        if self.held:
            yield from self._blocks(self.held, page)
        self.previous, self.held = self.held, page

    def finish(self) -> Iterator[Block]:
        if self.held:
            yield from self._blocks(self.held, None)

    def _blocks(self, page: Page, following: Page | None) -> Iterator[Block]:
        headers, footers = _running(page, self.previous, following)
        for line in page.lines[:headers]:
            yield Block(line.text, BlockKind.PAGE_FURNITURE, page=page.number)
        last = len(page.lines) - footers
        for lines in _paragraphs(self._readings(page.lines[headers:last])):
            yield _block(lines, page.number)
        yield from page.recognised
        for line in page.lines[last:]:
            yield Block(line.text, BlockKind.PAGE_FURNITURE, page=page.number)
        for note in page.notes:
            yield Block(note, BlockKind.PAGE_FURNITURE, page=page.number)

    def _readings(self, lines: Sequence[Line]) -> list[_Reading]:
        body_size = max(self.sizes, key=lambda size: (self.sizes[size], size), default=0.0) or 1.0
        return [self._reading(line, line.size / body_size) for line in lines]

    def _reading(self, line: Line, scale: float) -> _Reading:
        """`scale` is the line's font size by that of the body's text."""
        if level := self.outline.get(line.text.casefold(), 0):
            return _Reading(line, level, is_row=False)
        is_row = _is_table_row(line.text)
        level = next((level for least, level in HEADING_SCALES if scale >= least), 0)
        if not level and line.bold and scale > 0.95:
            level = BOLD_LEVEL
        return _Reading(line, level if level and not is_row and _is_title_like(line.text) else 0, is_row)


def _is_table_row(text: str) -> bool:
    """Whether the line ends in two or more numbers."""
    if not (text[-1].isdigit() or text[-1] in "%)$\u2014\u2013-"):
        return False
    words = text.rsplit(maxsplit=2)
    return len(words) > 1 and all(map(_NUMBER.match, words[-2:])) and _DIGITS.search(text) is not None


def _is_title_like(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return 3 <= len(text) <= LONGEST_HEADING and letters * 2 > len(text) and text[-1] not in ".,;"


def _block(readings: Sequence[_Reading], page: int) -> Block:
    text = " ".join(reading.line.text for reading in readings)
    if level := readings[0].level:
        return Block(text, BlockKind.HEADING, level, page)
    if readings[0].is_row:
        return Block(text, BlockKind.TABLE_ROW, page=page)
    return Block(text, BlockKind.LIST_ITEM if _BULLET.match(text) else BlockKind.PARAGRAPH, page=page)


def _running(page: Page, *neighbours: Page | None) -> tuple[int, int]:
    """How many lines at the top and at the bottom are running headers and footers: those that a neighbour has, too."""
    tops, bottoms = _edges(page)
    other = [_edges(neighbour) for neighbour in neighbours if neighbour]
    headers = _shared(tops, [each for top, _ in other for each in top])
    footers = _shared(bottoms, [each for _, bottom in other for each in bottom])
    return headers, min(footers, len(page.lines) - headers)


def _edges(page: Page) -> tuple[list[str], list[str]]:
    """Keys of the lines at the top and at the bottom, from the edge inwards; of a short page only the outermost."""
    count = EDGE_LINES if len(page.lines) > 3 * EDGE_LINES else 1
    return [_edge_key(line) for line in page.lines[:count]], [_edge_key(line) for line in page.lines[: -count - 1 : -1]]


def _shared(keys: Sequence[str], others: Sequence[str]) -> int:
    """Up to and with the last line that others have."""
    return max((at for at, key in enumerate(keys, start=1) if key in others), default=0)


def _edge_key(line: Line) -> str:
    """The line without its numbers: a running header counts pages."""
    return "#" if _PAGE_NUMBER.match(line.text) else _DIGITS.sub("#", line.text.casefold())


def _paragraphs(readings: Sequence[_Reading]) -> Iterator[list[_Reading]]:
    """The lines that belong together, in the page's order."""
    pitch = _usual_pitch(readings)
    held: list[_Reading] = []
    for at, reading in enumerate(readings):
        if held and not _goes_on(held[-1], reading, pitch, readings[max(at - 3, 0) : at + 3]):
            yield held
            held = []
        held.append(reading)
    if held:
        yield held


def _goes_on(this: _Reading, following: _Reading, pitch: float, around: Sequence[_Reading]) -> bool:
    """Whether the author went on in the following line, in the same paragraph."""
    line, below = this.line, following.line
    distance = line.base - below.top_base
    if this.level or following.level:
        same = this.level == following.level and line.size == below.size
        return same and 0 < distance < PARAGRAPH_PITCH * pitch
    if this.is_row or following.is_row or _BULLET.match(below.text):
        return False
    open_ended = below.text[0].islower() and not _SENTENCE_END.search(line.text)
    if distance < -pitch:  # the next column, or a box beside the text
        return open_ended
    if distance > PARAGRAPH_PITCH * pitch:
        return False
    indented = below.left - line.left > line.size and _SENTENCE_END.search(line.text) is not None
    return open_ended or (_is_full(line, around) and not indented)


def _is_full(line: Line, around: Sequence[_Reading]) -> bool:
    """Whether the line reaches the edge of its column, which is as far as its neighbours reach."""
    edge = max(each.line.right for each in around if each.line.left <= line.right)
    return line.right - line.left >= FULL_LINE * (edge - line.left)


def _usual_pitch(readings: Sequence[_Reading]) -> float:
    """The usual distance between two lines of one paragraph, in points."""
    distances = (this.line.base - following.line.top_base for this, following in pairwise(readings))
    near = [round(distance, 1) for distance in distances if 0 < distance < 72]
    return statistics.mode(sorted(near)) if near else 12.0
