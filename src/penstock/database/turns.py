"""Statements about whose turn it is. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from penstock.database.connection import Rows
from penstock.database.statements import statement
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A File with Chunks that were not put on the embedding-queue yet."""

    file_id: UUID
    generation: int
    announced_index: int
    """Of its last Chunk that was; -1 before the first."""
    chunk_count: int
    turn: float
    newest: bool
    """Whether it is looked at because it was handed in last, not because of its turn."""
    early: bool = False
    """Whether it is still being read: more Chunks come."""


@dataclass(frozen=True, slots=True)
class Announced:
    """How far a File's Chunks are on the queue now."""

    waiting: WaitingFile
    index: int
    turn: float
    complete: bool
    """Whether none is left to announce."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the rows for one queue."""

    messages: int
    oldest_seconds: float | None


async def anything_waits(rows: Rows) -> dict[str, bool]:
    """Whether any File waits for its turn, by queue."""
    row = await (await rows.execute(statement("anything_waits"))).fetchone()
    assert row is not None, "a list of expressions always has its row"
    return {INGEST_QUEUE: row["to_be_ingested"], EMBEDDING_QUEUE: row["to_be_embedded"]}


async def take_ingest_turns(rows: Rows, *, limit: int, newest: int) -> list[tuple[UUID, int]]:
    """Id and generation of the Files to put on the ingest-queue: `limit` in turn, and the `newest` out of it."""
    found = await rows.execute(statement("take_ingest_turns"), {"limit": limit, "newest": newest})
    return [(row["file_id"], row["generation"]) async for row in found]


async def wait_to_be_embedded(rows: Rows, *, limit: int) -> list[WaitingFile]:
    """Files with Chunks to put on the embedding-queue, by turn, and the newest; locked until the transaction ends."""
    found = await rows.execute(statement("wait_to_be_embedded"), {"limit": limit})
    files: dict[UUID, WaitingFile] = {}
    async for row in found:
        files.setdefault(row["file_id"], WaitingFile(**row))
    return list(files.values())


async def chunks_to_announce(rows: Rows, wanted: Mapping[WaitingFile, int]) -> dict[UUID, list[tuple[UUID, int]]]:
    """Id and index of the next Chunks without a vector, by File, at most as many as `wanted` says of each."""
    found = await rows.execute(
        statement("chunks_to_announce"),
        {
            "file_ids": [file.file_id for file in wanted],
            "generations": [file.generation for file in wanted],
            "after": [file.announced_index for file in wanted],
            "most": list(wanted.values()),
        },
    )
    chunks: dict[UUID, list[tuple[UUID, int]]] = {file.file_id: [] for file in wanted}
    async for row in found:
        chunks[row["file_id"]].append((row["chunk_id"], row["index"]))
    return chunks


async def announce_chunks(rows: Rows, announced: Sequence[Announced], *, reached: float) -> None:
    """Record how far each File is; `reached` is the turn that the queue has come to."""
    await rows.execute(
        statement("announce_chunks"),
        {
            "file_ids": [item.waiting.file_id for item in announced],
            "generations": [item.waiting.generation for item in announced],
            "announced": [item.index for item in announced],
            "turns": [item.turn for item in announced],
            "all_announced": [item.complete for item in announced],
            "reached": reached,
        },
    )


async def recount_embedded(rows: Rows, file_id: UUID, generation: int) -> None:
    """Let the count of a File's vectors be what is there."""
    await rows.execute(statement("recount_embedded"), {"file_id": file_id, "generation": generation})


async def count_waiting(rows: Rows) -> dict[str, Waiting]:
    """What waits in the rows, by queue."""
    found = await rows.execute(statement("count_waiting"))
    return {row["queue"]: Waiting(row["waiting"], row["oldest_seconds"]) async for row in found}
