"""Statements about models and embeddings. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from penstock.database.chunks import UnembeddedChunk
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
            "create index if not exists {index} on embeddings using hnsw ({vector} vector_ip_ops) where model_id = {id}"
        ).format(
            index=sql.Identifier(f"embeddings_nearest_{model_id}"),
            vector=vector_of(dimensions),
            id=sql.Literal(model_id),
        )
    )
    return model_id


def vector_of(dimensions: int) -> sql.Composable:
    """The expression that the HNSW index of a model of so many dimensions is built on."""
    return sql.SQL("(embedding::vector({}))").format(sql.Literal(dimensions))


async def reuse_embeddings(rows: Rows, chunks: Sequence[UnembeddedChunk], *, model_id: int) -> set[UUID]:
    """Copy the vectors that equal texts have already; the ids of the Chunks that got one."""
    found = await rows.execute(
        statement("reuse_embeddings"),
        {
            "model_id": model_id,
            "chunk_ids": [chunk.chunk_id for chunk in chunks],
        },
    )
    return {row["chunk_id"] async for row in found}


async def insert_embeddings(
    rows: Rows, chunks: Sequence[UnembeddedChunk], vectors: Sequence[Vector], *, model_id: int
) -> int:
    """Record vectors of shape (dimensions,), one a Chunk; how many were new."""
    found = await rows.execute(
        statement("insert_embeddings"),
        {
            "model_id": model_id,
            "chunk_ids": [chunk.chunk_id for chunk in chunks],
            "vectors": list(vectors),
        },
    )
    row = await found.fetchone()
    return row["fresh"] if row else 0


async def settle_embedded(rows: Rows, file_id: UUID, generation: int, *, fresh: int) -> bool:
    """Count `fresh` new vectors, and switch search to this generation when all are there; whether it did."""
    which = {"file_id": file_id, "generation": generation}
    counted = await (await rows.execute(statement("add_embedded"), {**which, "fresh": fresh})).fetchone()
    if counted is None or not counted["ready"]:
        return False
    await rows.execute(statement("activate_generation"), which)
    await rows.execute(statement("delete_old_generations"), which)
    return True
