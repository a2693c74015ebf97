"""Where to cut: the policy. Pure functions over text and boundaries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple


class Strength(IntEnum):
    """How natural it is to cut at a boundary. Headings are stronger still: see `heading_strength`."""

    NONE = 0
    AFTER_HEADING = 1
    """Weaker than between two words: a heading goes with what follows it."""
    WORD = 2
    SENTENCE = 3
    LINE = 4
    """Also between two rows of a table, two items of a list."""
    PARAGRAPH = 5
    """Also between a paragraph and a table, a list, code."""
    HEADING = 6


WEAKEST_HEADING = 9


def heading_strength(level: int) -> int:
    """A stronger heading (level 1) makes a stronger boundary before it."""
    return Strength.HEADING + WEAKEST_HEADING - min(max(level, 1), WEAKEST_HEADING)


class Boundary(NamedTuple):
    """A place where a text may be cut: the Chunk ends before `position`, the next starts there."""

    strength: int
    position: int


def strongest(boundaries: Iterable[Boundary]) -> int | None:
    """The strongest of the boundaries, the furthest among equals; None of none."""
    best = max(boundaries, default=None)
    return best.position if best else None


def furthest(boundaries: Iterable[Boundary]) -> int | None:
    return max((boundary.position for boundary in boundaries), default=None)


_CLOSING = "\"'\u2019\u201d\u00bb)\\]"
_WIDE_END, _WIDE_CLOSING = "\u3002\uff01\uff1f", "\u300d\u300f\u2019\u201d\uff09"
_NARROW_END = ".!?\u2026"
# The mark comes first, what may not stand before it next: the engine looks for a set of characters at the speed of C.
_SENTENCE_END = re.compile(
    rf"[{_NARROW_END}{_WIDE_END}](?:"
    r"(?<!\b[A-Z].)(?<!\b(?:Mr|Ms|Dr|St|No|vs|cf).)(?<!\b(?:Mrs|Inc|Ltd|Fig|Sec|i\.e|e\.g).)"
    rf"(?<=[{_NARROW_END}])[{_CLOSING}]*\s+(?![a-z])"
    rf"|(?<=[{_WIDE_END}])[{_WIDE_END}]*[{_WIDE_CLOSING}]*\s*)"
)


def boundaries_inside(text: str, after: int, up_to: int) -> Iterator[Boundary]:
    """The last line, sentence and word boundary of `text` behind `after`, at most at `up_to`."""
    if line := text.rfind("\n", after, up_to) + 1:
        yield Boundary(Strength.LINE, line)
    if sentence := last_sentence_end(text, after, up_to):
        yield Boundary(Strength.SENTENCE, sentence)
    if word := last_word_start(text, after, up_to):
        yield Boundary(Strength.WORD, word)


def last_sentence_end(text: str, after: int, up_to: int) -> int | None:
    """Where the next sentence starts. Misses one behind an initial ("J. Smith") rather than cutting there."""
    # One character more than `up_to`, for the look ahead at the letter that the next sentence starts with.
    ends = [found.end() for found in _SENTENCE_END.finditer(text, after, up_to + 1)]
    return next((end for end in reversed(ends) if after < end <= up_to), None)


def last_word_start(text: str, after: int, up_to: int) -> int | None:
    """Behind the last white space."""
    stretch = text[after:up_to]
    if stretch[-1:].isspace():
        return up_to
    last = stretch.rsplit(maxsplit=1)[-1:]
    return up_to - len(last[0]) if last and len(last[0]) < len(stretch) else None


_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")
_LONGEST_CLUSTER = 64


def between_characters(text: str, after: int, up_to: int) -> int:
    """The last place, at most at `up_to`, that parts no letter from its accents and no emoji in two."""
    for place in range(up_to, max(after, up_to - _LONGEST_CLUSTER), -1):
        if place >= len(text) or not (_continues(text[place]) or text[place - 1] == "\u200d"):
            return place
    return up_to


def _continues(character: str) -> bool:
    return (
        character in _JOINERS
        or unicodedata.category(character).startswith("M")
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
