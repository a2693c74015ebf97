"""Words counted on both sides: what an independent reading of a file has, and what we have of it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u200c\u200d\u2060\ufeff]")
_HYPHEN = re.compile("(?<=\\w)[-\u2010\u2011\ufffe](?=[^\\W\\d_])")


def words(text: str) -> Counter[str]:
    """The words of a text and how often each occurs; case, width and ligatures do not matter, order does not either."""
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()))


def without_hyphens(text: str) -> str:
    """The text without the hyphens inside its words: whether one at a line's end is the author's, no count can tell."""
    return _HYPHEN.sub("", text)


@dataclass(frozen=True, slots=True)
class Tally:
    """Words that both sides have, of those expected and of those given; each as often as it occurs."""

    common: int = 0
    expected: int = 0
    given: int = 0

    @classmethod
    def of(cls, given: str, expected: str) -> Tally:
        have, want = words(given), words(expected)
        return cls((have & want).total(), want.total(), have.total())

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.common + other.common, self.expected + other.expected, self.given + other.given)

    @property
    def recall(self) -> float:
        """Of the words expected, those given: what is missing was lost."""
        return self.common / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        """Of the words given, those expected: the rest was made up, or said twice."""
        return self.common / self.given if self.given else 1.0


def lost(given: str, expected: str, most: int = 8) -> list[str]:
    """Some of the words that are missing, the most frequent first: for whoever has to explain a miss."""
    return [word for word, _ in (words(expected) - words(given)).most_common(most)]


def added(given: str, expected: str, most: int = 8) -> list[str]:
    """Some of the words that only we have."""
    return lost(expected, given, most)
