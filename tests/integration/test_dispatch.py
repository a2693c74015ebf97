"""The rows are the backlog: what goes from them to the queues, how much of it, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pipeline_services import Pipeline, open_pipeline

from penstock import failpoints
from penstock.database.files import NewFile, insert_file
from penstock.database.turns import WaitingFile
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, FileStatus, IngestRequest, QueueDepth
from penstock.pipeline.backlog import backlog
from penstock.pipeline.dispatch import LEAST_WAITING, NEWEST_EVERY, room, share
from penstock.pipeline.recover import recover

FAKE = "fake://384"


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, FAKE) as opened:
        yield opened


async def record(pipeline: Pipeline, count: int, *, batch: UUID | None = None, size: int = 100) -> list[UUID]:
    """Files in the rows, of which nobody was told."""
    ids = [uuid4() for _ in range(count)]
    async with pipeline.services.database.transaction() as rows:
        for file_id in ids:
            await insert_file(
                rows,
                NewFile(
                    file_id=file_id,
                    name="note.txt",
                    object_key=f"files/{file_id}",
                    owns_object=False,
                    size=size,
                    sha256=None,
                    batch=batch,
                ),
            )
    return ids


def take_all(pipeline: Pipeline) -> list[UUID]:
    """Empty the ingest-queue, as its workers would."""
    taken: list[UUID] = []
    while message := pipeline.asked.take(INGEST_QUEUE):
        taken.append(message.file_id)
    return taken


async def test_a_bulk_load_does_not_fill_the_queue(pipeline: Pipeline) -> None:
    """Trap: a million files at once fill the broker's memory."""
    bulk = await record(pipeline, 300, batch=uuid4())
    assert await pipeline.dispatch() == LEAST_WAITING[INGEST_QUEUE]
    assert await pipeline.dispatch() == 0, "the queue is full"
    depth = (await backlog(database=pipeline.services.database, queues=pipeline.asked))[INGEST_QUEUE]
    assert depth.waiting == 300, "what waits in the rows waits all the same"
    assert depth.oldest_seconds is not None
    seen = take_all(pipeline)
    while await pipeline.dispatch():
        seen += take_all(pipeline)
    assert sorted(seen) == sorted(bulk), "each once"


async def test_a_newcomer_passes_a_bulk_load(pipeline: Pipeline) -> None:
    await record(pipeline, 300, batch=uuid4())
    await pipeline.dispatch()
    (newcomer,) = await record(pipeline, 1, batch=uuid4())
    take_all(pipeline)
    await pipeline.dispatch()
    assert newcomer in take_all(pipeline)


async def test_a_newcomer_without_a_batch_passes_others_without_one(pipeline: Pipeline) -> None:
    await record(pipeline, 300)
    await pipeline.dispatch()
    (newcomer,) = await record(pipeline, 1)
    take_all(pipeline)
    await pipeline.dispatch()
    assert newcomer in take_all(pipeline)


