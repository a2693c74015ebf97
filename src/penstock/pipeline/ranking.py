"""Which Chunks answer a query best: pure functions over what the database measured.

A passage is judged with the one before and the one after it. What a document says about one thing it mostly says
in one place, so that a passage between two that match is the likelier answer; and a question's words are often
spread over a sentence that names the subject and the next that says something of it. Weights and methods were
chosen on the average of eight ways to cut the same documents, since on a single one the differences between
good methods are smaller than those between cuts (docs/decisions/0011).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from penstock.database.search import Evidence, Scored, Terms

WORDS_BESIDE = 0.2
"""How much of the BM25 score of the passage before and of the one after counts, where words alone decide."""
MEANING_BESIDE = 0.3
"""How much of their similarity counts."""
WEIGHT_OF_WORDS = 0.7
"""How much the words' score counts beside that of the vectors. The share of the query that is covered sets the best
match far apart from the others: at 1.0, questions in other words than the text's found less (decision 11)."""
HALF_COVERED = 0.5
"""How much a query's word counts as said that only the passage before or after says."""
SATURATION = 1.2
"""BM25's k1: how soon further occurrences of a word stop to count."""
LENGTH_PENALTY = 0.75
"""BM25's b: how much a long passage must hold more of a word to score the same."""


def by_words(candidates: Sequence[UUID], evidence: Sequence[Evidence], terms: Terms) -> list[Scored]:
    """Candidates by BM25 of their words and, in part, of their neighbours', best first."""
    around = _Surroundings(evidence)
    scores = around.smoothed({each.chunk_id: bm25(each, terms) for each in evidence}, WORDS_BESIDE)
    return _best_first({chunk_id: scores[chunk_id] for chunk_id in candidates if chunk_id in scores})


def by_meaning_and_words(
    similarities: Mapping[UUID, float], candidates: Sequence[UUID], evidence: Sequence[Evidence], terms: Terms
) -> list[Scored]:
    """Candidates by the weighted sum of two standardised scores, best first.

    One is the similarity of their vectors to the query's; the other BM25 times the share of the query that the
    passage covers, because beside the vectors, which know what is meant, words matter most where nearly all of
    them are there. Neighbours count in part of the similarity and of the share. Reciprocal ranks instead of scores
    find less: they forget by how much one passage is better than the next.
    """
    around = _Surroundings(evidence)
    near = around.smoothed(similarities, MEANING_BESIDE)
    words = {each.chunk_id: bm25(each, terms) for each in evidence}
    known = [chunk_id for chunk_id in candidates if chunk_id in near and chunk_id in words]
    meant = _standardised([near[chunk_id] for chunk_id in known])
    said = _standardised([words[chunk_id] * around.coverage(chunk_id, terms) for chunk_id in known])
    return _best_first({chunk_id: a + WEIGHT_OF_WORDS * b for chunk_id, a, b in zip(known, meant, said, strict=True)})


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

        At the start and the end of a file a usual score stands for the neighbour that is missing: else a note of
        one passage could never be found before a chapter.
        """
        usual = statistics.fmean(scores.values()) if scores else 0.0
        return {
            chunk_id: score + share * sum(self._scores_beside(chunk_id, scores, usual))
            for chunk_id, score in scores.items()
            if chunk_id in self._by_id
        }

    def _scores_beside(self, chunk_id: UUID, scores: Mapping[UUID, float], usual: float) -> Iterator[float]:
        for each in self._neighbours(self._by_id[chunk_id]):
            yield scores.get(each.chunk_id, usual) if each else usual

    def coverage(self, chunk_id: UUID, terms: Terms) -> float:
        """Which share of the query's weight the Chunk says, or in part its neighbours; from 0 to 1."""
        own = self._by_id[chunk_id]
        weights = terms.weights.get(own.language, {})
        beside = {lexeme for each in self._neighbours(own) if each for lexeme in each.frequencies}
        said = sum(
            weight * (1.0 if lexeme in own.frequencies else HALF_COVERED if lexeme in beside else 0.0)
            for lexeme, weight in weights.items()
        )
        return said / (sum(weights.values()) or 1.0)

    def _neighbours(self, each: Evidence) -> tuple[Evidence | None, Evidence | None]:
        before, after = (each.file_id, each.index - 1), (each.file_id, each.index + 1)
        return self._by_place.get(before), self._by_place.get(after)


def _best_first(scores: Mapping[UUID, float]) -> list[Scored]:
    found = [Scored(chunk_id, score) for chunk_id, score in scores.items()]
    return sorted(found, key=lambda item: (-item.score, item.chunk_id))


def _standardised(scores: Sequence[float]) -> list[float]:
    """Mean 0 and standard deviation 1; all 0 where they do not differ."""
    if not scores:
        return []
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]
