"""Which words of a Hit the query matched, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from unicodedata import normalize

from penstock.database.connection import Rows
from penstock.database.search import Passage, match_words
from penstock.database.words import Word, spellings, terms, words

Span = tuple[int, int]
"""From where to where, in characters."""

KEEPING_THE_INITIAL = frozenset(
    ("catalan", "danish", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
     "romanian", "russian", "simple", "spanish", "swedish")
)  # fmt: skip
_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»')


@dataclass(frozen=True, slots=True)
class Wording:
    """A query's words: those that count wherever they stand, and phrases in quotes, whose words belong together."""

    loose: tuple[str, ...]
    phrases: tuple[str, ...]

    @classmethod
    def of(cls, query: str) -> Wording:
        """A quote without its partner is a sign like any other, as in `a 5" pipe`."""
        phrases = (match[match.lastindex or 0] for match in _QUOTED.finditer(query))
        return cls(tuple(terms(_QUOTED.sub(" ", query))), tuple(phrase for phrase in phrases if phrase.strip()))

    @property
    def required(self) -> frozenset[str]:
        """The words of the phrases."""
        return frozenset(word.spelling for phrase in self.phrases for word in words(phrase))


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as it is compared: its words in order, and what else they can be found by."""

    language: str
    words: list[Word]
    spellings: list[Word]

    @classmethod
    def of(cls, passage: Passage) -> _Text:
        text = passage.fields["text"]
        return cls(passage.language, list(words(text)), list(spellings(text)))

    def keys(self) -> Iterator[tuple[str, str]]:
        return (self.key(word) for word in chain(self.words, self.spellings))

    def key(self, word: Word) -> tuple[str, str]:
        return self.language, word.spelling.lower()


async def highlight(rows: Rows, wording: Wording, passages: Sequence[Passage]) -> list[list[Span]]:
    """For each passage the spans of its text that the query's words match, in order, none touching another."""
    texts = [_Text.of(passage) for passage in passages]
    phrases = [[word.spelling for word in words(phrase)] for phrase in wording.phrases]
    asked = [*wording.loose, *chain.from_iterable(phrases)]
    initials = {normalize("NFD", word)[0].lower() for word in asked}
    every_word = list(
        dict.fromkeys(key for text in texts for key in text.keys() if _may_match(key, initials))  # noqa: SIM118  # no dict
    )
    matched = await match_words(rows, asked, every_word) if asked else {}
    return [_merged(_spans(text, matched, len(wording.loose), phrases)) for text in texts]


def _may_match(key: tuple[str, str], initials: set[str]) -> bool:
    """Whether it pays to ask the database: most stemmers leave the first letter as it is."""
    language, word = key
    return language not in KEEPING_THE_INITIAL or not word[:1].isascii() or word[:1] in initials


def _spans(
    text: _Text, matched: dict[tuple[str, str], frozenset[int]], loose: int, phrases: Sequence[Sequence[str]]
) -> Iterator[Span]:
    """`matched` counts the words of the query: first those that are loose, then each phrase's in turn."""
    yield from _standing_alone(text, matched, range(loose))
    first = loose
    for phrase in phrases:
        in_order = list(_standing_together(text, matched, phrase, first))
        # `bank of the river` fits "bank of a river": what is matched is then not word for word.
        yield from in_order or _standing_alone(text, matched, range(first, first + len(phrase)))
        first += len(phrase)


def _standing_alone(text: _Text, matched: dict[tuple[str, str], frozenset[int]], asked: range) -> Iterator[Span]:
    for word in chain(text.words, text.spellings):
        if any(n in asked for n in matched.get(text.key(word), ())):
            yield word.start, word.end


def _standing_together(
    text: _Text, matched: dict[tuple[str, str], frozenset[int]], phrase: Sequence[str], first: int
) -> Iterator[Span]:
    if not phrase:
        return
    fits = [{n - first for n in matched.get(text.key(word), ())} | _same(word, phrase) for word in text.words]
    for start in range(len(fits) - len(phrase) + 1):
        if all(n in fits[start + n] for n in range(len(phrase))):
            yield text.words[start].start, text.words[start + len(phrase) - 1].end


def _same(word: Word, phrase: Sequence[str]) -> set[int]:
    """Where in the phrase the very word stands: a stop word has no lexeme to match by."""
    return {n for n, asked in enumerate(phrase) if asked.lower() == word.spelling.lower()}


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
