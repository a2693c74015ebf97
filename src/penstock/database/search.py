"""Statements that search. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from psycopg.types.json import Jsonb

from penstock.database.chunks import neighbour_fields, passage_fields
from penstock.database.connection import Rows
from penstock.database.embeddings import indexed_vector_of, vector_of
from penstock.database.statements import statement
from penstock.database.words import terms
from penstock.models import Neighbour

Vector = NDArray[np.float32]

COUNTED_CHUNKS = 10_000
"""Where there are no more, the Chunks that have a word are counted; of more, the database keeps statistics."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which Files and Chunks to search in; None does not restrict, all that is given must hold."""

    file_ids: Sequence[UUID] | None = None
    names: Sequence[str] | None = None
    media_types: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    """Keys and values that the File's metadata contain."""
    pages: tuple[int, int] | None = None
    """First and last, from 1; a Chunk with text of one of them passes."""
    origins: Sequence[str] | None = None
    """Values of `Origin`: a Chunk with text of one of them passes, for `body` one that has nothing else."""
    without_origins: Sequence[str] | None = None
    """A Chunk with text of one of them does not pass."""
    without: Sequence[str] | None = None
    """Words and phrases, none of which a Chunk may have."""

    def parameters(self) -> dict[str, object]:
        first_page, last_page = self.pages or (None, None)
        return {
            "file_ids": _list(self.file_ids),
            "names": _list(self.names),
            "media_types": _list(self.media_types),
            "metadata": None if self.metadata is None else Jsonb(dict(self.metadata)),
            "first_page": first_page,
            "last_page": last_page,
            "origins": _list(self.origins),
            "without_origins": _list(self.without_origins),
        }


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter as the database takes it."""

    which: Filter
    required: Mapping[str, str] | None = None
    """By language, the tsquery of what must stand in a Chunk and what must not; None does not restrict."""

    def parameters(self) -> dict[str, object]:
        required = None if self.required is None else Jsonb(dict(self.required))
        return {**self.which.parameters(), "required": required}


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """What the HNSW index of one model is built on."""

    model_id: int
    dimensions: int
    ef_search: int


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a text query that some Chunk has."""

    spelling: str
    lexemes: Mapping[str, str]
    """By lexeme, in whatever language, the tsquery that a Chunk with it satisfies."""
    chunks: float
    """How many Chunks have it, about."""
    weight: float
    everywhere: bool = True
    """Whether it is a stop word in no language."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A text query, weighed by what the corpus holds."""

    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    """By language and lexeme: a Chunk is judged by those of its own language. Words that none has are left out."""
    words: Sequence[QueryWord] = ()
    """In the order of the query."""
    mean_length: float = 1.0
    """Of a Chunk, in tokens."""
    chunks: float = 0.0
    """How many there are, about."""

    def parameters(self) -> dict[str, object]:
        matches = self.matches
        return {
            "languages": [language for language, weights in self.weights.items() for _ in weights],
            "matches": [matches[lexeme] for weights in self.weights.values() for lexeme in weights],
            "weights": [weight for weights in self.weights.values() for weight in weights.values()],
            "mean_length": self.mean_length,
        }

    @property
    def matches(self) -> dict[str, str]:
        """By lexeme in any language, each once, its tsquery."""
        return {lexeme: match for word in self.words for lexeme, match in word.lexemes.items()}


@dataclass(frozen=True, slots=True)
class Passage:
    """A Chunk that was found."""

    fields: Mapping[str, Any]
    """Those of a Hit that the row knows."""
    language: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A Chunk and how well it fits: the greater the better."""

    chunk_id: UUID
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of one Chunk: a candidate, or the neighbour of one."""

    chunk_id: UUID
    file_id: UUID
    index: int
    headings: tuple[str, ...]
    language: str
    token_count: int
    similarity: float
    """Inner product of its vector with the query's."""
    frequencies: Mapping[str, int]
    """How often it has each lexeme of the query; those it lacks are left out."""


async def nearest(rows: Rows, vector: Vector, index: ModelIndex, which: Condition, *, limit: int) -> list[Scored]:
    """Chunks by inner product with `vector`, shape (dimensions,), nearest first.

    The index's scan goes on until enough rows pass the filter, but not for ever; where it ends short
    of `limit` the few Chunks that pass are compared one by one, so that a filter never loses results.
    """
    await rows.execute(
        "select set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'strict_order', true)",
        [str(max(index.ef_search, min(limit, 1000)))],
    )
    parameters = {"vector": vector, "limit": limit, **which.parameters()}
    found = await _scored(rows, _for_model("search_vectors", index), parameters)
    if len(found) < limit:
        found = await _scored(rows, _for_model("search_vectors_exactly", index), parameters)
    return found


