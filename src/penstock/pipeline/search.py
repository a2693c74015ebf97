"""Step 4: embed a query and find the nearest Chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from penstock.database import search as statements
from penstock.database.connection import Database, Rows
from penstock.database.search import Filter, ModelIndex, Scored, Terms
from penstock.embedding.port import EmbeddingEngine, Vector
from penstock.models import Hit
from penstock.pipeline.highlight import Wording, highlight
from penstock.pipeline.narrowing import narrowed
from penstock.pipeline.ranking import fuse
from penstock.tasks import together

CANDIDATES = 5
"""Each search of a hybrid one brings so many times `k`, since a Chunk may be good in both and best in neither."""
LEAST_CANDIDATES = 125
"""Scores are standardised over them: of fewer, the mean and the spread say less."""
SCORED, SCORED_AGAIN = 2_000, 20_000
"""About so many Chunks are scored by their words; more where these bring too few, as a filter may leave most out."""


class SearchMode(StrEnum):
    """How to find Chunks."""

    HYBRID = "hybrid"
    """By both, fused."""
    VECTOR = "vector"
    """By the nearness of their vectors: finds what is meant."""
    TEXT = "text"
    """By the words they hold, BM25: finds names, numbers, exact terms."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for. What stands in quotes must stand in every Hit, word by word, whatever the mode."""

    text: str
    k: int = 10
    mode: SearchMode = SearchMode.HYBRID
    which: Filter = field(default_factory=Filter)
    context: int = 0
    """So many Chunks before and after each Hit come with it."""


async def search(query: Query, *, database: Database, engine: EmbeddingEngine, index: ModelIndex) -> list[Hit]:
    """The best Chunks of active generations, best first, at most `k`.

    Raises `InvalidRequest` where the engine will never take the query, `ServiceUnavailable` where the
    database or the engine does not answer.
    """
    if query.mode is SearchMode.TEXT:
        return await search_text(query, database=database)
    wording = Wording.of(query.text)
    if query.mode is SearchMode.VECTOR:
        _, found = await _nearest(query, wording, database=database, engine=engine, index=index, limit=query.k)
        async with database.transaction() as rows:
            return await _hits(rows, query, wording, found)
    limit = max(LEAST_CANDIDATES, CANDIDATES * query.k)
    (vector, near), (terms, matching) = await together(
        _nearest(query, wording, database=database, engine=engine, index=index, limit=limit),
        _best_matching(query, wording, database=database, limit=limit),
    )
    candidates = list({scored.chunk_id for scored in (*near, *matching)})
    async with database.transaction() as rows:
        evidence = await statements.evidence_around(rows, candidates, terms, vector, index)
        return await _hits(rows, query, wording, fuse(candidates, evidence, terms)[: query.k])


async def search_text(query: Query, *, database: Database) -> list[Hit]:
    """The same by words alone, which needs no engine."""
    wording = Wording.of(query.text)
    _, found = await _best_matching(query, wording, database=database, limit=query.k)
    async with database.transaction() as rows:
        return await _hits(rows, query, wording, found)


async def _nearest(
    query: Query, wording: Wording, *, database: Database, engine: EmbeddingEngine, index: ModelIndex, limit: int
) -> tuple[Vector, list[Scored]]:
    """The query's vector, and the Chunks nearest to it."""
    vector = await engine.embed_query(query.text)
    async with database.transaction() as rows:
        which = await statements.condition(rows, query.which, wording.phrases)
        return vector, await statements.nearest(rows, vector, index, which, limit=limit)


async def _best_matching(
    query: Query, wording: Wording, *, database: Database, limit: int
) -> tuple[Terms, list[Scored]]:
    """The query's words, and the Chunks that say most of them."""
    async with database.transaction() as rows:
        which = await statements.condition(rows, query.which, wording.phrases)
        terms = await statements.weigh_terms(rows, query.text)
        found: list[Scored] = []
        for most, enough in ((SCORED, limit), (SCORED_AGAIN, query.k), (math.inf, 0)):
            match = narrowed(terms, wording.required, most=most)
            found = await statements.best_matching(rows, terms, match.tsquery, which, limit=limit)
            if match.everything or len(found) >= enough:
                break
        return terms, found


async def _hits(rows: Rows, query: Query, wording: Wording, found: Sequence[Scored]) -> list[Hit]:
    passages = await statements.get_chunks(rows, [scored.chunk_id for scored in found])
    there = [scored for scored in found if scored.chunk_id in passages]
    spans = await highlight(rows, wording, [passages[scored.chunk_id] for scored in there])
    hits = [
        Hit(score=scored.score, highlights=highlights, **passages[scored.chunk_id].fields)
        for scored, highlights in zip(there, spans, strict=True)
    ]
    return await _with_neighbours(rows, hits, query.context) if query.context else hits


async def _with_neighbours(rows: Rows, hits: Sequence[Hit], distance: int) -> list[Hit]:
    neighbours = await statements.get_neighbours(rows, [hit.chunk_id for hit in hits], distance)
    return [
        hit.model_copy(
            update={
                "before": [near for near in neighbours[hit.chunk_id] if near.index < hit.index],
                "after": [near for near in neighbours[hit.chunk_id] if near.index > hit.index],
            }
        )
        for hit in hits
    ]
