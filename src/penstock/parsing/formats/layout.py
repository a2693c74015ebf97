"""From the lines of a page to its Blocks: pure rules over places and sizes."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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

    @property
    def is_table_row(self) -> bool:
        """Whether it ends in two or more numbers."""
        words = self.text.rsplit(maxsplit=2)
        return len(words) > 1 and all(_NUMBER.match(word) for word in words[-2:]) and any(map(str.isdigit, self.text))

    @property
    def is_title_like(self) -> bool:
        letters = sum(map(str.isalpha, self.text))
        return 3 <= len(self.text) <= LONGEST_HEADING and letters * 2 > len(self.text) and self.text[-1] not in ".,;"


@dataclass
class _Page:
    number: int
    lines: list[Line]


@dataclass
class Layout:
    """Takes pages in order, gives Blocks one page later: running headers show only beside the next page."""

    outline: dict[str, int]
    """Level of each title in the document's outline, case folded."""
    sizes: Counter[float] = field(default_factory=Counter[float])
    """Characters seen in each font size."""
    previous: _Page | None = None
    held: _Page | None = None

    def add_page(self, number: int, lines: list[Line]) -> Iterator[Block]:
        for line in lines:
            self.sizes[line.size] += len(line.text)
        page = _Page(number, lines)
        if self.held:
            yield from self._blocks(self.held, page)
        self.previous, self.held = self.held, page

    def finish(self) -> Iterator[Block]:
        if self.held:
            yield from self._blocks(self.held, None)

    def _blocks(self, page: _Page, following: _Page | None) -> Iterator[Block]:
        neighbours = _edges(self.previous) | _edges(following)
        furniture = {at for at in _edge_places(page.lines) if _edge_key(page.lines[at]) in neighbours}
        body = [line for at, line in enumerate(page.lines) if at not in furniture]
        for at in sorted(furniture):
            if at < EDGE_LINES:
                yield Block(page.lines[at].text, BlockKind.PAGE_FURNITURE, page=page.number)
        for lines in _paragraphs(body, self._heading_level):
            yield self._block(lines, page.number)
        for at in sorted(furniture):
            if at >= EDGE_LINES:
                yield Block(page.lines[at].text, BlockKind.PAGE_FURNITURE, page=page.number)

    def _block(self, lines: Sequence[Line], page: int) -> Block:
        text = " ".join(line.text for line in lines)
        if level := self._heading_level(lines[0]):
            return Block(text, BlockKind.HEADING, level, page)
        if lines[0].is_table_row:
            return Block(text, BlockKind.TABLE_ROW, page=page)
        if _BULLET.match(text):
            return Block(text, BlockKind.LIST_ITEM, page=page)
        return Block(text, page=page)

    def _heading_level(self, line: Line) -> int:
        """From 1; 0 for a line that is no heading."""
        if level := self.outline.get(line.text.casefold()):
            return level
        if not line.is_title_like or line.is_table_row:
            return 0
        scale = line.size / (self._body_size or line.size or 1.0)
        for least, level in HEADING_SCALES:
            if scale >= least:
                return level
        return BOLD_LEVEL if line.bold and scale > 0.95 else 0

    @property
    def _body_size(self) -> float:
        return max(self.sizes, key=lambda size: (self.sizes[size], size), default=0.0)


def _edge_places(lines: Sequence[Line]) -> set[int]:
    count = len(lines)
    return {at for at in range(count) if at < EDGE_LINES or at >= count - EDGE_LINES}


def _edge_key(line: Line) -> str:
    """The line without its numbers: a running header counts pages."""
    return _DIGITS.sub("#", line.text.casefold()) if not _PAGE_NUMBER.match(line.text) else "#"


def _edges(page: _Page | None) -> set[str]:
    return {_edge_key(page.lines[at]) for at in _edge_places(page.lines)} if page else set()


def _paragraphs(lines: Sequence[Line], heading_level: Callable[[Line], int]) -> Iterator[list[Line]]:
    """The lines that belong together, in the page's order."""
    pitch = _usual_pitch(lines)
    held: list[Line] = []
    for at, line in enumerate(lines):
        if held and not _goes_on(held[-1], line, pitch, _column_edge(lines, at), heading_level):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _goes_on(line: Line, following: Line, pitch: float, edge: float, heading_level: Callable[[Line], int]) -> bool:
    """Whether the author went on in `following`, in the same paragraph."""
    level = heading_level(line)
    if level != heading_level(following):
        return False
    if level:
        return line.size == following.size and 0 < line.base - following.top_base < PARAGRAPH_PITCH * pitch
    if line.is_table_row or following.is_table_row or _BULLET.match(following.text):
        return False
    open_ended = not _SENTENCE_END.search(line.text) and following.text[0].islower()
    distance = line.base - following.top_base
    if distance < -pitch:  # the next column, or a box beside the text
        return open_ended
    if distance > PARAGRAPH_PITCH * pitch:
        return False
    full = line.right - line.left >= FULL_LINE * (edge - line.left)
    indented = following.left - line.left > line.size and bool(_SENTENCE_END.search(line.text))
    return (full and not indented) or open_ended


def _usual_pitch(lines: Sequence[Line]) -> float:
    """The usual distance between two lines of one paragraph, in points."""
    distances = [line.base - following.top_base for line, following in pairwise(lines)]
    near = [round(distance, 1) for distance in distances if 0 < distance < 72]
    return statistics.mode(sorted(near)) if near else 12.0


def _column_edge(lines: Sequence[Line], at: int) -> float:
    """Right edge of the column around line `at`: how far its neighbours reach."""
    around = lines[max(at - 3, 0) : at + 3]
    return max(line.right for line in around if line.left <= lines[at - 1].right)
