"""From the lines of pages to Blocks: pure rules over places and sizes."""

from __future__ import annotations

import re
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.hyphens import HYPHENS, Vocabulary, ends_in_hyphen
from penstock.parsing.formats.page_edges import Edges, edges_of, running
from penstock.parsing.formats.page_lines import CELL_SEPARATOR, HYPHEN, Line, Page, may_be_title
from penstock.parsing.formats.page_tables import Reading, cells_joined, find_tables, which_are_rows
from penstock.parsing.formats.reading_order import reading_order

AROUND = 8
"""Pages read ahead, and as many looked back on: they show what runs on every page and which words have hyphens."""
PARAGRAPH_PITCH = 1.3
"""Lines further apart than this many usual line distances belong to two paragraphs."""
FULL_LINE = 0.85
"""A line that fills this share of its column was broken by the column's edge, not by its author."""
HEADING_SCALES = ((1.6, 1), (1.35, 2), (1.15, 3))
"""How much larger than the body's text a heading of each level is at least."""
BOLD_LEVEL = 4
ITALIC_LEVEL = 5
LONGEST_HEADING = 200
"""Characters of a heading of several lines."""
HEADING_LINES = 3
SMALL_PRINT = 0.93
"""Of the body's font size: footnotes are at most as large."""
LONGEST_LABEL = 60
"""Characters; a paragraph this short at a page's end is a label, which does not go on overleaf."""

_BULLET = re.compile(r"(?:[•●○▪■◦‣∙·\u2013—*]|-|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])\s")
_BULLET_ALONE = re.compile(r"[•●○▪■◦‣∙·\u2013—*-]$")
_SENTENCE_END = re.compile(r"[.!?:;][\"'”\u2019)\]]*$")
_NOTE_MARK = re.compile(r"(?:\(?\d{1,3}[).]?|[*†‡§¶#]{1,3})\s?[^\W\d_\"“(]")
_NUMBERING = re.compile(r"^(?:(?:\d+\.)*\d+|[ivxlc]+|[a-z])[.):]*\s+")

Outline = Mapping[int | None, Mapping[str, int]]
"""The level of each title by the page it leads to, by `title_key`; None for titles that lead nowhere."""


def title_key(title: str) -> str:
    """What a title in the outline and on the page have in common: neither the case nor the number before it."""
    folded = one_line(title).casefold()
    return _NUMBERING.sub("", folded, count=1) or folded


@dataclass(frozen=True, slots=True)
class _Seen:
    """A page and what its neighbours want to know of it."""

    page: Page
    turn: int
    """In which most of its text is written."""
    edges: Edges


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """A page's Blocks by where they stand."""

    headers: list[Block]
    body: list[Block]
    below: list[Block]
    """Footnotes, footers, and what was written on the page afterwards."""


