"""Step 3, the Embedder: embed a batch of Chunks, record the vectors, settle the File."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from penstock import tracing
from penstock.database.chunks import UnembeddedChunk, chunks_to_embed
from penstock.database.connection import Database
from penstock.database.embeddings import record_embeddings, reuse_embeddings
from penstock.embedding.batcher import Batcher
from penstock.embedding.port import Embedded, Vector
from penstock.errors import EmbeddingRefused
from penstock.failpoints import reach
from penstock.models import EmbedRequest
from penstock.stages import stage

log = structlog.get_logger()


async def embed(request: EmbedRequest, *, database: Database, batcher: Batcher, model_id: int) -> None:
    """Give the Chunks of a message their vectors; the last ones make the File complete.

    Chunks that have a vector, or whose generation is no longer wanted, cost nothing, so the same
    message twice changes nothing. Raises `EmbeddingRefused` when the engine will never take one of the
    texts, after the others are recorded; `ServiceUnavailable` when it may take them later.
    """
    began = time.perf_counter()
    with stage("embed.find"):
        waiting, complete = await _waiting(request, database=database, model_id=model_id), False
    if any(chunk.known for chunk in waiting):
        with stage("embed.reuse"):
            waiting, complete = await _reuse(request, waiting, database=database, model_id=model_id)
    refused: list[tuple[UnembeddedChunk, EmbeddingRefused]] = []
    if waiting:
        with stage("embed.engine"):
            embedded = await batcher.embed(
                [chunk.embedded_text for chunk in waiting], [chunk.token_count for chunk in waiting]
            )
        good, refused = _sorted_out(waiting, embedded)
        with stage("embed.record"):
            complete = await _record(request, good, database=database, model_id=model_id)
    tracing.note(embedded=len(waiting) - len(refused), complete=complete)
    facts = {"file_id": str(request.file_id), "seconds": round(time.perf_counter() - began, 3)}
    log.debug("chunks embedded", chunks=len(waiting) - len(refused), **facts)
    if complete:
        log.info("file complete", generation=request.generation, **facts)
    if refused:
        raise _refusal(refused)


async def _waiting(request: EmbedRequest, *, database: Database, model_id: int) -> list[UnembeddedChunk]:
    async with database.statement() as rows:
        return await chunks_to_embed(rows, request.file_id, request.generation, request.chunk_ids, model_id=model_id)


async def _reuse(
    request: EmbedRequest, waiting: Sequence[UnembeddedChunk], *, database: Database, model_id: int
) -> tuple[list[UnembeddedChunk], bool]:
    """Copy the vectors that equal texts have; the Chunks that still wait, and whether the File is complete now."""
    known = [chunk.chunk_id for chunk in waiting if chunk.known]
    async with database.statement() as rows:
        reused, complete = await reuse_embeddings(rows, request.file_id, request.generation, known, model_id=model_id)
    reach("embed.vectors_reused")
    return [chunk for chunk in waiting if chunk.chunk_id not in reused], complete


@dataclass(frozen=True, slots=True)
class _EmbeddedChunk:
    chunk: UnembeddedChunk
    vector: Vector


def _sorted_out(
    chunks: Sequence[UnembeddedChunk], embedded: Sequence[Embedded]
) -> tuple[list[_EmbeddedChunk], list[tuple[UnembeddedChunk, EmbeddingRefused]]]:
    good: list[_EmbeddedChunk] = []
    refused: list[tuple[UnembeddedChunk, EmbeddingRefused]] = []
    for chunk, outcome in zip(chunks, embedded, strict=True):
        if isinstance(outcome, EmbeddingRefused):
            refused.append((chunk, outcome))
        else:
            good.append(_EmbeddedChunk(chunk, outcome))
    return good, refused


async def _record(request: EmbedRequest, good: Sequence[_EmbeddedChunk], *, database: Database, model_id: int) -> bool:
    """Write the vectors and settle the File in one statement; whether it is complete now."""
    if not good:
        return False
    chunk_ids, vectors = [item.chunk.chunk_id for item in good], [item.vector for item in good]
    async with database.statement() as rows:
        complete = await record_embeddings(
            rows, request.file_id, request.generation, chunk_ids, vectors, model_id=model_id
        )
    reach("embed.vectors_recorded")
    return complete


def _refusal(refused: Sequence[tuple[UnembeddedChunk, EmbeddingRefused]]) -> EmbeddingRefused:
    chunk, first = refused[0]
    others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return EmbeddingRefused(f"Chunk {chunk.index}{others} cannot be embedded: {first.message}")