async def test_two_bulk_loads_share_and_nobody_starves(pipeline: Pipeline) -> None:
    first = await record(pipeline, 200, batch=uuid4())
    second = await record(pipeline, 200, batch=uuid4())
    order: list[UUID] = []
    while await pipeline.dispatch():
        order += take_all(pipeline)
    half = order[: len(order) // 2]
    assert len(set(half) & set(first)) == pytest.approx(100, abs=30)
    assert first[0] in order[: LEAST_WAITING[INGEST_QUEUE]]
    assert second[0] in order[: LEAST_WAITING[INGEST_QUEUE]]


async def test_a_lane_of_large_files_gets_fewer_turns(pipeline: Pipeline) -> None:
    large = await record(pipeline, 60, batch=uuid4(), size=9 * 2**20)
    small = await record(pipeline, 600, batch=uuid4(), size=100)
    order: list[UUID] = []
    for _ in range(12):
        await pipeline.dispatch()
        order += take_all(pipeline)
    in_turn = len(order) * (NEWEST_EVERY - 1) // NEWEST_EVERY
    assert len(set(order) & set(large)) <= 0.2 * in_turn
    assert len(set(order) & set(small)) >= 0.7 * in_turn


async def test_chunks_of_a_large_file_let_those_of_a_small_one_pass(pipeline: Pipeline) -> None:
    def paragraphs(count: int) -> str:
        return "\n\n".join(f"Paragraph {n} tells of weir number {n}. " * 20 for n in range(count))

    large = await pipeline.submit(paragraphs(3000), batch=uuid4())
    await pipeline.ingest(IngestRequest(file_id=large.file_id, generation=1))
    small = await pipeline.submit("One gate.", batch=uuid4())
    await pipeline.ingest(IngestRequest(file_id=small.file_id, generation=1))
    waiting = pipeline.asked.messages[EMBEDDING_QUEUE]
    assert len(waiting) == LEAST_WAITING[EMBEDDING_QUEUE]
    assert {message.file_id for message in waiting} == {large.file_id}
    pipeline.asked.messages[EMBEDDING_QUEUE] = []
    await pipeline.dispatch()
    assert small.file_id in {message.file_id for message in pipeline.asked.messages[EMBEDDING_QUEUE]}
    lost_messages = pipeline.asked.messages.pop(EMBEDDING_QUEUE)
    await pipeline.run()
    assert (await pipeline.file(large.file_id)).status is FileStatus.EMBEDDING, "some of its messages were dropped"
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update files set announced_at = announced_at - interval '1 minute'")
    assert await recover(database=pipeline.services.database, queues=pipeline.asked) == 2
    await pipeline.run()
    for file in (large, small):
        done = await pipeline.file(file.file_id)
        assert (done.status, done.embedded_count) == (FileStatus.COMPLETE, done.chunk_count)
    assert lost_messages


async def test_a_process_that_dies_between_commit_and_publish_loses_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap: a status set before the message is safe, with nothing that re-publishes (RAGFlow, Dify)."""
    await record(pipeline, 5)

    def die(name: str) -> None:
        if name == "dispatch.files_taken":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "at_point", die)
    with pytest.raises(KeyboardInterrupt):
        await pipeline.dispatch()
    monkeypatch.setattr(failpoints, "at_point", None)
    assert await pipeline.dispatch() == 0
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update files set announced_at = announced_at - interval '1 minute'")
    assert await recover(database=pipeline.services.database, queues=pipeline.asked) == 5
    assert await pipeline.dispatch() == 5


async def test_a_file_whose_last_vector_nobody_reported_is_settled(pipeline: Pipeline) -> None:
    file = await pipeline.submit("One gate.")
    await pipeline.run()
    async with pipeline.services.database.transaction() as rows:
        await rows.execute(
            "update files set status = 'embedding', embedded_count = 0, announced_at = null, announced_index = -1"
        )
    await pipeline.dispatch()
    assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE


async def test_dispatchers_at_once_send_each_file_once(pipeline: Pipeline) -> None:
    files = await record(pipeline, 40)
    await asyncio.gather(*(pipeline.dispatch() for _ in range(4)))
    seen = take_all(pipeline)
    while await pipeline.dispatch():
        seen += take_all(pipeline)
    assert sorted(seen) == sorted(files)


async def test_a_dispatcher_that_is_woken_dispatches_at_once(pipeline: Pipeline) -> None:
    dispatcher = pipeline.dispatcher
    async with dispatcher.running(), asyncio.timeout(4):
        (first,) = await record(pipeline, 1)
        while pipeline.asked.messages.get(INGEST_QUEUE, []) == []:  # the look it begins with, or this wake
            dispatcher.wake()
            await asyncio.sleep(0.01)
    assert take_all(pipeline) == [first]


def depth(waiting: int, in_flight: int) -> QueueDepth:
    return QueueDepth(waiting=waiting, in_flight=in_flight, dead_letters=0, oldest_seconds=None)


@pytest.mark.parametrize(
    ("waiting", "in_flight", "free"),
    [(0, 0, 16), (12, 0, 4), (13, 0, 0), (16, 0, 0), (500, 0, 0), (0, 8, 32), (20, 8, 12), (30, 8, 0), (0, 200, 416)],
)
def test_a_queue_is_longer_the_more_workers_it_has(waiting: int, in_flight: int, free: int) -> None:
    assert room(INGEST_QUEUE, depth(waiting, in_flight)) == free


@pytest.mark.parametrize(
    ("waiting", "in_flight", "free"), [(0, 0, 4), (3, 0, 1), (0, 4, 8), (6, 4, 2), (7, 4, 0), (0, 200, 204)]
)
def test_few_messages_of_many_chunks_wait(waiting: int, in_flight: int, free: int) -> None:
    """Trap: a single file waits behind half a thousand Chunks for each Embedder."""
    assert room(EMBEDDING_QUEUE, depth(waiting, in_flight)) == free


def waiting_file(turn: float, chunks: int, *, newest: bool = False) -> WaitingFile:
    return WaitingFile(uuid4(), 1, -1, chunks, turn, newest)


def test_turns_are_shared_message_by_message() -> None:
    early, late, newest = waiting_file(0, 1000), waiting_file(3, 1000), waiting_file(90, 1000, newest=True)
    shares = share([early, late, newest], 12)
    assert sum(shares.values()) == 12
    assert shares[newest] == 3
    assert shares[early] - shares[late] == 3, "it is three turns ahead"
    assert share([waiting_file(0, 1)], 16) != {}
    assert list(share([waiting_file(0, 129)], 16).values()) == [3], "no more than it has"