@dataclass
class Layout:
    """Takes pages in order, gives Blocks some pages later: much of what is on a page only its neighbours tell.

    What stands beside the flow of the text does not part a paragraph that goes on overleaf.
    """

    outline: Outline
    _sizes: Counter[float] = field(default_factory=Counter[float])
    """Characters seen in each font size."""
    _vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(2 * AROUND + 1))
    _behind: deque[Edges] = field(default_factory=lambda: deque[Edges](maxlen=AROUND))
    _ahead: deque[_Seen] = field(default_factory=deque[_Seen])
    _held: _LaidOut | None = None
    _is_continued: bool = False
    """Whether the page held begins in the middle of a paragraph."""

    def add_page(self, page: Page) -> Iterator[Block]:
        for line in page.lines:
            self._sizes[line.size] += len(line.text)
        turn = _main_turn(page.lines)
        self._vocabulary.add(page.lines)
        self._ahead.append(_Seen(page, turn, edges_of([line for line in page.lines if line.turn == turn])))
        if len(self._ahead) > AROUND:
            yield from self._next_page()

    def finish(self) -> Iterator[Block]:
        while self._ahead:
            yield from self._next_page()
        if self._held:
            yield from _in_order(self._held, opens=self._is_continued, goes_on=False)

    def _next_page(self) -> Iterator[Block]:
        """Lay out the first of the pages ahead; give the one before it."""
        seen = self._ahead.popleft()
        laid_out = self._lay_out(seen)
        self._behind.append(seen.edges)
        if self._held:
            goes_on = _goes_on_overleaf(self._held.body, laid_out.body)
            yield from _in_order(self._held, opens=self._is_continued, goes_on=goes_on)
            self._is_continued = goes_on
        self._held = laid_out

    def _lay_out(self, seen: _Seen) -> _LaidOut:
        page = seen.page
        main = [line for line in page.lines if line.turn == seen.turn]
        others = [*self._behind, *(each.edges for each in islice(self._ahead, AROUND))]
        headers, footers = running(seen.edges, others)
        beside = {*headers, *footers}
        paragraphs = self._paragraphs(page.number, [line for at, line in enumerate(main) if at not in beside])
        for turn in sorted({line.turn for line in page.lines} - {seen.turn}):
            paragraphs += self._paragraphs(page.number, [line for line in page.lines if line.turn == turn])
        notes = _footnotes(paragraphs, self._body_size())
        return _LaidOut(
            [_furniture(main[at].text, page.number, Origin.HEADER) for at in headers],
            [self._block(lines, page.number) for at, lines in enumerate(paragraphs) if at not in notes]
            + page.recognised,
            [_furniture(self._text(paragraphs[at]), page.number, Origin.FOOTNOTE) for at in sorted(notes)]
            + [_furniture(main[at].text, page.number, Origin.FOOTER) for at in footers]
            + page.notes,
        )

    def _body_size(self) -> float:
        return max(self._sizes, key=lambda size: (self._sizes[size], size), default=0.0) or 1.0

    def _paragraphs(self, number: int, lines: Sequence[Line]) -> list[list[Reading]]:
        readings = self._readings(number, reading_order(lines))
        if any(reading.is_row for reading in readings):
            readings = find_tables(readings)
        return list(_paragraphs(readings))

    def _readings(self, number: int, lines: list[Line]) -> list[Reading]:
        body_size = self._body_size()
        lines = [cells_joined(line) if line.cells else line for line in lines]
        levels = self._levels(number, lines)
        rows = which_are_rows(lines)
        return [
            _reading(line, levels.get(at, 0), line.size / body_size, is_row=rows[at]) for at, line in enumerate(lines)
        ]

    def _levels(self, number: int, lines: Sequence[Line]) -> dict[int, int]:
        """The levels of the lines that the outline names, by their position."""
        titles = {**self.outline.get(None, {}), **self.outline.get(number, {})}
        found: dict[int, int] = {}
        for at in range(len(lines) if titles else 0):
            for count in range(1, HEADING_LINES + 1):
                title = title_key(" ".join(line.text for line in lines[at : at + count]))
                if title in titles and at not in found:
                    found.update(dict.fromkeys(range(at, min(at + count, len(lines))), titles[title]))
        return found

    def _block(self, readings: Sequence[Reading], page: int) -> Block:
        first = readings[0]
        if first.is_row:
            row = f"{first.line.text}-" if first.line.hyphen else first.line.text
            row = self._vocabulary.mended(row) if HYPHEN in row else row
            return Block(row, BlockKind.TABLE_ROW, page=page, names_columns=first.line.names_columns)
        text = self._text(readings)
        is_heading = first.level and len(readings) <= HEADING_LINES and len(text) <= LONGEST_HEADING
        if is_heading and not text[0].islower():
            return Block(text, BlockKind.HEADING, first.level, page)
        return Block(text, BlockKind.LIST_ITEM if _BULLET.match(text) else BlockKind.PARAGRAPH, page=page)

    def _text(self, readings: Sequence[Reading]) -> str:
        parts = [readings[0].line.text]
        for this, following in pairwise(readings):
            before, text = parts[-1], following.line.text
            if this.line.hyphen:
                parts[-1:] = self._vocabulary.join(before, text)
            elif before[-1] in HYPHENS and ends_in_hyphen(before) and text[0].islower():
                parts[-1:] = self._vocabulary.join(before[:-1], text)
            else:
                parts.append(text)
        return " ".join(parts) + ("-" if readings[-1].line.hyphen else "")


def _main_turn(lines: Sequence[Line]) -> int:
    if all(line.turn == 0 for line in lines):
        return 0
    written = Counter[int]()
    for line in lines:
        written[line.turn] += len(line.text)
    return max(written, key=lambda turn: (written[turn], -turn))


def _furniture(text: str, page: int, origin: Origin) -> Block:
    return Block(text, BlockKind.PAGE_FURNITURE, page=page, origin=origin)


# ---- from one page to the next ----


def _goes_on_overleaf(body: Sequence[Block], following: Sequence[Block]) -> bool:
    """Whether the last paragraph of a page goes on as the first one of the next."""
    if not body or not following or following[0].kind is not BlockKind.PARAGRAPH:
        return False
    last, first = body[-1], following[0].text
    if last.kind not in (BlockKind.PARAGRAPH, BlockKind.LIST_ITEM) or _SENTENCE_END.search(last.text):
        return False
    return first[0].islower() or len(last.text) > LONGEST_LABEL


def _in_order(page: _LaidOut, *, opens: bool, goes_on: bool) -> Iterator[Block]:
    """What is beside the flow comes before and after it, but not where a paragraph goes on from page to page."""
    begin = 1 if opens and (len(page.body) > 1 or not goes_on) else 0
    end = len(page.body) - 1 if goes_on else len(page.body)
    yield from page.body[:begin]
    yield from page.headers
    yield from page.body[begin:end]
    yield from page.below
    yield from page.body[end:]


