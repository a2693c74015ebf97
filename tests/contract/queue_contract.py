"""What every implementation of the queue port must do. `RedisQueuesContract` and others inherit it.

An implementation provides `open_queues(worker)`, which may be called several times: each call is
another process, as far as the queue can tell. The lease is `LEASE` seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from penstock import tracing
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, EmbedRequest, IngestRequest
from penstock.queues.port import Bury, Delivery, Done, Queues, Retry, Verdict

LEASE = 1.0
HARD_LIMIT = 60.0
OpenQueues = Callable[[str], Awaitable[Queues]]


def request(number: int = 1) -> IngestRequest:
    return IngestRequest(file_id=UUID(int=number), generation=1)


async def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    """Return as soon as `condition()` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def eventually_async(condition: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


@dataclass
class Recorder:
    """A handler that notes what it is given and answers what it is told to."""

    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    seen: list[Delivery] = field(default_factory=list[Delivery])
    gate: asyncio.Event | None = None

    async def __call__(self, delivery: Delivery) -> Verdict:
        self.seen.append(delivery)
        if self.gate is not None:
            await self.gate.wait()
        return self.verdicts.pop(0) if self.verdicts else Done()

    @property
    def numbers(self) -> list[int]:
        return [delivery.message.file_id.int for delivery in self.seen]


@asynccontextmanager
async def consuming(
    queues: Queues, handler: Recorder, *, queue: str = INGEST_QUEUE, concurrency: int = 4
) -> AsyncGenerator[asyncio.Event]:
    """A worker at work in the background; ends cleanly with the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        queues.consume(queue, handler, concurrency=concurrency, hard_limit=HARD_LIMIT, stop=stop)
    )
    try:
        yield stop
    finally:
        stop.set()
        if handler.gate is not None:
            handler.gate.set()
        async with asyncio.timeout(15):
            await task


class OnlyPublishes:
    """Traces as far as a publisher needs them."""

    def publishing(self, queue: str, file_id: UUID, generation: int, **attributes: object) -> str:
        return f"00-{file_id.int:032x}-{generation:016x}-01"


async def _empty(queues: Queues) -> bool:
    depth = (await queues.depths())[INGEST_QUEUE]
    return (depth.waiting, depth.in_flight) == (0, 0)


class QueueContract:
    """Inherit it and define `open_queues`; or `TellingQueueContract`, where the broker shows its messages."""

    @pytest.fixture
    def open_queues(self) -> OpenQueues:
        raise NotImplementedError

    async def test_what_was_published_before_the_first_worker_ever_started_is_delivered(
        self, open_queues: OpenQueues
    ) -> None:
        await (await open_queues("api")).publish(INGEST_QUEUE, [request(1), request(2)])
        recorder = Recorder()
        async with consuming(await open_queues("worker"), recorder):
            await eventually(lambda: len(recorder.seen) == 2)
        assert sorted(recorder.numbers) == [1, 2]
        first = recorder.seen[0]
        assert (first.queue, first.attempt, first.worker) == (INGEST_QUEUE, 1, "worker")

    async def test_a_message_that_is_done_is_gone(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        await queues.publish(INGEST_QUEUE, [request()])
        recorder = Recorder()
        async with consuming(queues, recorder):
            await eventually_async(lambda: _empty(queues))
        assert (await queues.depths())[INGEST_QUEUE].oldest_seconds is None
        assert len(recorder.seen) == 1

    async def test_a_message_carries_its_own_trace_to_each_attempt(
        self, open_queues: OpenQueues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of several that are published at once; and one that was published without traces has none."""
        queues, recorder = await open_queues("worker"), Recorder(verdicts=[Done(), Retry(0.0), Retry(0.0)])
        async with consuming(queues, recorder):
            await queues.publish(INGEST_QUEUE, [request(1)])
            await eventually(lambda: recorder.seen)
            monkeypatch.setattr(tracing._current, "spans", OnlyPublishes())
            await queues.publish(INGEST_QUEUE, [request(2), request(3)])
            await eventually(lambda: len(recorder.seen) == 5)
        carried = [(delivery.message.file_id.int, delivery.attempt, delivery.traceparent) for delivery in recorder.seen]
        traces = {n: OnlyPublishes().publishing(INGEST_QUEUE, UUID(int=n), 1) for n in (2, 3)}
        assert carried[0] == (1, 1, None)
        assert sorted(carried[1:]) == [(n, attempt, traces[n]) for n in (2, 3) for attempt in (1, 2)]

    async def test_each_message_goes_to_one_of_several_workers(self, open_queues: OpenQueues) -> None:
        publisher = await open_queues("api")
        recorders = [Recorder(), Recorder(), Recorder()]
        workers = [await open_queues(f"worker-{n}") for n in range(3)]
        async with (
            consuming(workers[0], recorders[0]),
            consuming(workers[1], recorders[1]),
            consuming(workers[2], recorders[2]),
        ):
            await publisher.publish(INGEST_QUEUE, [request(n) for n in range(100)])
            await eventually(lambda: sum(len(recorder.seen) for recorder in recorders) >= 100)
        assert sorted(n for recorder in recorders for n in recorder.numbers) == list(range(100))

    async def test_queues_are_apart(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        recorder = Recorder()
        await queues.publish(INGEST_QUEUE, [request()])
        async with consuming(queues, recorder, queue=EMBEDDING_QUEUE):
            assert (await queues.depths())[INGEST_QUEUE].waiting == 1
        assert recorder.seen == []

    async def test_no_more_than_concurrency_at_once(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        recorder = Recorder(gate=asyncio.Event())
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(10)])
        async with consuming(queues, recorder, concurrency=2):
            await eventually(lambda: len(recorder.seen) == 2)
            depth = (await queues.depths())[INGEST_QUEUE]
            assert depth.waiting + depth.in_flight == 10
            assert depth.waiting >= 5, "a worker reads ahead little, so that others can help"
            assert len(recorder.seen) == 2
            assert recorder.gate is not None
            recorder.gate.set()
            await eventually(lambda: len(recorder.seen) == 10)

    async def test_a_retry_comes_back_after_its_delay_and_counts(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        recorder = Recorder(verdicts=[Retry(0.3), Retry(0.0)])
        await queues.publish(INGEST_QUEUE, [request()])
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with consuming(queues, recorder):
            await eventually(lambda: len(recorder.seen) == 3)
        assert loop.time() - begin >= 0.3
        assert [delivery.attempt for delivery in recorder.seen] == [1, 2, 3]

    async def test_a_retry_can_be_free(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        recorder = Recorder(verdicts=[Retry(0.0, burns_attempt=False)] * 2)
        await queues.publish(INGEST_QUEUE, [request()])
        async with consuming(queues, recorder):
            await eventually(lambda: len(recorder.seen) == 3)
        assert [delivery.attempt for delivery in recorder.seen] == [1, 1, 1]

    async def test_work_longer_than_the_lease_keeps_it(self, open_queues: OpenQueues) -> None:
        """Trap: a visibility timeout shorter than the job, with no heartbeat (Onyx, Celery)."""
        slow, other = Recorder(gate=asyncio.Event()), Recorder()
        await (await open_queues("api")).publish(INGEST_QUEUE, [request()])
        loop = asyncio.get_running_loop()
        async with consuming(await open_queues("slow"), slow):
            await eventually(lambda: slow.seen)
            async with consuming(await open_queues("other"), other):
                begin = loop.time()
                await eventually(lambda: loop.time() - begin > 2.5 * LEASE)
                assert slow.gate is not None
                slow.gate.set()
        assert other.seen == []

    async def test_a_dead_workers_messages_are_taken_over_whatever_it_was_called(self, open_queues: OpenQueues) -> None:
        """Trap: pending entries tied to a consumer name that changes with the host (RAGFlow)."""
        publisher = await open_queues("api")
        await publisher.publish(INGEST_QUEUE, [request(n) for n in range(6)])
        dead, heir = Recorder(gate=asyncio.Event()), Recorder()
        victim = await open_queues("host-a-1")
        task = asyncio.create_task(
            victim.consume(INGEST_QUEUE, dead, concurrency=3, hard_limit=HARD_LIMIT, stop=asyncio.Event())
        )
        await eventually(lambda: len(dead.seen) == 3)
        await self.kill(victim, task)
        async with consuming(await open_queues("host-b-7"), heir):
            await eventually(lambda: len(set(heir.numbers)) == 6)
        taken_over = [delivery for delivery in heir.seen if delivery.message.file_id.int in dead.numbers]
        assert [delivery.attempt for delivery in taken_over] == [2, 2, 2], "an attempt whose worker died counts"

    async def kill(self, queues: Queues, task: asyncio.Task[None]) -> None:
        """End a consuming task the way a process dies: without giving anything back."""
        raise NotImplementedError

    async def test_stopping_finishes_what_is_at_work_and_gives_the_rest_back(self, open_queues: OpenQueues) -> None:
        publisher = await open_queues("api")
        await publisher.publish(INGEST_QUEUE, [request(n) for n in range(8)])
        leaving, heir = Recorder(gate=asyncio.Event()), Recorder()
        async with consuming(await open_queues("leaving"), leaving, concurrency=2) as stop:
            await eventually(lambda: len(leaving.seen) == 2)
            stop.set()
        async with consuming(await open_queues("heir"), heir):
            await eventually(lambda: len(heir.seen) == 6)
        assert sorted(leaving.numbers + heir.numbers) == list(range(8)), "nothing lost, nothing twice"
        assert {delivery.attempt for delivery in heir.seen} == {1}, "giving back burns no attempt"

    async def test_a_buried_message_is_a_dead_letter_with_its_reason(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        message = IngestRequest(file_id=uuid4(), generation=7)
        await queues.publish(INGEST_QUEUE, [message])
        async with consuming(queues, Recorder(verdicts=[Bury("corrupt_file", "It is torn.")])):
            await eventually_async(lambda: _empty(queues))
        (dead,) = await queues.dead_letters(INGEST_QUEUE)
        assert (dead.code, dead.reason, dead.attempts, dead.worker) == ("corrupt_file", "It is torn.", 1, "worker")
        assert (dead.file_id, dead.message["generation"]) == (message.file_id, 7)
        assert dead.first_at <= dead.last_at
        assert (await queues.depths())[INGEST_QUEUE].dead_letters == 1

    async def test_a_dropped_dead_letter_is_gone(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        await queues.publish(INGEST_QUEUE, [request()])
        async with consuming(queues, Recorder(verdicts=[Bury("gave_up", "x")])):
            await eventually_async(lambda: _empty(queues))
        (dead,) = await queues.dead_letters(INGEST_QUEUE)
        assert await queues.find_dead_letter(INGEST_QUEUE, dead.dead_letter_id) == dead
        assert await queues.drop(INGEST_QUEUE, dead.dead_letter_id) == dead
        assert await queues.drop(INGEST_QUEUE, dead.dead_letter_id) is None
        assert (await queues.depths())[INGEST_QUEUE].dead_letters == 0

    async def test_depths_tell_waiting_from_in_flight(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("worker")
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(5)])
        depth = (await queues.depths())[INGEST_QUEUE]
        assert (depth.waiting, depth.in_flight, depth.dead_letters) == (5, 0, 0)
        recorder = Recorder(gate=asyncio.Event())
        async with consuming(queues, recorder, concurrency=1):
            await eventually(lambda: recorder.seen)
            assert 1 <= (await queues.depths())[INGEST_QUEUE].in_flight <= 3


class TellingQueueContract(QueueContract):
    """Also what a broker can tell of the messages that it holds, if it can."""

    async def test_the_age_of_the_oldest_message(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("api")
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(5)])
        depth = (await queues.depths())[INGEST_QUEUE]
        assert depth.oldest_seconds is not None
        assert 0 <= depth.oldest_seconds < 10

    async def test_the_files_on_a_queue_are_those_of_every_message_that_is_not_done(
        self, open_queues: OpenQueues
    ) -> None:
        queues = await open_queues("worker")
        assert await queues.files_on(INGEST_QUEUE) == frozenset()
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(1, 4)])
        everything = frozenset(UUID(int=n) for n in range(1, 4))
        assert await queues.files_on(INGEST_QUEUE) == everything
        recorder = Recorder(gate=asyncio.Event(), verdicts=[Bury("gave_up", "x"), Retry(0.8)])
        async with consuming(queues, recorder, concurrency=1):
            await eventually(lambda: recorder.seen)
            assert await queues.files_on(INGEST_QUEUE) == everything, "also what is in a worker's hands"
            assert recorder.gate is not None
            recorder.gate.set()
            await eventually(lambda: len(recorder.seen) == 3)
            assert UUID(int=2) in (await queues.files_on(INGEST_QUEUE) or ()), "also what waits to be tried again"
            await eventually_async(lambda: _empty(queues))
        assert await queues.files_on(INGEST_QUEUE) == frozenset(), "not what is done, nor a dead letter"

    async def test_the_files_of_a_queue_of_many_pages(self, open_queues: OpenQueues) -> None:
        queues = await open_queues("api")
        chunks = tuple(uuid4() for _ in range(64))
        await queues.publish(
            EMBEDDING_QUEUE,
            [EmbedRequest(file_id=UUID(int=n // 2), generation=1, chunk_ids=chunks) for n in range(1_100)],
        )
        assert await queues.files_on(EMBEDDING_QUEUE) == frozenset(UUID(int=n) for n in range(550))