async def weigh_terms(rows: Rows, query: str) -> Terms:
    """The lexemes of a query, in every language that the corpus holds, and their BM25 weights."""
    asked = terms(query)
    parameters = {"words": asked, "counted_chunks": COUNTED_CHUNKS}
    found = await (await rows.execute(statement("weigh_terms"), parameters)).fetchall()
    if not found:
        return Terms()
    weights: dict[str, dict[str, float]] = {}
    words: dict[int, QueryWord] = {}
    for row in sorted(found, key=lambda row: row["place"]):
        of_language = weights.setdefault(row["language"], {})
        of_language[row["lexeme"]] = max(row["weight"], of_language.get(row["lexeme"], 0.0))
        word = QueryWord(asked[int(row["place"]) - 1], {}, row["df"], row["weight"], row["everywhere"])
        known = words.setdefault(row["place"], word)
        words[row["place"]] = replace(known, lexemes={**known.lexemes, row["lexeme"]: row["match"]})
    return Terms(weights, tuple(words.values()), mean_length=found[0]["mean_length"], chunks=found[0]["n"])


async def condition(rows: Rows, which: Filter, phrases: Sequence[str]) -> Condition:
    """What a Chunk must pass: the filter, and every phrase in it."""
    without = list(which.without or ())
    if not phrases and not without:
        return Condition(which)
    found = await rows.execute(statement("require_phrases"), {"phrases": list(phrases), "without": without})
    return Condition(which, {row["language"]: row["required"] async for row in found})


async def match_words(
    rows: Rows, asked: Sequence[str], words: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], frozenset[int]]:
    """For each (language, word) that fits a word of `asked`, the positions of those it fits."""
    found = await rows.execute(
        statement("match_words"),
        {
            "asked": list(asked),
            "languages": [language for language, _ in words],
            "words": [word for _, word in words],
        },
    )
    return {words[row["place"] - 1]: frozenset(place - 1 for place in row["asked"]) async for row in found}


async def text_search_languages(rows: Rows) -> list[str]:
    """The text search configurations that come with PostgreSQL, by name."""
    found = await rows.execute(statement("text_search_languages"))
    return [row["cfgname"] async for row in found]


async def best_matching(rows: Rows, terms: Terms, match: str, which: Condition, *, limit: int) -> list[Scored]:
    """Of the Chunks that satisfy the tsquery `match` the best by BM25, best first."""
    if not terms.weights:
        return []
    parameters = {**terms.parameters(), "match": match, "limit": limit, **which.parameters()}
    query = _sql("search_text").format(passes=_sql("passes_filter"), occurrences=_sql("occurrences"))
    return await _scored(rows, query, parameters)


async def evidence_around(
    rows: Rows, chunk_ids: Sequence[UUID], terms: Terms, vector: Vector, index: ModelIndex
) -> list[Evidence]:
    """Of these Chunks and of the one before and after each in its File, in no order."""
    matches = terms.matches
    parameters = {"chunk_ids": list(chunk_ids), "matches": list(matches.values()), "vector": vector}
    found = await rows.execute(_for_model("evidence_around", index), parameters, prepare=False)
    return [
        Evidence(
            row["chunk_id"],
            row["file_id"],
            row["index"],
            tuple(row["headings"]),
            row["language"],
            row["token_count"],
            row["similarity"],
            {lexeme: often for lexeme, often in zip(matches, row["often"], strict=True) if often},
        )
        async for row in found
    ]


async def get_chunks(rows: Rows, chunk_ids: Sequence[UUID]) -> dict[UUID, Passage]:
    """By Chunk id."""
    found = await rows.execute(statement("get_chunks"), {"chunk_ids": list(chunk_ids)})
    return {row["chunk_id"]: Passage(passage_fields(row), row["language"]) async for row in found}


async def get_neighbours(rows: Rows, chunk_ids: Sequence[UUID], distance: int) -> dict[UUID, list[Neighbour]]:
    """By Chunk id, those up to `distance` before and after it in its generation, in order."""
    found = await rows.execute(statement("get_neighbours"), {"chunk_ids": list(chunk_ids), "distance": distance})
    neighbours: dict[UUID, list[Neighbour]] = {chunk_id: [] for chunk_id in chunk_ids}
    async for row in found:
        neighbours[row["hit_id"]].append(Neighbour(**neighbour_fields(row)))
    return neighbours


def _list(values: Sequence[object] | None) -> list[object] | None:
    return None if values is None else list(values)


def _for_model(name: str, index: ModelIndex) -> sql.Composed:
    return _sql(name).format(
        embedding=vector_of(index.dimensions),
        indexed=indexed_vector_of(index.dimensions),
        near=sql.SQL("%(vector)s::halfvec({})").format(sql.Literal(index.dimensions)),
        model_id=sql.Literal(index.model_id),
        passes=_sql("passes_filter"),
        occurrences=_sql("occurrences"),
    )


def _sql(name: str) -> sql.SQL:
    return sql.SQL(cast("LiteralString", statement(name).decode()))  # our own file


async def _scored(rows: Rows, query: sql.Composed, parameters: Mapping[str, object]) -> list[Scored]:
    # Never prepared: a generic plan would not know which filters are null, nor use the partial index.
    found = await rows.execute(query, parameters, prepare=False)
    return [Scored(row["chunk_id"], row["score"]) async for row in found if row["score"] is not None]
