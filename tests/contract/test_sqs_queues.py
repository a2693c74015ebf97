"""The queue contract on SQS, emulated over real HTTP, and what is peculiar to SQS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psutil
import pytest
from pydantic import SecretStr
from queue_contract import OpenQueues, QueueContract, Recorder, consuming, eventually, eventually_async, request
from real_servers import RunningServer, aws_in, command_of, forget_all, free_port
from sqs_cut_off import end_as_a_killed_process_does

from penstock.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, MAX_CHUNKS_PER_MESSAGE, EmbedRequest, QueueDepth
from penstock.queues.keeper import Keeper
from penstock.queues.port import Bury, Queues, Retry
from penstock.queues.sqs import SqsQueues
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_client import connect
from penstock.settings import QueueSettings

pytestmark = pytest.mark.slow

LEASE = 2
"""Of SQS' own whole seconds; of one, a busy machine would use up too much."""


def queues_at(url: str, worker: str, *, counts_late_seconds: float = 60, **options: Any) -> SqsQueues:
    settings = QueueSettings(url=SecretStr(url), lease_seconds=LEASE, counts_late_seconds=counts_late_seconds)
    return SqsQueues(settings, worker=worker, **{"drain_seconds": 5, "poll_seconds": 1} | options)


class Sqs:
    """The same queues as anybody else sees them."""

    def __init__(self, url: str) -> None:
        self._address = sqs_address(url)
        self.client = connect(self._address, connections=1)

    def url(self, queue: str) -> str:
        return self.client.get_queue_url(QueueName=self._address.name_of(queue))["QueueUrl"]

    def receive(self, queue: str, *, lease: int = 1) -> list[dict[str, Any]]:
        return self.client.receive_message(
            QueueUrl=self.url(queue),
            MaxNumberOfMessages=10,
            VisibilityTimeout=lease,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])

    def send(self, queue: str, body: str) -> None:
        self.client.send_message(QueueUrl=self.url(queue), MessageBody=body)


@pytest.fixture
async def open_sqs(sqs_url: str) -> AsyncIterator[OpenQueues]:
    opened: list[SqsQueues] = []

    async def open_one(worker: str) -> Queues:
        opened.append(queues_at(sqs_url, worker))
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


class TestSqs(QueueContract):
    @pytest.fixture
    def open_queues(self, open_sqs: OpenQueues) -> OpenQueues:
        return open_sqs

    async def kill(self, queues: Queues, task: asyncio.Task[None]) -> None:
        await end_as_a_killed_process_does(cast("SqsQueues", queues), task)


async def test_a_message_that_is_none_of_ours_becomes_a_dead_letter(open_sqs: OpenQueues, sqs_url: str) -> None:
    queues = await open_sqs("worker")
    long = "ü" * 200_000  # moto takes more than SQS took for long, as SQS does now
    for body in ('{"version": 99}', "not json", "[]", long):
        Sqs(sqs_url).send(INGEST_QUEUE, body)
    recorder = Recorder()

    async def buried() -> bool:
        return (await depth(queues)).dead_letters == 4

    async with consuming(queues, recorder):
        await eventually_async(buried)
    assert recorder.seen == []
    letters = await queues.dead_letters(INGEST_QUEUE)
    assert {letter.code for letter in letters} == {"invalid_message"}
    assert {letter.message["unreadable"] for letter in letters} == {
        *('{"version": 99}', "not json", "[]"),
        long[:1000],
    }


async def test_messages_carry_ids_only_and_many_go_in_few_requests(open_sqs: OpenQueues, sqs_url: str) -> None:
    """Trap: file bytes or secrets inside queue messages (docling-serve, VectorFlow)."""
    queues = await open_sqs("api")
    chunks = tuple(uuid4() for _ in range(MAX_CHUNKS_PER_MESSAGE))
    await queues.publish(
        EMBEDDING_QUEUE, [EmbedRequest(file_id=UUID(int=n), generation=1, chunk_ids=chunks) for n in range(25)]
    )
    assert (await queues.depths())[EMBEDDING_QUEUE].waiting == 25
    messages = Sqs(sqs_url).receive(EMBEDDING_QUEUE)
    assert len(messages) == 10
    for message in messages:
        assert "MessageAttributes" not in message
        assert set(json.loads(message["Body"])) == {"version", "file_id", "generation", "chunk_ids"}
        assert len(message["Body"]) < 4_000, "far below what SQS takes, ten at once too"


