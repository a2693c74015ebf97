"""Blocks become one text: what is written between them, and where each of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.chunking.cutting import WEAKEST_HEADING, Strength, between_characters, heading_strength
from penstock.chunking.document import Block, BlockKind, Origin

LONGEST_TITLE = 256
"""Characters of a heading in the trail: it is repeated in every Chunk below it."""
LONGEST_COLUMNS = 1024
"""Characters of a table's first row that are kept for the rows below it."""
_CLOSE_KINDS = (BlockKind.TABLE_ROW, BlockKind.LIST_ITEM)
_ASIDE = frozenset({Origin.COMMENT, Origin.SPEAKER_NOTES, Origin.ENDNOTE, Origin.EMBEDDED})
"""Texts of their own beside the body: no Chunk holds both, so that search can leave them out without losing the body.

Not footnotes, headers and footers, which stand in the middle of what goes on."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL and halves of surrogate pairs: PostgreSQL takes no NUL, UTF-8 has no surrogates."""
_AMBIGUOUS = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
"""Blanks to Python, nothing to BERT, which reads the words around them as one: no cut there has exact counts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A Block, or a piece of a very long one, at its place in the extracted text."""

    start: int
    end: int
    kind: BlockKind
    page: int | None
    headings: tuple[str, ...]
    """The trail that holds here, outermost first; a heading's own title is the last of its trail."""
    strength: int
    """Of the boundary before it; NONE between the pieces of one Block."""
    entire: bool
    """Whether it is all of its Block."""
    origin: Origin = Origin.BODY
    apart: bool = False
    """Whether no Chunk goes over its start: another slide or sheet begins, or a text of its own beside the body."""
    columns: str = ""
    """Of a table row below the first: the first, which says what the columns are."""


def assemble(blocks: Iterable[Block], *, piece_size: int, pages_apart: bool = False) -> Iterator[tuple[str, Part]]:
    """Each piece of the extracted text, in order, with the Part that it brings.

    A piece starts with the white space that parts it from the one before. Blocks longer than `piece_size`
    characters come in several, parted between words where there are any.
    """
    trail = _Trail()
    table = _Table()
    previous: Block | None = None
    dangling = False
    end = 0
    for block in blocks:
        text = _storable(block.text).strip()
        if not text:
            continue
        trail.enter(block)
        columns = table.enter(block)
        strength = Strength.AFTER_HEADING if dangling else _strength_between(previous, block)
        apart = previous is not None and _stand_apart(previous, block, pages_apart=pages_apart)
        between = _between(previous, block)
        for piece in _pieces(text, piece_size):
            start, end = end + len(between), end + len(between) + len(piece)
            entire = len(piece) == len(text)
            yield (
                between + piece,
                Part(start, end, block.kind, block.page, trail.titles, strength, entire, block.origin, apart, columns),
            )
            between, strength, apart = "", Strength.NONE, False
        previous = block
        # A running header between a heading and its text must not let the heading end a Chunk.
        dangling = block.kind is BlockKind.HEADING or (dangling and block.kind is BlockKind.PAGE_FURNITURE)


class _Trail:
    """The headings that hold at the present Block, outermost first."""

    def __init__(self) -> None:
        self._levels: list[int] = []
        self.titles: tuple[str, ...] = ()

    def enter(self, block: Block) -> None:
        if block.kind is not BlockKind.HEADING:
            return
        level = min(max(block.level, 1), WEAKEST_HEADING)
        while self._levels and self._levels[-1] >= level:
            self._levels.pop()
        title = " ".join(_storable(block.text[: 4 * LONGEST_TITLE]).split())[:LONGEST_TITLE]
        self.titles = (*self.titles[: len(self._levels)], title)
        self._levels.append(level)


class _Table:
    """The column names that hold at the present Block."""

    def __init__(self) -> None:
        self._columns = ""

    def enter(self, block: Block) -> str:
        """The first row of the table that this row is a further one of."""
        if block.kind is not BlockKind.TABLE_ROW:
            # A running header or a footnote between two rows of a table that goes on over the page ends nothing.
            if block.kind is not BlockKind.PAGE_FURNITURE:
                self._columns = ""
            return ""
        above, starts = self._columns, block.names_columns
        if starts:
            self._columns = " ".join(_storable(block.text[:LONGEST_COLUMNS]).split())
        return "" if starts else above


def _strength_between(previous: Block | None, block: Block) -> int:
    if block.kind is BlockKind.HEADING:
        return heading_strength(block.level)
    return Strength.LINE if previous and _belong_together(previous, block) else Strength.PARAGRAPH


def _stand_apart(previous: Block, block: Block, *, pages_apart: bool) -> bool:
    if previous.origin is not block.origin and {previous.origin, block.origin} & _ASIDE:
        return True
    return pages_apart and previous.page != block.page


def _between(previous: Block | None, block: Block) -> str:
    if previous is None:
        return ""
    return "\n" if _belong_together(previous, block) else "\n\n"


def _belong_together(previous: Block, block: Block) -> bool:
    """Rows of one table, items of one list."""
    alike = (block.kind, block.page, block.origin) == (previous.kind, previous.page, previous.origin)
    return alike and block.kind in _CLOSE_KINDS and not block.names_columns


def _storable(text: str) -> str:
    return _AMBIGUOUS.sub(" ", _UNSTORABLE.sub("\ufffd", text))


def _pieces(text: str, size: int) -> Iterator[str]:
    start = 0
    while len(text) - start > size:
        cut = _piece_end(text, start, start + size)
        yield text[start:cut]
        start = cut
    yield text[start:]


def _piece_end(text: str, start: int, limit: int) -> int:
    middle = (start + limit) // 2
    blank = max(text.rfind(" ", middle, limit), text.rfind("\n", middle, limit)) + 1
    return blank or between_characters(text, middle, limit)
