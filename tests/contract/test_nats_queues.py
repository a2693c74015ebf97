"""The queue contract on NATS, and what is peculiar to NATS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from nats_server_of_tests import ask, end_as_a_killed_process_does, forget_streams, ledger_entries, say
from pydantic import SecretStr
from queue_contract import (
    LEASE,
    OpenQueues,
    Recorder,
    TellingQueueContract,
    consuming,
    eventually,
    eventually_async,
    request,
)
from real_servers import RunningServer, free_port
from structlog.testing import capture_logs
from tcp_proxy import TcpProxy

from penstock.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, MAX_CHUNKS_PER_MESSAGE, EmbedRequest, QueueDepth
from penstock.queues import nats_wire
from penstock.queues.keeper import Keeper
from penstock.queues.nats import NatsQueues
from penstock.queues.nats_address import nats_address
from penstock.queues.nats_messages import Received
from penstock.queues.port import Bury, Queues, Retry, Verdict
from penstock.settings import QueueSettings

pytestmark = pytest.mark.slow


def queues_at(url: str, worker: str, *, lease: float = LEASE) -> NatsQueues:
    settings = QueueSettings(url=SecretStr(url), lease_seconds=lease)
    return NatsQueues(settings, worker=worker, drain_seconds=5)


def stream_of(url: str, queue: str = INGEST_QUEUE) -> str:
    return nats_address(url).name_of(queue)


@pytest.fixture
async def open_nats(nats_url: str) -> AsyncIterator[OpenQueues]:
    opened: list[NatsQueues] = []

    async def open_one(worker: str) -> Queues:
        opened.append(queues_at(nats_url, worker))
        await opened[-1].open()
        return opened[-1]

    yield open_one
    for queues in opened:
        await queues.close()


async def depth(queues: Queues) -> QueueDepth:
    return (await queues.depths())[INGEST_QUEUE]


async def empty(queues: Queues) -> bool:
    found = await depth(queues)
    return (found.waiting, found.in_flight) == (0, 0)


class TestNats(TellingQueueContract):
    @pytest.fixture
    def open_queues(self, open_nats: OpenQueues) -> OpenQueues:
        return open_nats

    async def kill(self, queues: Queues, task: asyncio.Task[None]) -> None:
        await end_as_a_killed_process_does(cast("NatsQueues", queues), task)


async def test_a_message_that_is_none_of_ours_becomes_a_dead_letter(open_nats: OpenQueues, nats_url: str) -> None:
    queues = await open_nats("worker")
    for body in (b'{"version": 99}', b"not json", b"\xff\xfe", b""):
        await say(nats_url, f"{stream_of(nats_url)}.{uuid4().hex}", body)
    await say(nats_url, f"{stream_of(nats_url)}.no-file", b"x" * 200_000)
    assert len(await queues.files_on(INGEST_QUEUE) or ()) == 4, "what names no File is about none"
    recorder = Recorder()

    async def buried() -> bool:
        return (await depth(queues)).dead_letters == 5

    async with consuming(queues, recorder):
        await eventually_async(buried)
    assert recorder.seen == []
    letters = await queues.dead_letters(INGEST_QUEUE)
    assert {letter.code for letter in letters} == {"invalid_message"}
    assert {letter.message["unreadable"] for letter in letters} == {
        *('{"version": 99}', "not json", "\ufffd\ufffd", "", "x" * 1000),
    }


async def test_messages_carry_ids_only(open_nats: OpenQueues, nats_url: str) -> None:
    """Trap: file bytes or secrets inside queue messages (docling-serve, VectorFlow)."""
    queues = await open_nats("api")
    chunks = tuple(uuid4() for _ in range(MAX_CHUNKS_PER_MESSAGE))
    await queues.publish(EMBEDDING_QUEUE, [EmbedRequest(file_id=UUID(int=1), generation=1, chunk_ids=chunks)])
    found = await ask(nats_url, f"STREAM.MSG.GET.{stream_of(nats_url, EMBEDDING_QUEUE)}", seq=1)
    assert "hdrs" not in found["message"]
    assert found["message"]["subject"].endswith(f".{UUID(int=1).hex}")
    assert len(found["message"]["data"]) < 6_000


async def test_what_is_published_again_is_delivered_again(open_nats: OpenQueues) -> None:
    """JetStream drops what comes twice under one id within two minutes: what recover sends has to arrive."""
    queues, recorder = await open_nats("worker"), Recorder()
    async with consuming(queues, recorder):
        for times in range(1, 4):
            await queues.publish(INGEST_QUEUE, [request(1)])
            await eventually(lambda times=times: len(recorder.seen) == times)
    assert {delivery.attempt for delivery in recorder.seen} == {1}


def nobody_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    def hold(self: Keeper, message_id: str, seconds: float) -> None:
        """Nobody renews the lease."""

    monkeypatch.setattr(Keeper, "hold", hold)


@pytest.mark.parametrize("verdict", [Retry(0.0), Bury("gave_up", "x")])
async def test_a_late_verdict_changes_nothing_for_who_has_the_message_now(
    open_nats: OpenQueues, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    """JetStream itself would obey it: it takes a word from whoever was ever handed the message."""
    slow, heir = Recorder(verdicts=[verdict], gate=asyncio.Event()), Recorder(gate=asyncio.Event())
    late, other = cast("NatsQueues", await open_nats("late")), await open_nats("other")
    await late.publish(INGEST_QUEUE, [request()])
    with monkeypatch.context() as patch:
        nobody_beats(patch)
        async with consuming(late, slow, concurrency=1):
            await eventually(lambda: slow.seen)
            patch.undo()
            async with consuming(other, heir):
                await eventually(lambda: heir.seen)
                assert slow.gate is not None
                slow.gate.set()
                await eventually(lambda: late.leases_lost == 1)
                third = Recorder()
                async with consuming(await open_nats("third"), third):
                    assert (await depth(other)).in_flight == 1, "it is still in the hands of the second"
                    assert heir.gate is not None
                    heir.gate.set()
                    await eventually_async(lambda: empty(other))
    assert (len(slow.seen), len(heir.seen), len(third.seen)) == (1, 1, 0)
    assert heir.seen[0].attempt == 2
    assert await other.dead_letters(INGEST_QUEUE) == []


async def test_a_late_heartbeat_does_not_keep_a_message_from_a_third(
    open_nats: OpenQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a sleeper that is awake again, while the second has died: JetStream would renew the lease for it."""
    sleeper, dead, heir = Recorder(gate=asyncio.Event()), Recorder(gate=asyncio.Event()), Recorder()
    first, second = await open_nats("sleeper"), await open_nats("dead")
    await first.publish(INGEST_QUEUE, [request()])
    held: list[tuple[Keeper, str, float]] = []

    def hold(self: Keeper, message_id: str, seconds: float) -> None:
        held.append((self, message_id, seconds))

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "hold", hold)
        async with consuming(first, sleeper, concurrency=1):
            await eventually(lambda: sleeper.seen)
            task = asyncio.create_task(
                second.consume(INGEST_QUEUE, dead, concurrency=1, hard_limit=60, stop=asyncio.Event())
            )
            await eventually(lambda: dead.seen)
            patch.undo()
            keeper, message_id, seconds = held[0]
            keeper.hold(message_id, seconds)
            await end_as_a_killed_process_does(cast("NatsQueues", second), task)
            async with consuming(await open_nats("heir"), heir):
                await eventually(lambda: heir.seen, seconds=LEASE + 5)


