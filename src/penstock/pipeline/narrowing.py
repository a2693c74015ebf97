"""Which Chunks are worth scoring by their words: a pure rule over how many have each.

A common word is in a tenth of all Chunks; to score them all takes seconds where there are a million. But one that says
only common words of a query cannot be among the best if there are others that say the rare ones too. So only those are
looked at whose words weigh enough together. An inverted index finds these without looking at the rest: it starts from
the rare words' lists and skips through the common ones'. After WAND (Broder and others, Efficient query evaluation
using a two-level retrieval process, 2003), with the threshold set beforehand, by how many Chunks are expected to
reach it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from penstock.database.search import QueryWord, Terms

MOST_WORDS = 8
"""So many of a query's words, the heaviest, decide what is looked at; all of them decide its score."""
TOGETHER = 0.75
"""Words of one query are found together more often than by chance: of each but the rarest counts its share to the
power of this."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a Chunk must say to be scored."""

    tsquery: str
    everything: bool
    """Whether any word of the query is enough."""


def narrowed(terms: Terms, required: Collection[str], *, most: float) -> Match:
    """The Chunks with the heaviest words of the query, about `most` of them; all that have any where these are no more.

    `required` are spellings of words that a Chunk must have, as far as no language leaves them out.
    """
    words = _distinct(terms.words)
    must = " & ".join(_any_of([word]) for word in words if word.everywhere and word.spelling in required)
    everything = sum(word.chunks for word in words) <= most
    if everything:
        chosen = _any_of(words)
    else:
        heaviest = sorted(words, key=lambda word: -word.weight)[:MOST_WORDS]
        chosen = _reaching(heaviest, threshold(heaviest, terms.chunks, most=most))
    return Match(f"{must} & ({chosen})" if must else chosen, everything)


def threshold(words: Sequence[QueryWord], chunks: float, *, most: float) -> float:
    """The least weight that no more than `most` of the Chunks are expected to reach with these words."""
    reached = sum(word.weight for word in words)
    subsets = sorted(_subsets(words, chunks), reverse=True)
    counts = accumulate(sum(count for _, count in same) for _, same in groupby(subsets, key=lambda subset: subset[0]))
    for (weight, _), count in zip(groupby(subsets, key=lambda subset: subset[0]), counts, strict=True):
        if count > most:
            break
        reached = weight
    return reached


def _subsets(words: Sequence[QueryWord], chunks: float) -> list[tuple[float, float]]:
    """For each set of words what they weigh and how many Chunks are expected to have these and no others."""
    subsets = [(0.0, 1.0, False)]
    for word in sorted(words, key=lambda word: word.chunks):
        share = min(1.0, word.chunks / max(chunks, 1.0))
        beside = share**TOGETHER
        subsets = [
            item
            for weight, likely, any_before in subsets
            for item in (
                (weight, likely * (1 - share), any_before),
                (weight + word.weight, likely * (beside if any_before else share), True),
            )
        ]
    return [(round(weight, 6), chunks * likely) for weight, likely, any_before in subsets if any_before]


def _reaching(words: Sequence[QueryWord], weight: float) -> str:
    """The tsquery of the Chunks whose words, heaviest first, weigh so much together."""
    left = [*accumulate((word.weight for word in reversed(words)), initial=0.0)][::-1]

    def clause(at: int, needed: float) -> str | None:
        if at == len(words) or left[at] < needed - 1e-5:
            return None
        here = _any_of([words[at]])
        needed_after = needed - words[at].weight
        if needed_after > 1e-5:
            rest = clause(at + 1, needed_after)
            here = None if rest is None else f"{here} & ({rest})"
        return " | ".join(part for part in (here, clause(at + 1, needed)) if part) or None

    found = clause(0, weight)
    assert found is not None, "all words together reach any threshold"
    return found


def _any_of(words: Sequence[QueryWord]) -> str:
    alternatives = dict.fromkeys(match for word in words for match in word.lexemes.values())
    joined = " | ".join(alternatives)
    return f"({joined})" if len(alternatives) > 1 else joined


def _distinct(words: Sequence[QueryWord]) -> list[QueryWord]:
    """One of those that are found by the same lexemes, as `run` and `running`."""
    return list({frozenset(word.lexemes): word for word in reversed(words)}.values())[::-1]
