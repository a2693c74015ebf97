"""Recording vectors in one statement, against whoever deletes Chunks meanwhile: no foreign key watches over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from pydantic import SecretStr

from penstock.database.connection import Database
from penstock.database.embeddings import record_embeddings, reuse_embeddings
from penstock.database.statements import statement
from penstock.settings import DatabaseSettings

MODEL_ID = 1
VECTOR = np.array([0.6, 0.8], np.float32)


@dataclass(frozen=True)
class StoredFile:
    """A File whose Chunks wait for their vectors."""

    database: Database
    beside: psycopg.AsyncConnection[Any]
    """Another one's connection, which commits when it is told to."""
    file_id: UUID
    chunk_ids: list[UUID]

    async def record(self) -> bool:
        vectors = [VECTOR] * len(self.chunk_ids)
        async with self.database.statement() as rows:
            return await record_embeddings(rows, self.file_id, 1, self.chunk_ids, vectors, model_id=MODEL_ID)

    async def numbers(self) -> tuple[int, int, int]:
        """Chunks and embeddings there are, and the vectors that the File counts."""
        counts = (
            "select (select count(*) from chunks), (select count(*) from embeddings),"
            " (select coalesce(sum(embedded_count), 0) from files)"
        )
        [numbers] = await (await self.beside.execute(counts)).fetchall()
        await self.beside.commit()
        return numbers

    async def until_somebody_waits(self) -> None:
        """Until the other one's lock is in somebody's way."""
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        async with asyncio.timeout(30):
            while not (await (await self.beside.execute(waiting)).fetchall()):
                await asyncio.sleep(0)


@asynccontextmanager
async def stored_file(url: str, *, texts: list[str]) -> AsyncGenerator[StoredFile]:
    file_id, chunk_ids = uuid4(), [uuid4() for _ in texts]
    async with await psycopg.AsyncConnection[Any].connect(url) as beside:
        await beside.execute(
            "insert into files (file_id, name, object_key, owns_object, size, status, chunk_count)"
            " values (%s, 'a', 'a', true, 1, 'embedding', %s)",
            (file_id, len(texts)),
        )
        for index, (chunk_id, text) in enumerate(zip(chunk_ids, texts, strict=True)):
            await beside.execute(
                "insert into chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, char_start,"
                " char_end, headings, language) values (%s, %s, 1, %s, %s, sha256(%s), 1, 0, 1, '{}', 'simple')",
                (chunk_id, file_id, index, text, text.encode()),
            )
        await beside.commit()
        database = await Database.open(DatabaseSettings(url=SecretStr(url)))
        yield StoredFile(database, beside, file_id, chunk_ids)
        await database.close()


@pytest.mark.parametrize(
    ("by_whom", "left"),
    [
        pytest.param("delete from files", 0, id="the File is deleted"),
        pytest.param("update files set generation = 2", 2, id="another generation is started"),
        pytest.param(
            "with locked as (select from files for update) delete from chunks", 0, id="its Chunks are deleted"
        ),
    ],
)
async def test_who_comes_while_it_is_deleted_waits_and_records_nothing(
    migrated_url: str, by_whom: str, left: int
) -> None:
    async with stored_file(migrated_url, texts=["one", "two"]) as file:
        await file.beside.execute("select from files for update")
        await file.beside.execute(by_whom.encode())
        recording = asyncio.create_task(file.record())
        await file.until_somebody_waits()
        await file.beside.commit()
        assert not await recording
        assert await file.numbers() == (left, 0, 0)


async def test_who_is_overtaken_in_the_middle_leaves_nothing(migrated_url: str) -> None:
    """Another generation is begun, and completed, between the look at the File and the count of its vectors."""
    async with stored_file(migrated_url, texts=["one", "two"]) as file:
        await file.beside.execute("update files set generation = 2")
        recording = asyncio.create_task(file.record())
        await file.until_somebody_waits()
        await file.beside.execute("delete from chunks where generation < 2")
        await file.beside.commit()
        assert not await recording
        assert await file.numbers() == (0, 0, 0)


@pytest.mark.parametrize("by_whom", ["delete from files", "delete from chunks"])
async def test_what_is_deleted_takes_its_vectors_along(migrated_url: str, by_whom: str) -> None:
    async with stored_file(migrated_url, texts=["one", "two"]) as file:
        assert await file.record()
        assert await file.numbers() == (2, 2, 2)
        await file.beside.execute(by_whom.encode())
        chunks, embeddings, _ = await file.numbers()
        assert (chunks, embeddings) == (0, 0)


async def test_a_vector_that_is_there_is_counted_once(migrated_url: str) -> None:
    async with stored_file(migrated_url, texts=["one", "two", "three"]) as file:
        async with file.database.statement() as rows:
            some = file.chunk_ids[:2]
            assert not await record_embeddings(rows, file.file_id, 1, some, [VECTOR] * 2, model_id=MODEL_ID)
        assert await file.record(), "the third one completes it"
        assert not await file.record(), "it is complete"
        assert await file.numbers() == (3, 3, 3)


async def test_only_texts_that_have_a_vector_lend_it(migrated_url: str) -> None:
    async with stored_file(migrated_url, texts=["one", "two", "one"]) as file:
        async with file.database.statement() as rows:
            first, new, again = file.chunk_ids
            await record_embeddings(rows, file.file_id, 1, [first], [VECTOR], model_id=MODEL_ID)
            given = await reuse_embeddings(rows, file.file_id, 1, [new, again], model_id=MODEL_ID)
        assert given == ({again}, False)
        assert await file.numbers() == (3, 2, 2)


async def test_a_message_does_not_read_the_whole_of_a_long_file(migrated_url: str) -> None:
    async with stored_file(migrated_url, texts=[f"text {number}" for number in range(500)]) as file:
        await file.beside.execute("analyze")
        await file.beside.commit()
        asked = {"file_id": file.file_id, "generation": 1, "chunk_ids": file.chunk_ids[:64], "model_id": MODEL_ID}
        async with file.database.statement() as rows:
            plan = await rows.execute(b"explain (analyze, costs off) " + statement("chunks_to_embed"), asked)
            lines = [line["QUERY PLAN"] async for line in plan]
        assert [line for line in lines if "Rows Removed" in line] == []


async def test_a_transaction_after_a_statement_is_one_again(migrated_url: str) -> None:
    async with stored_file(migrated_url, texts=["one"]) as file:
        for _ in range(10):  # of as many connections as the pool has
            async with file.database.statement() as rows:
                await rows.execute("select 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with file.database.transaction() as rows:
                await rows.execute("delete from files; select 1 / 0")
        assert await file.numbers() == (1, 0, 0)
