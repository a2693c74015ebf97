"""A long File: its first Chunks are recorded and embedded while the rest is still being read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from pipeline_services import ListedQueues, Pipeline, open_pipeline

from penstock.database.files import revive_file
from penstock.database.unclaimed import extend_object
from penstock.errors import CorruptFile, EmbeddingRefused
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, EmbedRequest, Failure, FileStatus, IngestRequest, NewChunk
from penstock.parsing.frames import EARLY_CHUNKS
from penstock.parsing.pool import Parse, ParsedFile, ParserPool
from penstock.pipeline.change import reingest
from penstock.pipeline.give_up import give_up
from penstock.pipeline.recover import recover
from penstock.tasks import beside

SENTENCE = "The valve of pump {n} in the northern hall is opened by hand, and closed when the gauge shows two bars. "
LONG = "\n\n".join(SENTENCE.format(n=n) * 10 for n in range(800))
"""About 400 Chunks."""


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://384") as opened:
        yield opened


@dataclass
class Gate:
    """A parser that stops in the middle of a file until it may go on."""

    parser: ParserPool
    after: int = 2 * EARLY_CHUNKS
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def parse(self, path: Path, *, name: str, text_path: Path) -> AsyncGenerator[GatedParse]:
        async with self.parser.parse(path, name=name, text_path=text_path) as parse:
            yield GatedParse(parse, self)


@dataclass
class GatedParse:
    inner: Parse
    gate: Gate

    @property
    def language(self) -> str | None:
        return self.inner.language

    @property
    def result(self) -> ParsedFile:
        return self.inner.result

    async def batches(self) -> AsyncIterator[list[NewChunk]]:
        made = 0
        async for chunks in self.inner.batches():
            if made >= self.gate.after and not self.gate.go_on.is_set():
                self.gate.reached.set()
                await self.gate.go_on.wait()
            made += len(chunks)
            yield chunks


def gated(pipeline: Pipeline) -> Gate:
    gate = Gate(pipeline.parser)  # pyright: ignore[reportArgumentType]  # see `Pipeline.parser`
    pipeline.parser = gate
    return gate


@asynccontextmanager
async def half_read(pipeline: Pipeline, *, content: str = LONG) -> AsyncGenerator[tuple[UUID, Gate]]:
    """A File in the middle of being read; it is read to its end when the block is over, if the gate was opened."""
    file = await pipeline.submit(content)
    request = pipeline.asked.take(INGEST_QUEUE)
    assert isinstance(request, IngestRequest)
    gate = gated(pipeline)
    async with beside(pipeline.ingest(request)):
        async with asyncio.timeout(30):
            await gate.reached.wait()
        yield file.file_id, gate
    pipeline.parser = gate.parser


async def embed_all(pipeline: Pipeline) -> int:
    """How many Chunks the messages on the queue were about."""
    chunks = 0
    while await pipeline.dispatch() or pipeline.asked.messages.get(EMBEDDING_QUEUE):
        while message := pipeline.asked.take(EMBEDDING_QUEUE):
            assert isinstance(message, EmbedRequest)
            await pipeline.embed(message)
            chunks += len(message.chunk_ids)
    return chunks


async def recorded(pipeline: Pipeline, file_id: UUID) -> list[tuple[object, ...]]:
    return await pipeline.values(
        b"select index, c.text_hash, language, char_start, embedding is not null from chunks c"
        b" left join embeddings using (chunk_id) where file_id = %s order by index",
        file_id,
    )


async def tokens(pipeline: Pipeline, file_id: UUID) -> int:
    ((counted,),) = await pipeline.values(b"select sum(token_count) from chunks where file_id = %s", file_id)
    assert isinstance(counted, int)
    return counted


async def opened(pipeline: Pipeline, gate: Gate, file_id: UUID) -> None:
    """Let the File be read to its end."""
    gate.go_on.set()
    async with asyncio.timeout(30):
        while (await pipeline.file(file_id)).status is FileStatus.INGESTING:
            await asyncio.sleep(0.01)


async def test_its_first_chunks_are_embedded_while_the_rest_is_read(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, gate):
        embedded = await embed_all(pipeline)
        file = await pipeline.file(file_id)
        assert file.status is FileStatus.INGESTING
        assert embedded >= EARLY_CHUNKS
        assert file.embedded_count == embedded
        assert file.chunk_count >= embedded
        assert file.token_count == await tokens(pipeline, file_id) > 0, "they follow what is stored"
        found = await pipeline.values(b"select active_generation from files")
        assert found == [(None,)], "search does not see it yet"
        await opened(pipeline, gate, file_id)
    rest = await embed_all(pipeline)
    file = await pipeline.file(file_id)
    assert file.status is FileStatus.COMPLETE
    assert file.chunk_count == file.embedded_count == embedded + rest, "none was announced twice"
    assert file.token_count == await tokens(pipeline, file_id)
    assert [index for index, *_ in await recorded(pipeline, file_id)] == list(range(file.chunk_count))


async def test_it_has_the_chunks_of_a_file_that_is_recorded_at_once(pipeline: Pipeline, tmp_path: Path) -> None:
    async with half_read(pipeline) as (file_id, gate):
        await opened(pipeline, gate, file_id)
    await pipeline.run()
    again = await pipeline.submit(LONG)
    pipeline.parser = _WithoutLanguage(pipeline.parser)  # pyright: ignore[reportArgumentType]
    await pipeline.run()
    early, at_once = await recorded(pipeline, file_id), await recorded(pipeline, again.file_id)
    assert len(early) > 2 * EARLY_CHUNKS
    assert early == at_once


@dataclass
class _WithoutLanguage:
    """A parser that does not say the language before the end: everything is held until then."""

    parser: ParserPool

    @asynccontextmanager
    async def parse(self, path: Path, *, name: str, text_path: Path) -> AsyncGenerator[Parse]:
        async with self.parser.parse(path, name=name, text_path=text_path) as parse:
            batches = [chunks async for chunks in parse.batches()]
            parse.language = None

            async def all_at_once() -> AsyncIterator[list[NewChunk]]:
                for chunks in batches:
                    yield chunks

            parse.batches = all_at_once
            yield parse


async def test_an_attempt_that_died_leaves_nothing_to_the_next(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, _):
        await embed_all(pipeline)
    assert (await pipeline.file(file_id)).status is FileStatus.INGESTING, "cancelled in the middle"
    await pipeline.ingest(IngestRequest(file_id=file_id, generation=1))
    await pipeline.run()
    file = await pipeline.file(file_id)
    assert file.status is FileStatus.COMPLETE
    found = await recorded(pipeline, file_id)
    assert len(found) == file.chunk_count == file.embedded_count


async def test_who_was_overtaken_records_no_more(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, gate):
        pipeline.parser = gate.parser
        await pipeline.ingest(IngestRequest(file_id=file_id, generation=1))
        once = await recorded(pipeline, file_id)
        gate.go_on.set()
    await pipeline.run()
    assert [row[:4] for row in await recorded(pipeline, file_id)] == [row[:4] for row in once]
    assert (await pipeline.file(file_id)).status is FileStatus.COMPLETE
    assert await pipeline.claimed() == pipeline.objects(), "the text of the one that came too late is gone"


@dataclass
class _Untold(ListedQueues):
    """A broker that cannot tell what it holds, as SQS cannot while it is busy."""

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        return None


@pytest.mark.parametrize("queues", [ListedQueues(), _Untold()], ids=["told", "untold"])
async def test_a_file_that_is_long_being_read_is_announced_again_only_when_its_reader_is_dead(
    pipeline: Pipeline, queues: ListedQueues
) -> None:
    async with half_read(pipeline) as (file_id, _):
        await pass_time(pipeline, minutes=20)
        async with pipeline.services.database.transaction() as rows:
            await extend_object(rows, await reserved_key(pipeline, file_id))
        assert await recover(database=pipeline.services.database, queues=queues) == 0, "its reader is alive"
        await pass_time(pipeline, minutes=20)
    assert await recover(database=pipeline.services.database, queues=queues) == 1, "nobody reads it any more"
    await pipeline.run()
    assert (await pipeline.file(file_id)).status is FileStatus.COMPLETE


async def pass_time(pipeline: Pipeline, *, minutes: int) -> None:
    """In which nobody did anything."""
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update files set announced_at = announced_at - make_interval(mins => %s)", [minutes])
        await rows.execute("update unclaimed_objects set due_at = due_at - make_interval(mins => %s)", [minutes])


async def reserved_key(pipeline: Pipeline, file_id: UUID) -> str:
    ((key,),) = await pipeline.values(
        b"select object_key from unclaimed_objects where strpos(object_key, %s) > 0", str(file_id)
    )
    return str(key)


async def test_a_file_that_fails_after_its_first_chunks_leaves_none(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, _):
        await embed_all(pipeline)
    failure = Failure(code=CorruptFile.code, message="damaged in the middle")
    await give_up(IngestRequest(file_id=file_id, generation=1), failure, database=pipeline.services.database)
    file = await pipeline.file(file_id)
    assert (file.status, file.chunk_count, file.embedded_count) == (FileStatus.FAILED, 0, 0)
    assert await recorded(pipeline, file_id) == []


async def test_one_that_failed_for_an_early_chunk_is_read_anew_when_that_is_replayed(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, gate):
        await pipeline.dispatch()
        refused = pipeline.asked.take(EMBEDDING_QUEUE)
        assert isinstance(refused, EmbedRequest)
        failure = Failure(code=EmbeddingRefused.code, message="Chunk 3 was refused")
        await give_up(refused, failure, database=pipeline.services.database)
        gate.go_on.set()
    pipeline.asked.messages.clear()
    assert (await pipeline.file(file_id)).status is FileStatus.FAILED, "also when it is read to its end"
    async with pipeline.services.database.transaction() as rows:
        await revive_file(rows, file_id, 1, FileStatus.EMBEDDING)
    await pipeline.run()
    file = await pipeline.file(file_id)
    assert file.status is FileStatus.COMPLETE
    assert len(await recorded(pipeline, file_id)) == file.chunk_count == file.embedded_count > EARLY_CHUNKS


async def test_one_that_is_read_again_meanwhile_ends_as_the_new_generation(pipeline: Pipeline) -> None:
    async with half_read(pipeline) as (file_id, gate):
        await reingest(file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
        gate.go_on.set()
    await pipeline.run()
    file = await pipeline.file(file_id)
    assert (file.status, file.generation) == (FileStatus.COMPLETE, 2)
    assert len(await recorded(pipeline, file_id)) == file.chunk_count


async def test_all_chunks_are_in_the_language_of_the_whole_text(pipeline: Pipeline) -> None:
    german = "Das Ventil der Pumpe {n} in der Halle wird von Hand geöffnet und geschlossen, wenn es zwei Bar sind. "
    beginning = "\n\n".join(german.format(n=n) * 8 for n in range(320))
    async with half_read(pipeline, content=beginning + "\n\n" + LONG + "\n\n" + LONG) as (file_id, gate):
        assert {row[2] for row in await recorded(pipeline, file_id)} == {"german"}
        await opened(pipeline, gate, file_id)
    assert {row[2] for row in await recorded(pipeline, file_id)} == {"english"}
    await pipeline.run()
    assert (await pipeline.file(file_id)).status is FileStatus.COMPLETE
