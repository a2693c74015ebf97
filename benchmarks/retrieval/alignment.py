"""Where a piece of the extracted text stands in the file that it was extracted from.

A reader leaves marks out (the `-` of an item, the `#` of a heading), puts line breaks in, and changes no word. So
both texts are walked at once, white space aside. Where they differ, the least that has to be skipped on either
side for the next characters to agree again is skipped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

AGREEING = 12
"""Characters that must agree behind a long difference; behind a short one, which seldom misleads, fewer."""
DEARER = 5
"""To skip a character of the extracted text, than one of the source: a reader leaves out, it seldom adds."""
LONGEST_SKIP = 2000
"""Cost of a difference, white space aside."""


class Alignment:
    """Of one extracted text with its source."""

    def __init__(self, extracted: str, source: str) -> None:
        self._at: list[int] = []
        """Places in the extracted text, ascending, of the characters that stand in the source too."""
        self._source_at: list[int] = []
        """Where each of them stands there, ascending."""
        here, there = _visible(extracted), _visible(source)
        self._walk(extracted, here, source, there)
        self.of_extracted = len(self._at) / len(here) if here else 1.0
        """Share of the extracted text's characters that stand in the source, white space aside."""
        self.of_source = len(self._at) / len(there) if there else 1.0
        """Share of the source's characters that stand in the extracted text, white space aside."""

    def in_source(self, start: int, end: int) -> tuple[int, int] | None:
        """The source's characters from the first to the last that this piece of the text has; None if it has none."""
        first, past = bisect_left(self._at, start), bisect_left(self._at, end)
        return (self._source_at[first], self._source_at[past - 1] + 1) if first < past else None

    def _walk(self, extracted: str, here: Sequence[int], source: str, there: Sequence[int]) -> None:
        text = "".join(extracted[place] for place in here)
        other = "".join(source[place] for place in there)
        i = j = 0
        while i < len(text) and j < len(other):
            if text[i] == other[j]:
                self._at.append(here[i])
                self._source_at.append(there[j])
                i, j = i + 1, j + 1
            else:
                skipped = _skip(text, i, other, j)
                if skipped is None:
                    return
                i, j = i + skipped[0], j + skipped[1]


def _visible(text: str) -> list[int]:
    return [place for place, character in enumerate(text) if not character.isspace()]


def _skip(text: str, i: int, other: str, j: int) -> tuple[int, int] | None:
    """What to skip of `text` and of `other`; None where they do not meet again."""
    for cost in range(1, LONGEST_SKIP):
        agreeing = min(AGREEING, 2 + cost // 3)
        for ours in range(cost // DEARER + 1):
            a, b = i + ours, j + cost - DEARER * ours
            if text[a : a + agreeing] == other[b : b + agreeing]:
                return ours, cost - DEARER * ours
    return None