async def test_a_message_that_is_buried_twice_is_one_dead_letter(
    open_nats: OpenQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a worker that dies, or loses its server, between the letter and the end of the message."""
    queues = await open_nats("worker")
    forget, failed = nats_wire.Wire.forget, asyncio.Event()

    async def fail_once(self: nats_wire.Wire, queue: str, received: Received, word: bytes) -> None:
        if not failed.is_set():
            failed.set()
            raise ServiceUnavailable
        await forget(self, queue, received, word)

    monkeypatch.setattr(nats_wire.Wire, "forget", fail_once)
    await queues.publish(INGEST_QUEUE, [request()])
    async with consuming(queues, Recorder(verdicts=[Bury("gave_up", "x")])):
        await eventually_async(lambda: empty(queues))
    assert failed.is_set()
    assert len(await queues.dead_letters(INGEST_QUEUE)) == 1


async def test_a_message_that_waits_to_be_tried_again_is_in_nobodys_hands(open_nats: OpenQueues) -> None:
    queues, recorder = await open_nats("worker"), Recorder(verdicts=[Retry(0.0), Retry(0.0), Retry(600)])
    await queues.publish(INGEST_QUEUE, [request()])
    async with consuming(queues, recorder):

        async def given_back() -> bool:
            found = await depth(queues)
            return len(recorder.seen) == 3 and (found.waiting, found.in_flight) == (1, 0)

        await eventually_async(given_back)


async def test_what_comes_while_a_worker_stops_is_given_back_unharmed(open_nats: OpenQueues) -> None:
    """A request for messages that nobody listens to any more would hide what it brings for a lease."""
    leaving, heir, recorder = await open_nats("leaving"), await open_nats("heir"), Recorder()
    for round_ in range(3):
        async with consuming(leaving, Recorder(verdicts=[])) as stop:
            await eventually_async(lambda: waits_for_messages(cast("NatsQueues", leaving)))
            stop.set()
            await heir.publish(INGEST_QUEUE, [request(5 * round_ + n) for n in range(5)])
        assert (await depth(heir)).in_flight == 0
    async with consuming(heir, recorder):
        await eventually_async(lambda: empty(heir))
    assert {delivery.attempt for delivery in recorder.seen} <= {1}


async def waits_for_messages(queues: NatsQueues) -> bool:
    stream = queues._address.name_of(INGEST_QUEUE)
    return bool((await queues._wire.nats.api(f"CONSUMER.INFO.{stream}.penstock"))["num_waiting"])


async def test_a_server_that_forgot_everything_does_not_stop_a_worker(open_nats: OpenQueues, nats_url: str) -> None:
    worker, publisher = await open_nats("worker"), await open_nats("api")
    recorder = Recorder(verdicts=[Retry(600)])
    async with consuming(worker, recorder):
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        await forget_streams(nats_url)
        await publisher.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: recorder.numbers == [1, 2])
    assert recorder.seen[-1].attempt == 1, "what stood there of another message of this number counts for nothing"


async def test_a_verdict_does_not_reach_another_message_of_the_same_number(
    open_nats: OpenQueues, nats_url: str
) -> None:
    """In a stream that was made anew, numbers begin at 1 again."""
    worker, publisher = await open_nats("worker"), await open_nats("api")
    old, new = Recorder(gate=asyncio.Event()), Recorder(gate=asyncio.Event())
    async with consuming(worker, old, concurrency=1):
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: old.seen)
        await forget_streams(nats_url)
        await publisher.publish(INGEST_QUEUE, [request(2)])
        async with consuming(publisher, new, concurrency=1):
            await eventually(lambda: new.seen)
            cast("NatsQueues", worker)._wire._made_at.clear()  # as another connection would
            assert old.gate is not None
            old.gate.set()
            await publisher.publish(INGEST_QUEUE, [request(3)])
            await eventually(lambda: 3 in old.numbers, seconds=20)
            assert await publisher.files_on(INGEST_QUEUE) == {UUID(int=2)}
            assert new.gate is not None
            new.gate.set()
            await eventually_async(lambda: empty(publisher))


async def test_a_worker_outlives_a_server_that_freezes_or_is_killed(private_nats: RunningServer) -> None:
    worker, publisher = queues_at(private_nats.url, "worker"), queues_at(private_nats.url, "api")
    recorder = Recorder()
    with capture_logs() as logs:
        async with consuming(worker, recorder):
            await publisher.publish(INGEST_QUEUE, [request(1)])
            await eventually(lambda: recorder.numbers == [1])
            private_nats.pause()
            with pytest.raises(ServiceUnavailable):
                await publisher.depths()
            private_nats.resume()
            await publisher.publish(INGEST_QUEUE, [request(2)])
            await eventually(lambda: 2 in recorder.numbers, seconds=30)
            private_nats.kill()
            for _ in range(3):
                with pytest.raises(ServiceUnavailable, match="queue does not answer"):
                    await publisher.publish(INGEST_QUEUE, [request(3)])
            private_nats.start()
            await publisher.publish(INGEST_QUEUE, [request(4)])
            await eventually(lambda: 4 in recorder.numbers, seconds=30)
    await worker.close()
    await publisher.close()
    away = [entry for entry in logs if entry["event"] == "queue is away; waiting for it"]
    assert 1 <= len(away) <= 2, "once for each outage"


async def test_what_was_at_work_while_the_server_was_away_is_settled_when_it_is_back(
    private_nats: RunningServer,
) -> None:
    worker = queues_at(private_nats.url, "worker", lease=20)
    recorder = Recorder(verdicts=[Bury("corrupt_file", "It is torn."), Retry(0.0)], gate=asyncio.Event())
    await worker.publish(INGEST_QUEUE, [request(1), request(2)])
    async with consuming(worker, recorder, concurrency=2):
        await eventually(lambda: len(recorder.seen) == 2)
        private_nats.kill()
        assert recorder.gate is not None
        recorder.gate.set()
        private_nats.start()

        async def settled() -> bool:
            try:
                return await empty(worker) and (await depth(worker)).dead_letters == 1
            except ServiceUnavailable:
                return False

        await eventually_async(settled)
    assert [delivery.attempt for delivery in recorder.seen] == [1, 1, 2], "an outage burns no attempt"
    await worker.close()


async def test_a_worker_goes_on_after_the_network_was_a_black_hole(
    nats_server: RunningServer, open_nats: OpenQueues, nats_url: str
) -> None:
    address = nats_address(nats_url)
    with TcpProxy(("127.0.0.1", int(address.servers[0].rpartition(":")[2]))) as proxy:
        worker, publisher = queues_at(f"nats://127.0.0.1:{proxy.port}/{address.prefix}", "worker"), await open_nats("a")
        recorder = Recorder()
        async with consuming(worker, recorder):
            await publisher.publish(INGEST_QUEUE, [request(1)])
            await eventually(lambda: recorder.numbers == [1])
            proxy.stall()
            await publisher.publish(INGEST_QUEUE, [request(2)])
            with pytest.raises(ServiceUnavailable):
                await worker.depths()
            proxy.heal()
            await eventually(lambda: 2 in recorder.numbers, seconds=30)
        await worker.close()


async def test_dead_letters_have_an_order(open_nats: OpenQueues) -> None:
    queues = await open_nats("worker")
    reasons = [f"No. {n}\x00, ümläut" for n in range(12)]
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(12)])

    async def all_buried() -> bool:
        return (await depth(queues)).dead_letters == 12

    async with consuming(queues, Recorder(verdicts=[Bury("gave_up", reason) for reason in reasons]), concurrency=1):
        await eventually_async(all_buried)
    letters = await queues.dead_letters(INGEST_QUEUE)
    assert [letter.reason for letter in letters] == reasons
    first = await queues.dead_letters(INGEST_QUEUE, limit=5)
    assert first == letters[:5]
    assert await queues.drop(INGEST_QUEUE, first[-1].dead_letter_id) == first[-1]
    assert await queues.dead_letters(INGEST_QUEUE, limit=5, after=first[-1].dead_letter_id) == letters[5:10]
    assert await queues.dead_letters(INGEST_QUEUE, after=letters[-1].dead_letter_id) == []
    for unknown in ("no id at all", "0", "9" * 19):
        assert await queues.find_dead_letter(INGEST_QUEUE, unknown) is None
        assert await queues.drop(INGEST_QUEUE, unknown) is None
    with pytest.raises(InvalidRequest):
        await queues.dead_letters(INGEST_QUEUE, after="no id at all")


async def test_several_installations_share_a_server(nats_url: str) -> None:
    ours, theirs = queues_at(nats_url, "ours"), queues_at(f"{nats_url}-b", "theirs")
    await ours.publish(INGEST_QUEUE, [request(1)])
    recorder = Recorder()
    async with consuming(theirs, recorder):
        await theirs.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: recorder.numbers == [2])
    assert await ours.files_on(INGEST_QUEUE) == {UUID(int=1)}
    await ours.close()
    await theirs.close()


async def test_nobody_is_told_the_files_of_an_endless_queue(
    open_nats: OpenQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_wire, "MOST_READ", 4)
    queues = await open_nats("api")
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(4)])
    assert await queues.files_on(INGEST_QUEUE) == {request(n).file_id for n in range(4)}
    await queues.publish(INGEST_QUEUE, [request(4)])
    assert await queues.files_on(INGEST_QUEUE) is None


async def test_what_a_dead_worker_left_in_the_ledger_is_swept(open_nats: OpenQueues, nats_url: str) -> None:
    """It died between the acknowledgement and the end of its entry."""
    queues, recorder = await open_nats("worker"), Recorder(verdicts=[Retry(600)])
    await queues.publish(INGEST_QUEUE, [request(1)])
    async with consuming(queues, recorder):
        await eventually(lambda: recorder.seen)
    ledger = f"{stream_of(nats_url)}-attempts"
    for sequence in (7, 9):
        await say(nats_url, f"{ledger}.{sequence}.entry", b"{}")
    kept = await ledger_entries(nats_url, INGEST_QUEUE)
    async with consuming(queues, Recorder()):

        async def swept() -> bool:
            return await ledger_entries(nats_url, INGEST_QUEUE) == kept - 2

        await eventually_async(swept)
    assert (await depth(queues)).waiting == 1


async def test_the_lease_is_that_of_the_settings(nats_url: str) -> None:
    for lease in (1, 30):
        queues = queues_at(nats_url, "worker", lease=lease)
        await queues.open()
        await queues.close()
        told = await ask(nats_url, f"CONSUMER.INFO.{stream_of(nats_url)}.penstock")
        assert told["config"]["ack_wait"] == lease * 10**9


LOSING: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"storage": "memory"}, {}, "is kept in memory"),
    ({"max_age": 3600 * 10**9}, {}, "forgets what is older than 3,600 s"),
    ({"max_msgs": 10, "discard": "old"}, {}, "throws the oldest away beyond its max_msgs"),
    ({"max_msgs_per_subject": 1}, {}, "keeps only some messages of each subject"),
    ({}, {"max_deliver": 3}, "gives a message up after 3 times"),
    ({}, {"max_ack_pending": 10}, "hands out only 10 messages at once"),
]


@pytest.mark.parametrize(("stream", "consumer", "problem"), LOSING)
async def test_a_stream_that_can_lose_work_is_told_of_at_the_start(
    nats_url: str, stream: dict[str, Any], consumer: dict[str, Any], problem: str
) -> None:
    name = stream_of(nats_url)
    await ask(nats_url, f"STREAM.CREATE.{name}", **nats_wire.work(name) | stream)
    config = nats_wire.consumer() | {"ack_wait": 10**9} | consumer
    await ask(nats_url, f"CONSUMER.DURABLE.CREATE.{name}.penstock", stream_name=name, config=config)
    queues = queues_at(nats_url, "worker")
    with capture_logs() as logs:
        await queues.open()
    await queues.close()
    (told,) = [entry for entry in logs if entry["event"] == "the queue's NATS can lose work"]
    assert problem in told["problem"]
    assert told["advice"]


async def test_the_streams_that_we_make_lose_nothing(nats_url: str) -> None:
    queues = queues_at(nats_url, "worker")
    with capture_logs() as logs:
        await queues.open()
    await queues.close()
    assert logs == []


async def test_a_stream_that_is_full_refuses_and_keeps_what_it_has(nats_url: str) -> None:
    name = stream_of(nats_url)
    await ask(nats_url, f"STREAM.CREATE.{name}", **nats_wire.work(name) | {"max_msgs": 1})
    queues = queues_at(nats_url, "api")
    await queues.publish(INGEST_QUEUE, [request(1)])
    with pytest.raises(ServiceUnavailable, match="maximum messages exceeded"):
        await queues.publish(INGEST_QUEUE, [request(2)])
    assert await queues.files_on(INGEST_QUEUE) == {UUID(int=1)}
    await queues.close()


@pytest.mark.parametrize("other", [{"retention": "limits"}, {"subjects": ["elsewhere.>"]}])
async def test_a_stream_of_another_kind_is_refused(nats_url: str, other: dict[str, Any]) -> None:
    name = stream_of(nats_url)
    await ask(nats_url, f"STREAM.CREATE.{name}", **nats_wire.work(name) | other)
    queues = queues_at(nats_url, "api")
    with pytest.raises(InvalidSettings, match="exists and is another kind of stream"):
        await queues.open()
    await queues.close()
    await ask(nats_url, f"STREAM.DELETE.{name}")


async def test_replicas_that_there_are_no_servers_for(nats_url: str) -> None:
    queues = queues_at(f"{nats_url}?replicas=3", "api")
    with pytest.raises(ServiceUnavailable, match="replicas > 1 not supported"):
        await queues.open()
    await queues.close()


async def test_a_server_that_is_away_is_said_so() -> None:
    queues = queues_at(f"nats://127.0.0.1:{free_port()}", "api")
    with pytest.raises(ServiceUnavailable, match="queue does not answer"):
        await queues.open()
    await queues.close()


async def test_a_letter_tells_the_whole_story(open_nats: OpenQueues, nats_url: str) -> None:
    queues = await open_nats("worker")
    await queues.publish(INGEST_QUEUE, [request(3)])
    async with consuming(queues, Recorder(verdicts=[Bury("gave_up", "x", attempts=4)])):
        await eventually_async(lambda: empty(queues))
    stored = await ask(nats_url, f"STREAM.INFO.{stream_of(nats_url)}-dead-letters", subjects_filter=">")
    assert stored["state"]["subjects"] == {f"{stream_of(nats_url)}-dead-letters": 1}
    (letter,) = await queues.dead_letters(INGEST_QUEUE)
    assert (letter.attempts, json.loads(json.dumps(letter.message))["file_id"]) == (4, str(UUID(int=3)))