# ---- what a line is taken for ----


def _reading(line: Line, level: int, scale: float, *, is_row: bool) -> Reading:
    """`level` is that of the outline, `scale` the line's font size by that of the body's text."""
    if level:
        return Reading(line, level)
    if is_row:
        if line.cells:
            line = line._replace(text=CELL_SEPARATOR.join(cell.text for cell in line.cells))
        return Reading(line, is_row=True)
    if scale >= HEADING_SCALES[-1][0]:
        level = next(level for least, level in HEADING_SCALES if scale >= least)
    elif line.bold and scale > 0.95:
        level = BOLD_LEVEL
    return Reading(line, level if level and _is_title_like(line.text) else 0)


def _is_title_like(text: str) -> bool:
    return may_be_title(text) and sum(map(str.isalpha, text)) * 2 > len(text)


# ---- which lines belong together ----


def _paragraphs(readings: list[Reading]) -> Iterator[list[Reading]]:
    """The lines that belong together, in the page's order."""
    pitch = _usual_pitch(readings)
    begin = 0
    for at in range(1, len(readings)):
        if not _goes_on(readings, begin, at, pitch):
            yield readings[begin:at]
            begin = at
    if readings:
        yield readings[begin:]


def _goes_on(readings: Sequence[Reading], begin: int, at: int, pitch: float) -> bool:
    """Whether the author went on in the line at `at`, in the paragraph that began at `begin`."""
    this, following = readings[at - 1], readings[at]
    if this.is_row or following.is_row:
        return False
    line, below = this.line, following.line
    distance = line.base - below.top_base
    if this.level or following.level:
        same = this.level == following.level and line.size == below.size
        return same and 0 < distance < PARAGRAPH_PITCH * pitch * max(1.0, line.size / 10)
    if _BULLET_ALONE.match(line.text):
        return True
    if _BULLET.match(below.text):
        return False
    return line.hyphen or _sentence_goes_on(readings, begin, at, distance / pitch)


def _sentence_goes_on(readings: Sequence[Reading], begin: int, at: int, pitches: float) -> bool:
    """`pitches` is how far the line at `at` is below the one before, in usual line distances."""
    line, below = readings[at - 1].line, readings[at].line
    ended = _SENTENCE_END.search(line.text) is not None
    open_ended = not ended and below.text[0].islower()
    if pitches < -1:  # the next column, or a box beside the text
        return open_ended or (not ended and len(line.text) > 20 and _is_full(readings, at - 1))
    if pitches > PARAGRAPH_PITCH:
        return False
    if at - 1 == begin and _BULLET.match(line.text) and below.left - line.left > line.size / 2:
        return True  # hanging below its bullet
    indented = ended and below.left - line.left > line.size
    return open_ended or (not indented and _is_full(readings, at - 1))


def _is_full(readings: Sequence[Reading], at: int) -> bool:
    """Whether the line reaches the edge of its column, which is as far as its neighbours reach."""
    line = readings[at].line
    edge = line.right
    for each in readings[max(at - 2, 0) : at + 4]:
        right = each.line.right
        if right > edge and each.line.left <= line.right:
            edge = right
    return line.right - line.left >= FULL_LINE * (edge - line.left)


def _usual_pitch(readings: Sequence[Reading]) -> float:
    """The usual distance between two lines of one paragraph, in points."""
    distances = (this.line.base - following.line.top_base for this, following in pairwise(readings))
    near = [round(distance, 1) for distance in distances if 0 < distance < 72]
    return statistics.mode(sorted(near)) if near else 12.0


# ---- footnotes ----


def _footnotes(paragraphs: Sequence[Sequence[Reading]], body_size: float) -> set[int]:
    """Which paragraphs are footnotes: in small print, numbered, with nothing but small print below them."""
    small = [_is_small_print(lines, body_size) for lines in paragraphs]
    notes: set[int] = set()
    for at, lines in enumerate(paragraphs):
        numbered = _NOTE_MARK.match(lines[0].line.text) is not None
        if small[at] and (numbered or at - 1 in notes) and not _has_text_below(at, paragraphs, small):
            notes.add(at)
    return notes if len(notes) < len(paragraphs) else set()


def _is_small_print(lines: Sequence[Reading], body_size: float) -> bool:
    return lines[0].line.size <= SMALL_PRINT * body_size and not lines[0].is_row and not lines[0].level


def _has_text_below(at: int, paragraphs: Sequence[Sequence[Reading]], small: Sequence[bool]) -> bool:
    note = paragraphs[at][0].line
    return any(
        not small[other] and line.base < note.base and line.left < note.right and line.right > note.left
        for other, lines in enumerate(paragraphs)
        for line in (lines[0].line, lines[-1].line)
    )
