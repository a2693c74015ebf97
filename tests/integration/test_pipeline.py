"""The steps on real PostgreSQL: the same message twice, messages crossed, Files changed under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
from office_files import document_with_an_unknown_part
from pictures import scanned_pdf
from PIL import Image
from pipeline_services import Pipeline, open_pipeline
from structlog.testing import capture_logs

from penstock.database.files import FileFilter, list_files
from penstock.errors import NotFound, ObjectMissing, TooLarge
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, EmbedRequest, Failure, FileStatus, Hit, IngestRequest
from penstock.pipeline.change import delete, reingest
from penstock.pipeline.give_up import give_up
from penstock.pipeline.recover import recover
from penstock.pipeline.search import Query, SearchMode, search
from penstock.pipeline.submit import Description, submit, submit_reference

FAKE = "fake://384"
PARAGRAPHS = "\n\n".join(f"Paragraph {n} tells of weir number {n} and its {n % 7} gates. " * 12 for n in range(40))


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, FAKE) as opened:
        yield opened


async def rows_of(pipeline: Pipeline, file_id: UUID) -> list[tuple[object, ...]]:
    return await pipeline.values(
        b"select c.chunk_id, c.generation, c.index, c.text, c.char_start, e.embedding::text from chunks c"
        b" left join embeddings e using (chunk_id) where c.file_id = %s order by c.generation, c.index",
        file_id,
    )


async def test_a_file_goes_through(pipeline: Pipeline) -> None:
    file = await pipeline.submit(PARAGRAPHS)
    assert (file.status, file.size, file.generation) == (FileStatus.QUEUED, len(PARAGRAPHS), 1)
    await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.active_generation, done.media_type) == (FileStatus.COMPLETE, 1, "text/plain")
    assert done.chunk_count == done.embedded_count > 10
    assert done.settled_at is not None
    rows = await rows_of(pipeline, file.file_id)
    assert len(rows) == done.chunk_count
    assert all(embedding is not None for *_, embedding in rows)


async def test_text_that_the_reader_lost_is_there_and_its_coverage_is_kept(pipeline: Pipeline) -> None:
    file = await pipeline.submit(document_with_an_unknown_part("The body.", "A note of a kind that nobody knows."))
    assert file.coverage is None
    with capture_logs() as logs:
        await pipeline.run()
    assert (await pipeline.file(file.file_id)).coverage == 1
    [(text,)] = await pipeline.values(b"select text from chunks where file_id = %s", file.file_id)
    assert text == "The body.\n\nA note of a kind that nobody knows."
    assert [log["words"] for log in logs if log["log_level"] == "warning"] == [8]

    again = await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
    assert again.coverage is None
    await pipeline.run()
    assert (await pipeline.file(file.file_id)).coverage == 1


async def test_pages_that_were_left_unread_are_kept_and_reported(pipeline: Pipeline) -> None:
    drawn = Image.new("L", (1200, 400), "white")
    drawn.paste(0, (200, 100, 500, 300))
    file = await pipeline.submit(scanned_pdf([(None, "Real words"), (drawn, ""), (drawn, "")]))
    assert file.unread_pages == []
    with capture_logs() as logs:
        await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.unread_pages, done.page_count) == (FileStatus.COMPLETE, [2, 3], 3)
    assert [log["pages"] for log in logs if log["log_level"] == "warning"] == ["2-3"]

    again = await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
    assert again.unread_pages == []


async def test_the_same_messages_twice_and_in_any_order_change_nothing(pipeline: Pipeline) -> None:
    """Trap: random chunk ids, so that a repeated message duplicates chunks (redbox, VectorFlow)."""
    file = await pipeline.submit(PARAGRAPHS)
    request = IngestRequest(file_id=file.file_id, generation=1)
    await asyncio.gather(pipeline.ingest(request), pipeline.ingest(request))
    await pipeline.ingest(request)
    batches = cast("list[EmbedRequest]", pipeline.asked.messages[EMBEDDING_QUEUE])
    await asyncio.gather(*(pipeline.embed(batch) for batch in reversed(batches * 2)))
    first = await rows_of(pipeline, file.file_id)
    assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE
    await pipeline.ingest(request)
    for batch in batches:
        await pipeline.embed(batch)
    assert await rows_of(pipeline, file.file_id) == first
    done = await pipeline.file(file.file_id)
    assert (done.status, done.embedded_count) == (FileStatus.COMPLETE, len(first))


async def test_two_last_batches_that_commit_together_complete_the_file(pipeline: Pipeline) -> None:
    """Trap in settling: under read committed each can miss the other's rows, and nobody completes the File."""
    for _ in range(10):
        file = await pipeline.submit(PARAGRAPHS + str(uuid4()))
        await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
        whole = cast("EmbedRequest", pipeline.asked.messages[EMBEDDING_QUEUE].pop())
        halves = [whole.model_copy(update={"chunk_ids": whole.chunk_ids[start::4]}) for start in range(4)]
        await asyncio.gather(*(pipeline.embed(half) for half in halves))
        assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE


