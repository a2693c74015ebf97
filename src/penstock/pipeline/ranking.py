"""Which Chunks answer a query best: pure functions over what the database measured.

Weights were chosen on three sets of questions, in the middle of where they give much the same, since on a single
set the differences between good weights are smaller than those between cuts of a document (docs/decisions/0011).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from uuid import UUID

from penstock.database.search import Evidence, Scored, Terms

MEANING_BESIDE = 0.3
"""How much of the similarity of the passage before and of the one after counts."""
WORDS_BESIDE = 0.15
"""How much of their BM25 score counts."""
SAID_BESIDE = 0.5
"""How much a query's word counts as covered that only they say."""
WEIGHT_OF_WORDS = 1.3
"""How much the words' score counts beside that of the vectors."""
SATURATION = 1.2
"""BM25's k1: how soon further occurrences of a word stop to count."""
LENGTH_PENALTY = 0.75
"""BM25's b: how much a long passage must hold more of a word to score the same."""


def fuse(candidates: Sequence[UUID], evidence: Sequence[Evidence], terms: Terms) -> list[Scored]:
    """Candidates by the weighted sum of two standardised scores, best first; `evidence` has their neighbours too.

    One is the similarity of their vectors to the query's, the other BM25 times the root of the share of the query
    that the passage covers: beside the vectors, which know what is meant, words matter most where nearly all of them
    are there. All of these count the passage before and the one after in part, where they are of the same section:
    what a document says about one thing it mostly says in one place. Reciprocal ranks instead of scores find less:
    they forget by how much one passage is better than the next.
    """
    around = _Surroundings(evidence)
    near = around.smoothed({each.chunk_id: each.similarity for each in evidence}, MEANING_BESIDE)
    words = around.smoothed({each.chunk_id: bm25(each, terms) for each in evidence}, WORDS_BESIDE)
    known = [chunk_id for chunk_id in candidates if chunk_id in near]
    meant = _standardised([near[chunk_id] for chunk_id in known])
    said = _standardised([words[chunk_id] * math.sqrt(around.coverage(chunk_id, terms)) for chunk_id in known])
    scored = [Scored(chunk_id, a + WEIGHT_OF_WORDS * b) for chunk_id, a, b in zip(known, meant, said, strict=True)]
    return sorted(scored, key=lambda item: (-item.score, item.chunk_id))


def bm25(evidence: Evidence, terms: Terms) -> float:
    """Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), section 3."""
    weights = terms.weights.get(evidence.language, {})
    length = 1 - LENGTH_PENALTY + LENGTH_PENALTY * evidence.token_count / terms.mean_length
    return sum(
        weights.get(lexeme, 0.0) * often * (SATURATION + 1) / (often + SATURATION * length)
        for lexeme, often in evidence.frequencies.items()
    )


class _Surroundings:
    """The evidence by its place in its file."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._by_id = {each.chunk_id: each for each in evidence}
        self._by_place = {(each.file_id, each.index): each for each in evidence}

    def smoothed(self, scores: Mapping[UUID, float], share: float) -> dict[UUID, float]:
        """Each score with a share of its neighbours'.

        At the start and the end of a section a usual score stands for the neighbour that is missing: else a note of
        one passage could never be found before a chapter.
        """
        usual = statistics.fmean(scores.values()) if scores else 0.0
        return {
            chunk_id: score
            + share * sum(scores[each.chunk_id] if each else usual for each in self._neighbours(self._by_id[chunk_id]))
            for chunk_id, score in scores.items()
        }

    def coverage(self, chunk_id: UUID, terms: Terms) -> float:
        """Which share of the query's weight the Chunk says, or in part its neighbours; from 0 to 1."""
        own = self._by_id[chunk_id]
        weights = terms.weights.get(own.language, {})
        beside = {lexeme for each in self._neighbours(own) if each for lexeme in each.frequencies}
        said = sum(
            weight * (1.0 if lexeme in own.frequencies else SAID_BESIDE if lexeme in beside else 0.0)
            for lexeme, weight in weights.items()
        )
        return said / (sum(weights.values()) or 1.0)

    def _neighbours(self, own: Evidence) -> list[Evidence | None]:
        """Before and after, where it was measured and has the same headings."""
        found = [self._by_place.get((own.file_id, own.index + step)) for step in (-1, 1)]
        return [each if each and each.headings == own.headings else None for each in found]


def _standardised(scores: Sequence[float]) -> list[float]:
    """Mean 0 and standard deviation 1; all 0 where they do not differ."""
    if not scores:
        return []
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]
