"""Which Chunks answer a query best: pure functions over what the database measured.

Weights and methods were chosen on three sets of questions and several ways to cut the same documents, since on a
single one the differences between good methods are smaller than those between cuts (docs/decisions/0011).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from uuid import UUID

from penstock.database.search import Evidence, Nearness, Scored, Terms

BESIDE = 0.2
"""How much of the similarity of the passage before and of the one after counts."""
SATURATION = 1.2
"""BM25's k1: how soon further occurrences of a word stop to count."""
LENGTH_PENALTY = 0.75
"""BM25's b: how much a long passage must hold more of a word to score the same."""


def fuse(near: Sequence[Nearness], evidence: Sequence[Evidence], terms: Terms) -> list[Scored]:
    """The Chunks of `evidence` by the sum of two standardised scores, best first.

    One is the similarity of their vectors to the query's, with a part of their neighbours' (`near` has those too):
    what a document says about one thing it mostly says in one place. The other is BM25 times the share of the query
    that the passage covers: beside the vectors, which know what is meant, words matter most where nearly all of
    them are there. Reciprocal ranks instead of scores find less: they forget by how much one passage is better
    than the next.
    """
    meaning = with_neighbours(near)
    known = [each for each in evidence if each.chunk_id in meaning]
    meant = _standardised([meaning[each.chunk_id] for each in known])
    said = _standardised([bm25(each, terms) * coverage(each, terms) for each in known])
    found = [Scored(each.chunk_id, a + b) for each, a, b in zip(known, meant, said, strict=True)]
    return sorted(found, key=lambda item: (-item.score, item.chunk_id))


def with_neighbours(near: Sequence[Nearness]) -> dict[UUID, float]:
    """Each similarity with a share of its neighbours'.

    At the start and the end of a file, and where a neighbour was not measured, a usual similarity stands for it: else
    a note of one passage could never be found before a chapter.
    """
    usual = statistics.fmean(each.similarity for each in near) if near else 0.0
    by_place = {(each.file_id, each.index): each.similarity for each in near}
    return {
        each.chunk_id: each.similarity
        + BESIDE * sum(by_place.get((each.file_id, each.index + step), usual) for step in (-1, 1))
        for each in near
    }


def bm25(evidence: Evidence, terms: Terms) -> float:
    """Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), section 3."""
    length = 1 - LENGTH_PENALTY + LENGTH_PENALTY * evidence.token_count / terms.mean_length
    weights = terms.weights.get(evidence.language, {})
    return sum(
        weights.get(lexeme, 0.0) * often * (SATURATION + 1) / (often + SATURATION * length)
        for lexeme, often in evidence.frequencies.items()
    )


def coverage(evidence: Evidence, terms: Terms) -> float:
    """Which share of the query's weight, in its own language, the Chunk says; from 0 to 1."""
    weights = terms.weights.get(evidence.language, {})
    said = sum(weights.get(lexeme, 0.0) for lexeme in evidence.frequencies)
    return said / (sum(weights.values()) or 1.0)


def _standardised(scores: Sequence[float]) -> list[float]:
    """Mean 0 and standard deviation 1; all 0 where they do not differ."""
    if not scores:
        return []
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]