async def test_an_equal_text_is_not_embedded_again(pipeline: Pipeline) -> None:
    await pipeline.submit(PARAGRAPHS, "one.txt")
    await pipeline.run()
    before = pipeline.embedding.batcher.counts.texts
    again = await pipeline.submit(PARAGRAPHS, "copies/one.txt")
    await pipeline.run()
    assert (await pipeline.file(again.file_id)).status is FileStatus.COMPLETE
    assert pipeline.embedding.batcher.counts.texts == before


async def test_reingest_switches_in_one_step_and_search_never_sees_half_a_file(pipeline: Pipeline) -> None:
    """Trap: old chunks deleted before new ones exist (LlamaIndex #22639)."""
    file = await pipeline.submit(PARAGRAPHS)
    await pipeline.run()
    old = [hit.chunk_id for hit in await found(pipeline, "weir", k=100)]
    assert set(old) == {row[0] for row in await rows_of(pipeline, file.file_id)}
    await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
    again = await pipeline.file(file.file_id)
    assert (again.status, again.generation, again.active_generation) == (FileStatus.QUEUED, 2, 1)
    assert [hit.chunk_id for hit in await found(pipeline, "weir", k=100)] == old
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=2))
    assert [hit.chunk_id for hit in await found(pipeline, "weir", k=100)] == old
    pipeline.asked.messages.get(INGEST_QUEUE, []).clear()
    await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.active_generation) == (FileStatus.COMPLETE, 2)
    assert {row[1] for row in await rows_of(pipeline, file.file_id)} == {2}
    await pipeline.sweep()
    assert pipeline.objects() == await pipeline.claimed()
    assert len(pipeline.objects()) == 2


async def test_a_late_message_of_an_old_generation_does_nothing(pipeline: Pipeline) -> None:
    file = await pipeline.submit(PARAGRAPHS)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    late = cast("EmbedRequest", pipeline.asked.messages[EMBEDDING_QUEUE].pop())
    await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
    await pipeline.embed(late)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    assert (await pipeline.file(file.file_id)).status is FileStatus.QUEUED
    await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.active_generation) == (FileStatus.COMPLETE, 2)
    assert {row[1] for row in await rows_of(pipeline, file.file_id)} == {2}


async def test_text_of_a_deleted_file_is_not_written_after_the_delete(pipeline: Pipeline) -> None:
    """Trap: text of a deleted file written after the delete (redbox)."""
    file = await pipeline.submit(PARAGRAPHS)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    late = cast("EmbedRequest", pipeline.asked.messages[EMBEDDING_QUEUE].pop())
    await asyncio.gather(
        pipeline.embed(late),
        delete(file.file_id, database=pipeline.services.database, store=pipeline.services.store),
    )
    await pipeline.embed(late)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    assert await pipeline.values(b"select 1 from chunks union all select 1 from embeddings") == []
    assert pipeline.objects() == set()
    with pytest.raises(NotFound):
        await delete(file.file_id, database=pipeline.services.database, store=pipeline.services.store)


async def test_a_file_deleted_while_it_is_parsed_leaves_nothing(pipeline: Pipeline) -> None:
    file = await pipeline.submit(PARAGRAPHS * 20)
    await asyncio.gather(
        pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1)),
        delete(file.file_id, database=pipeline.services.database, store=pipeline.services.store),
        return_exceptions=True,
    )
    assert await pipeline.values(b"select 1 from files union all select 1 from chunks") == []
    await pipeline.sweep()
    assert pipeline.objects() == set()
    assert await pipeline.values(b"select object_key from unclaimed_objects") == []