async def test_what_kills_each_worker_before_it_can_count_is_taken_away_by_sqs_itself(
    open_sqs: OpenQueues, sqs_url: str
) -> None:
    queues = await open_sqs("api")
    await queues.publish(INGEST_QUEUE, [request(7)])
    sqs, handed_out = Sqs(sqs_url), 0

    async def taken_away() -> bool:
        nonlocal handed_out
        for message in sqs.receive(INGEST_QUEUE):
            handed_out += 1
            sqs.client.change_message_visibility(
                QueueUrl=sqs.url(INGEST_QUEUE), ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return (await depth(queues)).dead_letters == 1

    await eventually_async(taken_away, seconds=30)
    (letter,) = await queues.dead_letters(INGEST_QUEUE)
    assert (letter.file_id, letter.code, letter.attempts) == (UUID(int=7), "gave_up", handed_out)
    assert letter.reason.startswith(f"SQS handed it out {handed_out} times")
    assert await queues.drop(INGEST_QUEUE, letter.dead_letter_id) == letter
    assert await empty(queues)


async def test_a_message_that_waits_to_be_tried_again_is_in_nobodys_hands(open_sqs: OpenQueues) -> None:
    queues = await open_sqs("worker")
    await queues.publish(INGEST_QUEUE, [request()])
    async with consuming(queues, Recorder(verdicts=[Retry(600)])) as _:

        async def given_back() -> bool:
            found = await depth(queues)
            return (found.waiting, found.in_flight) == (1, 0)

        await eventually_async(given_back)


async def test_what_comes_while_a_worker_stops_is_given_back_unharmed(open_sqs: OpenQueues) -> None:
    """A long poll cannot be called off: what it brings would be hidden for a lease, and count as an attempt."""
    leaving, heir = await open_sqs("leaving"), await open_sqs("heir")
    async with consuming(leaving, Recorder()) as stop:
        await eventually(lambda: any("sqs_" in str(child) for child in _heartbeats()))
        stop.set()
        await heir.publish(INGEST_QUEUE, [request(n) for n in range(5)])
    assert (await depth(heir)).in_flight == 0
    recorder = Recorder()
    async with consuming(heir, recorder):
        await eventually(lambda: len(recorder.seen) == 5)
    assert {delivery.attempt for delivery in recorder.seen} == {1}


def _heartbeats() -> list[list[str]]:
    return [command_of(child) for child in psutil.Process().children()]


async def test_an_emptied_server_does_not_stop_a_worker(open_sqs: OpenQueues, aws_server: RunningServer) -> None:
    worker, publisher = await open_sqs("worker"), await open_sqs("api")
    recorder = Recorder()
    async with consuming(worker, recorder):
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        forget_all(aws_server.url)
        await publisher.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: 2 in recorder.numbers, seconds=30)


async def test_a_worker_outlives_a_server_that_freezes_or_is_gone_for_a_while(
    tmp_path: Path, aws_credentials: None
) -> None:
    server = aws_in(tmp_path)
    server.start()
    url = f"sqs://eu-central-1?endpoint={server.url}"
    worker, publisher = queues_at(url, "worker"), queues_at(url, "api")
    recorder = Recorder()
    async with consuming(worker, recorder):
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        server.pause()
        with pytest.raises(ServiceUnavailable):
            await publisher.depths()
        server.resume()
        await publisher.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: 2 in recorder.numbers, seconds=30)
        server.kill()
        with pytest.raises(ServiceUnavailable):
            await publisher.publish(INGEST_QUEUE, [request(3)])
        server.start()
        await publisher.publish(INGEST_QUEUE, [request(4)])
        await eventually(lambda: 4 in recorder.numbers, seconds=30)
    await worker.close()
    await publisher.close()
    server.stop()


async def test_a_verdict_that_could_not_be_told_is_told_later(tmp_path: Path, aws_credentials: None) -> None:
    server = aws_in(tmp_path)
    server.start()
    queues = queues_at(f"sqs://eu-central-1?endpoint={server.url}", "worker")
    recorder = Recorder(verdicts=[Bury("corrupt_file", "It is torn.")], gate=asyncio.Event())
    await queues.publish(INGEST_QUEUE, [request()])
    async with consuming(queues, recorder, concurrency=1):
        await eventually(lambda: recorder.seen)
        server.pause()
        assert recorder.gate is not None
        recorder.gate.set()
        with pytest.raises(ServiceUnavailable):
            await queues.depths()  # as long as the verdict waits for an answer
        server.resume()

        async def buried() -> bool:
            return (await depth(queues)).dead_letters >= 1 and await empty(queues)

        await eventually_async(buried, seconds=30)
    await queues.close()
    server.stop()


