"""From recognised words to Blocks: what is noise, what is a paragraph, a heading, a row of a table."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from penstock.chunking.document import Block, BlockKind, Origin

LEAST_CONFIDENCE = 50
"""Of a line, in per cent. Text is recognised with 90 and more, bad copies with 75, clouds and leaves with 35."""
CERTAIN_CONFIDENCE = 90
"""A line with one word of three letters that is as sure as this is text, however the rest of it is spelled."""
SPECK_CONFIDENCE = 60
"""A word without letter or digit that is less sure is a speck on the paper."""
SURE_CONFIDENCE = 75
"""A page without one word of two letters that is as sure as this holds no text."""
CELL_GAP = 2.0
"""Words further apart than this many line heights stand in two cells of a table."""
HEADING_SCALES = ((1.7, 1), (1.4, 2))
"""How much higher than the page's usual line a heading of each level is at least."""
LONGEST_HEADING = 200
LONG_LINE = 4
"""Words; a line of so many is running text, not the cell of a table."""
COLUMNS_SHARE = 0.25
"""Of the long lines: so many have another one beside them on a page with columns."""

_BULLET = re.compile(r"(?:[•●○▪■◦‣∙·«»*+\u2013\u2014-]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s")
_PAGE_NUMBER = re.compile(
    r"(?:page\s+)?[-\u2013\u2014(]?\s*\d{1,4}\s*[-\u2013\u2014)]?(?:\s+of\s+\d{1,4})?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its place in pixels from the upper left corner."""

    text: str
    confidence: float
    """In per cent."""
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of words in reading order; never empty."""

    words: Sequence[Word]
    begins_paragraph: bool

    @property
    def left(self) -> int:
        return min(word.left for word in self.words)

    @property
    def right(self) -> int:
        return max(word.right for word in self.words)

    @property
    def height(self) -> int:
        return max(word.bottom for word in self.words) - min(word.top for word in self.words)


def confidence(words: Sequence[Word]) -> float:
    """The mean over the characters, in per cent; 0 for no words."""
    characters = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / characters if characters else 0.0


def without_noise(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines that are text. A photograph has none."""
    kept = [line for line in lines if confidence(line.words) >= LEAST_CONFIDENCE or _has_certain_word(line)]
    cleaned = [TextLine(words, line.begins_paragraph) for line in kept if (words := _without_specks(line.words))]
    sure = any(
        word.confidence >= SURE_CONFIDENCE and _letters(word.text) >= 2 for line in cleaned for word in line.words
    )
    return cleaned if sure else []


def _has_certain_word(line: TextLine) -> bool:
    """As a line has whose other words are of a language, or an alphabet, that is not looked for."""
    return any(word.confidence >= CERTAIN_CONFIDENCE and _letters(word.text) >= 3 for word in line.words)


def _without_specks(words: Sequence[Word]) -> list[Word]:
    kept = [word for word in words if _letters(word.text) or word.confidence >= SPECK_CONFIDENCE]
    return kept if any(_letters(word.text) for word in kept) else []


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def has_columns(lines: Sequence[TextLine]) -> bool:
    """Whether running text stands beside running text, so that lines must not be read across the page."""
    long = [line for line in lines if len(line.words) >= LONG_LINE]
    beside = sum(any(_stand_side_by_side(line, other) for other in long) for line in long)
    return beside > len(long) * COLUMNS_SHARE


def _stand_side_by_side(line: TextLine, other: TextLine) -> bool:
    at_one_height = abs(line.words[0].top - other.words[0].top) < max(line.height, other.height) / 2
    return at_one_height and (line.right < other.left or other.right < line.left)


def blocks_of(lines: Sequence[TextLine], page: int) -> Iterator[Block]:
    """Blocks of a page's lines, in their order, all with `Origin.RECOGNISED`."""
    usual = statistics.median(line.height for line in lines) if len(lines) >= 3 else math.inf
    for paragraph in _paragraphs(lines):
        text = _joined(paragraph)
        kind, level = BlockKind.PARAGRAPH, 0
        if len(cells := _cells(paragraph[0])) > 1:
            kind, text = BlockKind.TABLE_ROW, "\t".join(cells)
        elif _BULLET.match(text):
            kind = BlockKind.LIST_ITEM
        elif _PAGE_NUMBER.match(text) and (paragraph[0] is lines[0] or paragraph[-1] is lines[-1]):
            kind = BlockKind.PAGE_FURNITURE
        elif level := _heading_level(paragraph, text, usual):
            kind = BlockKind.HEADING
        yield Block(text, kind, level, page, Origin.RECOGNISED)


def _paragraphs(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """The lines that belong together; a row of a table is alone."""
    held: list[TextLine] = []
    for line in lines:
        if held and not _goes_on(held[-1], line):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _goes_on(line: TextLine, following: TextLine) -> bool:
    """Whether both are of one paragraph; Tesseract often takes a short last line for another one."""
    if _stands_alone(line) or _stands_alone(following) or _is_item(following):
        return False
    if not following.begins_paragraph:
        return True
    in_sentence = following.words[0].text[0].islower() and not line.words[-1].text.endswith((".", "!", "?", ":", ";"))
    below = 0 < following.words[0].top - line.words[0].top < 2 * max(line.height, following.height)
    return in_sentence and below


def _stands_alone(line: TextLine) -> bool:
    return len(_cells(line)) > 1


def _is_item(line: TextLine) -> bool:
    return len(line.words) > 1 and _BULLET.match(f"{line.words[0].text} ") is not None


def _cells(line: TextLine) -> list[str]:
    """The line's text, cut where the white between two words is as wide as between two columns."""
    cells = [line.words[0].text]
    for word, following in pairwise(line.words):
        gap = max(following.left - word.right, word.left - following.right)  # the latter from right to left
        if gap > CELL_GAP * line.height:
            cells.append(following.text)
        else:
            cells[-1] = _glued(cells[-1], following.text)
    return cells


def _joined(lines: Sequence[TextLine]) -> str:
    text = ""
    for line in lines:
        following = _cells(line)[0]
        # A hyphen at a line's end is the printer's where the word goes on in small letters.
        if len(text) > 1 and text.endswith(("-", "\u2010")) and text[-2].isalpha() and following[0].islower():
            text = text[:-1] + following
        else:
            text = _glued(text, following) if text else following
    return text


def _glued(text: str, following: str) -> str:
    """With a space between, unless both are of a script that is written without."""
    return text + ("" if _is_wide(text[-1]) and _is_wide(following[0]) else " ") + following


def _is_wide(character: str) -> bool:
    """Whether it is Chinese or Japanese; Korean has spaces."""
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"


def _heading_level(lines: Sequence[TextLine], text: str, usual: float) -> int:
    scale = min(line.height for line in lines) / usual
    title_like = len(text) <= LONGEST_HEADING and 2 * sum(map(str.isalpha, text)) > len(text)
    return next((level for least, level in HEADING_SCALES if scale >= least and title_like), 0)
