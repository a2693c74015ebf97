"""What Workers do to a File, done by hand: for tests of the API, which need no Worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from penstock.database.chunks import IngestedFile, chunks_to_embed, record_chunks
from penstock.database.connection import Database
from penstock.database.embeddings import record_embeddings, register_model
from penstock.database.files import begin_ingest, fail_file
from penstock.database.turns import WaitingFile, chunks_to_announce
from penstock.embedding.fake import FakeEngine
from penstock.models import Failure, NewChunk
from penstock.objects import text_key
from penstock.settings import DatabaseSettings


def complete_file(database_url: str, objects: Path, file_id: str, texts: Sequence[str], *, generation: int = 1) -> None:
    """Make the File `complete` with a Chunk for each text, and its extracted text the lines of them."""
    asyncio.run(_complete(database_url, objects, UUID(file_id), texts, generation))


def fail(database_url: str, file_id: str, failure: Failure) -> None:
    """Make the File `failed`."""
    asyncio.run(_fail(database_url, UUID(file_id), failure))


async def _fail(database_url: str, file_id: UUID, failure: Failure) -> None:
    database = await Database.open(DatabaseSettings(url=SecretStr(database_url)))
    async with database.transaction() as rows:
        assert await fail_file(rows, file_id, 1, failure)
    await database.close()


async def _complete(database_url: str, objects: Path, file_id: UUID, texts: Sequence[str], generation: int) -> None:
    key = text_key(file_id, generation)
    text_path = objects / key
    text_path.parent.mkdir(parents=True, exist_ok=True)
    text_path.write_text("\n".join(texts), encoding="utf-8")
    database = await Database.open(DatabaseSettings(url=SecretStr(database_url)))
    async with database.transaction() as rows:
        reading = await begin_ingest(rows, file_id, generation, text_key=key)
        assert reading
        chunks = _chunks(texts)
        ingested = IngestedFile(
            *(file_id, generation, reading.attempt, "text/plain", "0" * 64, "english"),
            *(1, len(texts), 2 * len(texts), 0.9993, (2, 3)),
            text_key=key,
        )
        assert await record_chunks(rows, ingested, chunks)
    await _embed(database, file_id, generation)
    await database.close()


def _chunks(texts: Sequence[str]) -> list[NewChunk]:
    chunks: list[NewChunk] = []
    start = 0
    for index, text in enumerate(texts):
        span = (start, start + len(text))
        chunks.append(NewChunk(index=index, text=text, token_count=2, pages=(1, 1), char_span=span, headings=["Top"]))
        start += len(text) + 1
    return chunks


async def _embed(database: Database, file_id: UUID, generation: int) -> None:
    engine = FakeEngine(384)
    async with database.transaction() as rows:
        model_id = await register_model(rows, name=engine.model, revision=engine.revision, dimensions=engine.dimensions)
        waiting = WaitingFile(file_id, generation, announced_index=-1, chunk_count=0, turn=0, newest=False)
        pending = (await chunks_to_announce(rows, {waiting: 10_000}))[file_id]
        chunks = await chunks_to_embed(rows, file_id, generation, [found for found, _ in pending], model_id=model_id)
        vectors = [await engine.embed_query(chunk.text) for chunk in chunks]
        chunk_ids = [chunk.chunk_id for chunk in chunks]
        assert await record_embeddings(rows, file_id, generation, chunk_ids, vectors, model_id=model_id)