async def test_nobody_is_told_the_files_but_that_a_queue_has_long_been_empty_tells_there_are_none(sqs_url: str) -> None:
    patient, hasty = queues_at(sqs_url, "api"), queues_at(sqs_url, "api", counts_late_seconds=0)
    await patient.open()
    assert await patient.files_on(INGEST_QUEUE) is None, "what SQS counts may be a minute old"
    assert await hasty.files_on(INGEST_QUEUE) == frozenset()
    await hasty.publish(INGEST_QUEUE, [request()])
    assert await hasty.files_on(INGEST_QUEUE) is None
    await patient.close()
    await hasty.close()


async def test_dead_letters_have_an_order_and_stay_in_sight(
    open_sqs: OpenQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues, others = await open_sqs("worker"), await open_sqs("api")
    reasons = [f"No. {n}\x00\ud800, ümläut" for n in range(12)]
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(12)])

    async def all_buried() -> bool:
        return (await depth(queues)).dead_letters == 12

    async with consuming(queues, Recorder(verdicts=[Bury("gave_up", reason) for reason in reasons]), concurrency=1):
        await eventually_async(all_buried, seconds=30)
    letters = await queues.dead_letters(INGEST_QUEUE)
    assert sorted(letter.reason for letter in letters) == sorted(f"No. {n}\ufffd\ufffd, ümläut" for n in range(12))
    assert [letter.last_at for letter in letters] == sorted(letter.last_at for letter in letters)
    first = await others.dead_letters(INGEST_QUEUE, limit=5)
    assert first == letters[:5], "what one has looked at, the next one sees at once"
    assert await others.drop(INGEST_QUEUE, first[-1].dead_letter_id) == first[-1]
    assert await queues.dead_letters(INGEST_QUEUE, limit=5, after=first[-1].dead_letter_id) == letters[5:10]
    assert await queues.find_dead_letter(INGEST_QUEUE, "no id at all") is None
    with pytest.raises(InvalidRequest):
        await queues.dead_letters(INGEST_QUEUE, after="no id at all")


async def test_queues_that_are_there_are_used_as_they_are(sqs_url: str) -> None:
    sqs = Sqs(sqs_url)
    made = sqs.client.create_queue(QueueName="test-ingest-queue", Attributes={"MessageRetentionPeriod": "3600"})
    queues = queues_at(sqs_url, "api")
    await queues.open()
    await queues.close()
    names = sorted(url.rpartition("/")[2] for url in sqs.client.list_queues()["QueueUrls"])
    assert names == [
        *("test-embedding-queue", "test-embedding-queue-dead-letters"),
        *("test-ingest-queue", "test-ingest-queue-dead-letters"),
    ]
    found = sqs.client.get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert (found["MessageRetentionPeriod"], "RedrivePolicy" in found) == ("3600", False)
    ours = sqs.client.get_queue_attributes(QueueUrl=sqs.url(EMBEDDING_QUEUE), AttributeNames=["All"])["Attributes"]
    redrive = json.loads(ours["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":test-embedding-queue-dead-letters")
    assert int(redrive["maxReceiveCount"]) > QueueSettings().max_attempts + 2, "our own policy comes first"


async def test_a_server_that_is_away_and_one_that_does_not_know_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aws_credentials: None
) -> None:
    url = f"sqs://eu-central-1?endpoint=http://127.0.0.1:{free_port()}"
    away = queues_at(url, "api")
    with pytest.raises(ServiceUnavailable, match="queue does not answer"):
        await away.open()
    await away.close()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    unknown = queues_at(url, "api")
    with pytest.raises(InvalidSettings, match=r"does not let us in.*Credentials come from"):
        await unknown.open()
    await unknown.close()


async def test_a_lease_that_is_found_lost_is_counted(open_sqs: OpenQueues, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, other = await open_sqs("worker"), await open_sqs("other")
    slow, quick = Recorder(verdicts=[Retry(0.0)], gate=asyncio.Event()), Recorder()

    def hold(self: Keeper, message_id: str, seconds: float) -> None:
        """Nobody renews the lease."""

    monkeypatch.setattr(Keeper, "hold", hold)
    async with consuming(worker, slow, concurrency=1):
        await worker.publish(INGEST_QUEUE, [request()])
        await eventually(lambda: slow.seen)
        async with consuming(other, quick):
            await eventually(lambda: quick.seen)
            await eventually_async(lambda: empty(other))
        assert slow.gate is not None
        slow.gate.set()
        await eventually(lambda: worker.leases_lost == 1)
    assert other.leases_lost == 0
