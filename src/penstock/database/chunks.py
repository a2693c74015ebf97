"""Statements about Chunks. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from penstock.database.connection import Rows
from penstock.database.files import Reading
from penstock.database.statements import statement
from penstock.database.unclaimed import came_too_late
from penstock.models import Chunk, NewChunk, chunk_id, embedded_text


@dataclass(frozen=True, slots=True)
class IngestedFile:
    """What parsing found out about one generation of a File."""

    file_id: UUID
    generation: int
    attempt: int
    """Of those that began to read this generation; only the last one records."""
    media_type: str
    sha256: str
    language: str
    """The text search configuration of its Chunks."""
    page_count: int | None
    chunk_count: int
    """Of all, those recorded early included."""
    token_count: int
    coverage: float | None
    unread_pages: Sequence[int] = ()
    text_key: str = field(kw_only=True)
    """Where its text was written, reserved and not claimed yet."""


@dataclass(frozen=True, slots=True)
class UnembeddedChunk:
    """A Chunk that waits for its vector."""

    chunk_id: UUID
    index: int
    context: str
    text: str
    token_count: int
    """Of the text and its context."""
    known: bool
    """Whether an equal text in an equal context has a vector already."""

    @property
    def embedded_text(self) -> str:
        return embedded_text(self.context, self.text)


async def record_early_chunks(rows: Rows, reading: Reading, chunks: Sequence[NewChunk], *, language: str) -> bool:
    """Write the next Chunks of a File of which more are to come; they may be embedded meanwhile.

    False, with nothing written, where the generation was deleted, superseded or begun by another Ingester meanwhile.
    """
    file = reading.file
    which = {"file_id": file.file_id, "generation": file.generation, "attempt": reading.attempt}
    given = {"language": language, "chunks": _written(file.file_id, file.generation, chunks)}
    row = await (await rows.execute(statement("record_early_chunks"), which | given)).fetchone()
    assert row is not None, "a function always has its row"
    return row["recorded"]


async def record_chunks(rows: Rows, ingested: IngestedFile, chunks: Sequence[NewChunk], *, early: int = 0) -> bool:
    """Write all Chunks of a generation, less those recorded `early`, and mark the File `embedding`.

    False, with nothing written and the text released, where the generation was deleted, superseded or begun or recorded
    by another Ingester meanwhile. Raises `ServiceUnavailable` where the text is swept.
    """
    given = {
        "file_id": ingested.file_id,
        "generation": ingested.generation,
        "attempt": ingested.attempt,
        "language": ingested.language,
        "chunks": _written(ingested.file_id, ingested.generation, chunks),
        "early": early > 0,
        "text_key": ingested.text_key,
        "media_type": ingested.media_type,
        "sha256": ingested.sha256,
        "page_count": ingested.page_count,
        "chunk_count": ingested.chunk_count,
        "token_count": ingested.token_count,
        "coverage": ingested.coverage,
        "unread_pages": list(ingested.unread_pages),
    }
    row = await (await rows.execute(statement("record_file"), given)).fetchone()
    assert row is not None, "a function always has its row"
    if row["outcome"] == "swept":
        raise came_too_late(ingested.text_key)
    return row["outcome"] == "recorded"


def _written(file_id: UUID, generation: int, chunks: Iterable[NewChunk]) -> str:
    """The Chunks as a JSON array: one parameter for any number of rows, whose columns are arrays themselves."""
    return to_json([_columns(file_id, generation, chunk) for chunk in chunks]).decode()


def _columns(file_id: UUID, generation: int, chunk: NewChunk) -> dict[str, object]:
    text_hash = chunk.text_hash
    first_page, last_page = chunk.pages or (None, None)
    char_start, char_end = chunk.char_span
    return {
        "chunk_id": chunk_id(file_id, generation, chunk.index, text_hash),
        "index": chunk.index,
        "text": chunk.text,
        "text_hash": text_hash.hex(),
        "token_count": chunk.token_count,
        "first_page": first_page,
        "last_page": last_page,
        "char_start": char_start,
        "char_end": char_end,
        "headings": chunk.headings,
        "context": chunk.context,
        "context_tokens": chunk.context_tokens,
        "metadata": chunk.metadata,
    }


async def list_chunks(rows: Rows, file_id: UUID, *, limit: int, after: int = -1) -> list[Chunk]:
    """Chunks of the active generation with an index above `after`, in order."""
    found = await rows.execute(statement("list_chunks"), {"file_id": file_id, "limit": limit, "after": after})
    return [Chunk(**passage_fields(row), token_count=row["token_count"]) async for row in found]


async def chunks_to_embed(
    rows: Rows, file_id: UUID, generation: int, chunk_ids: Sequence[UUID], *, model_id: int
) -> list[UnembeddedChunk]:
    """Those of `chunk_ids` that still wait for their vector; none where the generation is no longer wanted."""
    found = await rows.execute(
        statement("chunks_to_embed"),
        {"file_id": file_id, "generation": generation, "chunk_ids": list(chunk_ids), "model_id": model_id},
    )
    return [UnembeddedChunk(**row) async for row in found]


def passage_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a Chunk and a Hit share, from a row of `chunks` with the File's `name`."""
    return {
        **{name: row[name] for name in ("file_id", "name", "headings", "context", "metadata")},
        **neighbour_fields(row),
    }


def neighbour_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Chunk beside a Hit, which tells the rest, from a row of `chunks`."""
    return {
        **{name: row[name] for name in ("chunk_id", "index", "text")},
        "pages": None if row["first_page"] is None else (row["first_page"], row["last_page"]),
        "char_span": (row["char_start"], row["char_end"]),
    }