async def test_a_failed_file_says_why_and_stays_as_it_is(pipeline: Pipeline) -> None:
    file = await pipeline.submit("text")
    request = IngestRequest(file_id=file.file_id, generation=1)
    failure = Failure(code="parser_crashed", message="It crashed.")
    await give_up(request, failure, database=pipeline.services.database)
    await pipeline.ingest(request)
    failed = await pipeline.file(file.file_id)
    assert (failed.status, failed.error) == (FileStatus.FAILED, failure)
    assert failed.settled_at is not None


async def test_a_complete_file_does_not_fail_any_more(pipeline: Pipeline) -> None:
    file = await pipeline.submit("some text")
    await pipeline.run()
    late = IngestRequest(file_id=file.file_id, generation=1)
    await give_up(late, Failure(code="gave_up", message="x"), database=pipeline.services.database)
    assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE


async def test_too_large_an_upload_leaves_nothing(pipeline: Pipeline) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 10_000

    with pytest.raises(TooLarge):
        await submit(
            Description("big.txt"),
            endless(),
            max_bytes=100_000,
            database=pipeline.services.database,
            store=pipeline.services.store,
            dispatcher=pipeline.dispatcher,
        )
    async with pipeline.services.database.transaction() as rows:
        assert await list_files(rows, FileFilter(), limit=10) == []


async def test_a_reference_outlives_its_file(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "objects" / "inbox").mkdir(parents=True)
    (tmp_path / "objects" / "inbox" / "a.md").write_text("# Weir\n\nThe weir is long.")
    services = pipeline.services
    file = await submit_reference(
        Description("a.md"),
        "inbox/a.md",
        database=services.database,
        store=services.store,
        dispatcher=pipeline.dispatcher,
    )
    await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.media_type) == (FileStatus.COMPLETE, "text/markdown")
    assert done.sha256 is not None
    await delete(file.file_id, database=services.database, store=services.store)
    assert await services.store.size("inbox/a.md") > 0
    with pytest.raises(ObjectMissing):
        await submit_reference(
            Description("b.md"),
            "inbox/b.md",
            database=services.database,
            store=services.store,
            dispatcher=pipeline.dispatcher,
        )


async def age(pipeline: Pipeline) -> None:
    """Let all Files have been announced a minute ago."""
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update files set announced_at = announced_at - interval '60 seconds'")


async def test_recover_announces_what_has_no_message_and_nothing_else(pipeline: Pipeline) -> None:
    """Trap: a status set before the message is safe, with nothing that re-publishes (RAGFlow, Dify)."""
    services, asked = pipeline.services, pipeline.asked
    waiting = await pipeline.submit("waits in the queue")
    lost = await pipeline.submit("was lost before its message was sent")
    half = await pipeline.submit(PARAGRAPHS)
    await pipeline.ingest(IngestRequest(file_id=half.file_id, generation=1))
    asked.messages = {INGEST_QUEUE: asked.messages[INGEST_QUEUE][:1]}
    assert await recover(database=services.database, queues=asked) == 0, "too young to be lost"
    await age(pipeline)
    assert await recover(database=services.database, queues=asked) == 2, "not that whose message is there"
    assert await recover(database=services.database, queues=asked) == 0, "once is enough"
    await pipeline.run()
    for file in (waiting, lost, half):
        assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE
    await age(pipeline)
    assert await recover(database=services.database, queues=asked) == 0, "complete Files need no message"


async def test_one_leader_recovers_at_a_time(pipeline: Pipeline) -> None:
    for n in range(5):
        await pipeline.submit(f"text {n}")
    pipeline.asked.messages.clear()
    await age(pipeline)
    found = await asyncio.gather(
        *(recover(database=pipeline.services.database, queues=pipeline.asked) for _ in range(5))
    )
    assert sum(found) == 5
    assert await pipeline.dispatch() == 5


async def found(pipeline: Pipeline, text: str, *, k: int = 5, mode: SearchMode = SearchMode.HYBRID) -> list[Hit]:
    return await search(
        Query(text, k=k, mode=mode),
        database=pipeline.services.database,
        engine=pipeline.embedding.engine,
        index=pipeline.embedding.index,
    )
