"""Statements that search. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from psycopg.types.json import Jsonb

from penstock.database.chunks import passage_fields
from penstock.database.connection import Rows
from penstock.database.embeddings import vector_of
from penstock.database.statements import statement

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which Files to search in; None does not restrict, all that is given must hold."""

    file_ids: Sequence[UUID] | None = None
    names: Sequence[str] | None = None
    media_types: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    """Keys and values that the File's metadata contain."""

    def parameters(self) -> dict[str, object]:
        return {
            "file_ids": None if self.file_ids is None else list(self.file_ids),
            "names": None if self.names is None else list(self.names),
            "media_types": None if self.media_types is None else list(self.media_types),
            "metadata": None if self.metadata is None else Jsonb(dict(self.metadata)),
        }


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """What the HNSW index of one model is built on."""

    model_id: int
    dimensions: int
    ef_search: int


@dataclass(frozen=True, slots=True)
class Terms:
    """A text query, weighed by what the corpus holds."""

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """By lexeme; those that no Chunk has are left out."""
    match: str = ""
    """A tsquery that any of them satisfies."""
    mean_length: float = 1.0

    def parameters(self) -> dict[str, object]:
        return {
            "lexemes": list(self.weights),
            "weights": list(self.weights.values()),
            "mean_length": self.mean_length,
        }


@dataclass(frozen=True, slots=True)
class Scored:
    """A Chunk and how well it fits: the greater the better."""

    chunk_id: UUID
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a Chunk holds of a text query."""

    chunk_id: UUID
    file_id: UUID
    index: int
    token_count: int
    frequencies: Mapping[str, int]
    """How often each lexeme of the query; those it lacks are left out."""


async def nearest(rows: Rows, vector: Vector, index: ModelIndex, which: Filter, *, limit: int) -> list[Scored]:
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


async def weigh_terms(rows: Rows, query: str, *, language: str) -> Terms:
    """The lexemes of a query and their BM25 weights."""
    found = await (await rows.execute(statement("weigh_terms"), {"query": query, "language": language})).fetchall()
    if not found:
        return Terms()
    return Terms(
        weights={row["lexeme"]: row["weight"] for row in found},
        match=" | ".join(row["match"] for row in found),
        mean_length=found[0]["mean_length"],
    )


async def text_search_languages(rows: Rows) -> list[str]:
    """The text search configurations that come with PostgreSQL, by name."""
    found = await rows.execute(statement("text_search_languages"))
    return [row["cfgname"] async for row in found]


async def best_matching(rows: Rows, terms: Terms, which: Filter, *, limit: int) -> list[Scored]:
    """Chunks by BM25, best first."""
    if not terms.weights:
        return []
    parameters = {**terms.parameters(), "match": terms.match, "limit": limit, **which.parameters()}
    return await _scored(rows, statement("search_text"), parameters)


async def evidence_around(rows: Rows, chunk_ids: Sequence[UUID], terms: Terms) -> list[Evidence]:
    """Of these Chunks and of the one before and after each in its File, in no order."""
    found = await rows.execute(
        statement("evidence_around"), {"chunk_ids": list(chunk_ids), "lexemes": list(terms.weights)}
    )
    return [
        Evidence(
            row["chunk_id"],
            row["file_id"],
            row["index"],
            row["token_count"],
            dict(zip(row["found"] or (), row["often"] or (), strict=True)),
        )
        async for row in found
    ]


async def similarities(rows: Rows, chunk_ids: Sequence[UUID], vector: Vector, index: ModelIndex) -> dict[UUID, float]:
    """Inner products of these Chunks' vectors with `vector`."""
    found = await rows.execute(
        _for_model("similarities", index), {"chunk_ids": list(chunk_ids), "vector": vector}, prepare=False
    )
    return {row["chunk_id"]: row["similarity"] async for row in found}


async def get_chunks(rows: Rows, chunk_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The fields of a Hit, but the score, by Chunk id."""
    found = await rows.execute(statement("get_chunks"), {"chunk_ids": list(chunk_ids)})
    return {row["chunk_id"]: passage_fields(row) async for row in found}


def _for_model(name: str, index: ModelIndex) -> sql.Composed:
    source = cast("LiteralString", statement(name).decode())  # our own file
    return sql.SQL(source).format(embedding=vector_of(index.dimensions), model_id=sql.Literal(index.model_id))


async def _scored(rows: Rows, query: bytes | sql.Composed, parameters: Mapping[str, object]) -> list[Scored]:
    # Never prepared: a generic plan would not know which filters are null, nor use the partial index.
    found = await rows.execute(query, parameters, prepare=False)
    return [Scored(row["chunk_id"], row["score"]) async for row in found]
