"""Statements about models and embeddings. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import DictRow

from penstock.database.connection import Rows
from penstock.database.statements import statement

Vector = NDArray[np.float32]


async def register_model(rows: Rows, *, name: str, revision: str, dimensions: int) -> int:
    """The id of a model, made known with its HNSW index when it is new.

    The index covers this model's rows only and is of the model's own dimensions, so that several
    models can stand side by side.
    """
    parameters = {"name": name, "revision": revision, "dimensions": dimensions}
    if known := await (await rows.execute(statement("get_model"), parameters)).fetchone():
        return known["model_id"]
    row = await (await rows.execute(statement("insert_model"), parameters)).fetchone()
    assert row is not None, "insert … returning returns the row"
    model_id: int = row["model_id"]
    await rows.execute(
        sql.SQL(
            "create index if not exists {index} on embeddings using hnsw ({vector} halfvec_ip_ops)"
            " where model_id = {id}"
        ).format(
            index=sql.Identifier(f"embeddings_nearest_{model_id}"),
            vector=indexed_vector_of(dimensions),
            id=sql.Literal(model_id),
        )
    )
    return model_id


def vector_of(dimensions: int) -> sql.Composable:
    """The vector of a model of so many dimensions, as it was recorded."""
    return sql.SQL("(embedding::vector({}))").format(sql.Literal(dimensions))


def indexed_vector_of(dimensions: int) -> sql.Composable:
    """The expression that the HNSW index of such a model is built on: half the memory, and so faster."""
    return sql.SQL("(embedding::halfvec({}))").format(sql.Literal(dimensions))


async def reuse_embeddings(
    rows: Rows, file_id: UUID, generation: int, chunk_ids: Sequence[UUID], *, model_id: int
) -> tuple[set[UUID], bool]:
    """Copy the vectors that equal texts have already; the Chunks that got one, and whether the File is complete now."""
    row = await _one(rows, "reuse_embeddings", file_id, generation, model_id=model_id, chunk_ids=list(chunk_ids))
    return set(row["reused"]), row["complete"]


async def record_embeddings(
    rows: Rows,
    file_id: UUID,
    generation: int,
    chunk_ids: Sequence[UUID],
    vectors: Sequence[Vector],
    *,
    model_id: int,
) -> bool:
    """Record vectors of shape (dimensions,), one a Chunk; whether the File is complete now.

    A Chunk that has one keeps it. One that was deleted meanwhile gets none, nor one of a generation that is not wanted
    any more.
    """
    given = {"model_id": model_id, "chunk_ids": list(chunk_ids), "vectors": list(vectors)}
    return (await _one(rows, "record_embeddings", file_id, generation, **given))["complete"]


async def settle(rows: Rows, file_id: UUID, generation: int) -> bool:
    """Switch search to this generation if every Chunk has its vector; whether it did."""
    return (await _one(rows, "settle", file_id, generation))["complete"]


async def _one(rows: Rows, query: str, file_id: UUID, generation: int, **parameters: object) -> DictRow:
    which = {"file_id": file_id, "generation": generation}
    row = await (await rows.execute(statement(query), which | parameters)).fetchone()
    assert row is not None, "a function always has its row"
    return row
