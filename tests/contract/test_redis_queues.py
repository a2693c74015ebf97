"""The queue contract on Redis, and what is peculiar to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import pytest
from cut_off import end_as_a_killed_process_does
from faststream.redis.subscriber.usecases import stream_subscriber
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
from real_servers import RunningServer, redis_command, redis_in
from redis_servers import INSTALLED, PREFIX, SecureRedis
from structlog.testing import capture_logs
from tcp_proxy import TcpProxy

from penstock.errors import ServiceUnavailable
from penstock.models import INGEST_QUEUE
from penstock.queues import redis_leases, redis_messages, redis_session
from penstock.queues.durability import weaknesses
from penstock.queues.port import Bury, Done, Queues, Retry, Verdict
from penstock.queues.redis import RedisQueues
from penstock.queues.redis_leases import GROUP
from penstock.settings import QueueSettings


def queues_at(url: str, worker: str, *, prefix: str = "", drain_seconds: float = 5) -> RedisQueues:
    settings = QueueSettings(url=SecretStr(url), prefix=prefix, lease_seconds=LEASE)
    return RedisQueues(settings, worker=worker, drain_seconds=drain_seconds)


async def opener(url: str, prefix: str = "") -> AsyncIterator[OpenQueues]:
    opened: list[RedisQueues] = []

    async def open_one(worker: str) -> Queues:
        queues = queues_at(url, worker, prefix=prefix)
        opened.append(queues)
        await queues.open()
        return queues

    yield open_one
    for queues in opened:
        await queues.close()


class RedisContract(TellingQueueContract):
    async def kill(self, queues: Queues, task: asyncio.Task[None]) -> None:
        await end_as_a_killed_process_does(cast("RedisQueues", queues), task)


class TestEmbeddedRedis(RedisContract):
    @pytest.fixture
    async def open_queues(self, redis_url: str) -> AsyncIterator[OpenQueues]:
        async for open_one in opener(redis_url):
            yield open_one


@INSTALLED
class TestInstalledRedis(RedisContract):
    """The distribution's, of another version than the embedded one: with TLS, a user of the least rights, a prefix."""

    @pytest.fixture
    async def open_queues(self, secure_server: SecureRedis) -> AsyncIterator[OpenQueues]:
        redis_command(secure_server.admin, "FLUSHALL")
        async for open_one in opener(secure_server.url, PREFIX):
            yield open_one

    async def test_every_key_has_the_prefix(self, open_queues: OpenQueues, secure_server: SecureRedis) -> None:
        queues = await open_queues("worker")
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(3)])
        recorder = Recorder(verdicts=[Bury("gave_up", "x"), Retry(600)], gate=asyncio.Event())
        async with consuming(queues, recorder, concurrency=1):
            await eventually(lambda: recorder.seen)
            assert recorder.gate is not None
            recorder.gate.set()
            await eventually(lambda: len(recorder.seen) == 3)
        kinds = {"ingest-queue", "ingest-queue-attempts", "ingest-queue-dead-letters", "embedding-queue"}
        assert set(redis_command(secure_server.admin, "KEYS", "*")) == {f"{PREFIX}:{kind}" for kind in kinds}


async def test_installations_on_one_server_do_not_see_each_other(redis_url: str) -> None:
    queues = {prefix: queues_at(redis_url, "worker", prefix=prefix) for prefix in ("", "acme", "acme-2")}
    for number, each in enumerate(queues.values()):
        await each.open()
        await each.publish(INGEST_QUEUE, [request(number)])
    for number, each in enumerate(queues.values()):
        assert await each.files_on(INGEST_QUEUE) == {request(number).file_id}
        assert (await each.depths())[INGEST_QUEUE].waiting == 1
    recorders = {prefix: Recorder(verdicts=[Bury("gave_up", prefix or "none")]) for prefix in queues}
    async with (
        consuming(queues[""], recorders[""]),
        consuming(queues["acme"], recorders["acme"]),
        consuming(queues["acme-2"], recorders["acme-2"]),
    ):
        await eventually(lambda: all(recorder.seen for recorder in recorders.values()))
    for number, (prefix, each) in enumerate(queues.items()):
        assert recorders[prefix].numbers == [number]
        (letter,) = await each.dead_letters(INGEST_QUEUE)
        assert letter.reason == (prefix or "none")
        assert (await each.depths())[INGEST_QUEUE].dead_letters == 1
        await each.close()


async def test_a_redis_that_refuses_to_read_is_asked_patiently(
    private_redis: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream asks again at once: one Worker would keep a processor busy on either side."""
    monkeypatch.setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(redis_session, "BLOCK_MS", 200)
    worker = queues_at(private_redis.url, "worker")
    await worker.open()
    redis_command(private_redis.url, "CONFIG", "RESETSTAT")

    def refused() -> int:
        stats = redis_command(private_redis.url, "INFO", "commandstats")
        return stats.get("cmdstat_xreadgroup", {}).get("rejected_calls", 0)

    recorder, loop = Recorder(), asyncio.get_running_loop()
    async with consuming(worker, recorder):
        await eventually(lambda: "cmdstat_xreadgroup" in redis_command(private_redis.url, "INFO", "commandstats"))
        redis_command(private_redis.url, "CONFIG", "SET", "min-replicas-to-write", "1")
        begin = loop.time()
        await eventually(lambda: refused() >= 2)
        assert refused() <= 2 + (loop.time() - begin) / 0.5
        redis_command(private_redis.url, "CONFIG", "SET", "min-replicas-to-write", "0")
        await worker.publish(INGEST_QUEUE, [request()])
        await eventually(lambda: recorder.seen)
    await worker.close()


async def test_flushall_while_a_worker_starts_leaves_no_message_undelivered(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream makes a group that is missing when it starts: messages that are there by then must reach somebody."""
    queues, recorder = queues_at(redis_url, "a"), Recorder()
    await queues.open()

    async def give_back_all(session: redis_session.Session) -> None:
        await give_back(session)
        monkeypatch.undo()
        redis_command(redis_url, "FLUSHALL")
        await queues.publish(INGEST_QUEUE, [request(1)])

    give_back = redis_session.Session._give_back_all  # pyright: ignore[reportPrivateUsage]  # the last step before FastStream's
    monkeypatch.setattr(redis_session.Session, "_give_back_all", give_back_all)
    async with consuming(queues, recorder):
        await eventually(lambda: recorder.numbers == [1])
    await queues.close()


async def test_flushall_does_not_stop_a_worker(redis_url: str) -> None:
    worker, publisher = queues_at(redis_url, "worker"), queues_at(redis_url, "api")
    await publisher.open()
    recorder = Recorder()
    async with consuming(worker, recorder):
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        redis_command(redis_url, "FLUSHALL")
        await publisher.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: recorder.numbers == [1, 2])
    await worker.close()
    await publisher.close()


async def test_a_worker_outlives_a_redis_that_is_killed_and_comes_back(private_redis: RunningServer) -> None:
    worker = queues_at(private_redis.url, "worker")
    recorder = Recorder()
    async with consuming(worker, recorder):
        publisher = queues_at(private_redis.url, "api")
        await publisher.open()
        await publisher.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        private_redis.kill()
        with pytest.raises(ServiceUnavailable):
            await publisher.publish(INGEST_QUEUE, [request(2)])
        private_redis.start()
        await publisher.publish(INGEST_QUEUE, [request(3)])
        await eventually(lambda: 3 in recorder.numbers)
        await publisher.close()
    await worker.close()


async def test_a_message_whose_worker_could_not_settle_it_is_not_held_for_ever(private_redis: RunningServer) -> None:
    """The heartbeat would renew its lease as long as the worker lives, and nobody would work on it."""
    worker, publisher = queues_at(private_redis.url, "worker"), queues_at(private_redis.url, "api")
    await publisher.open()
    recorder = Recorder(verdicts=[Retry(0.1)], gate=asyncio.Event())
    async with consuming(worker, recorder):
        await publisher.publish(INGEST_QUEUE, [request()])
        await eventually(lambda: recorder.seen)
        private_redis.kill()
        assert recorder.gate is not None
        recorder.gate.set()
        private_redis.start()

        async def empty() -> bool:
            try:
                return (await publisher.depths())[INGEST_QUEUE].oldest_seconds is None
            except ServiceUnavailable:
                return False

        await eventually_async(empty, seconds=30)
    await publisher.close()
    await worker.close()


async def test_a_message_that_is_none_of_ours_becomes_a_dead_letter(redis_url: str) -> None:
    queues = queues_at(redis_url, "worker")
    await queues.open()
    for field, body in (("__data__", '{"version": 99}'), ("__data__", "not json"), ("odd", "field"), ("__data__", "")):
        redis_command(redis_url, "XADD", INGEST_QUEUE, "*", field, body)
    recorder = Recorder()

    async def buried() -> bool:
        return (await queues.depths())[INGEST_QUEUE].dead_letters == 4

    async with consuming(queues, recorder):
        await eventually_async(buried)
    assert recorder.seen == []
    assert {dead.code for dead in await queues.dead_letters(INGEST_QUEUE)} == {"invalid_message"}
    await queues.close()


async def test_messages_carry_ids_only(redis_url: str) -> None:
    """Trap: file bytes or secrets inside queue messages (docling-serve, VectorFlow)."""
    queues = queues_at(redis_url, "api")
    await queues.open()
    await queues.publish(INGEST_QUEUE, [request(5)])
    ((_, fields),) = await queues._client.xrange(INGEST_QUEUE)
    (body,) = fields.values()
    assert b'{"version":1,"file_id":"00000000-0000-0000-0000-000000000005","generation":1}' in body
    assert len(body) < 400
    await queues.close()


async def test_nobody_is_told_the_files_of_an_endless_queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_messages, "MOST_READ", 4)
    queues = queues_at(redis_url, "api")
    await queues.open()
    redis_command(redis_url, "XADD", INGEST_QUEUE, "*", "odd", "field")
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(3)])
    assert await queues.files_on(INGEST_QUEUE) == {request(n).file_id for n in range(3)}
    await queues.publish(INGEST_QUEUE, [request(3)])
    assert await queues.files_on(INGEST_QUEUE) is None
    await queues.close()


async def test_a_queue_that_is_away_is_said_so(tmp_path: Path) -> None:
    queues = queues_at(redis_in(tmp_path).url, "api")
    with pytest.raises(ServiceUnavailable, match="queue does not answer"):
        await queues.open()
    await queues.close()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"appendonly": "no"}, "keeps nothing on the disk"),
        ({"appendonly": "no", "save": "900 1"}, "keeps snapshots only"),
        ({"appendfsync": "no"}, "a power cut may forget"),
        ({"maxmemory-policy": "allkeys-lru"}, "throws messages away"),
        ({}, None),
    ],
)
async def test_a_redis_that_can_lose_work_is_told_of_at_the_start(
    private_redis: RunningServer, settings: dict[str, str], problem: str | None
) -> None:
    """Trap: an eviction policy on the queue's Redis (RAGFlow's Helm chart evicts the task stream)."""
    for name, value in settings.items():
        redis_command(private_redis.url, "CONFIG", "SET", name, value)
    queues = queues_at(private_redis.url, "worker")
    with capture_logs() as logs:
        await queues.open()
    await queues.close()
    problems = [entry["problem"] for entry in logs if entry["event"] == "the queue's Redis can lose work"]
    assert len(problems) == (0 if problem is None else 1)
    assert problem is None or problem in problems[0]


def test_what_else_a_server_may_say_of_itself() -> None:
    sound = {"aof_enabled": 1, "role": "master", "maxmemory": 0, "used_memory": 10**6}
    assert weaknesses(sound, {}) == []
    for told, problem in (
        ({"role": "slave"}, "replica"),
        ({"aof_enabled": 0}, "if it takes any"),  # CONFIG GET is forbidden
        ({"aof_last_write_status": "err"}, "could not write"),
        ({"maxmemory": 10**6}, "1,000,000 of 1,000,000 bytes"),
        ({"maxmemory_policy": "volatile-ttl"}, "volatile-ttl"),
    ):
        (found,) = weaknesses(sound | told, {})
        assert problem in found.problem


async def test_a_worker_goes_on_after_the_network_was_a_black_hole(private_redis: RunningServer) -> None:
    socket = Path(unquote(urlsplit(private_redis.url).path))
    with TcpProxy(socket) as proxy:
        worker, publisher = (
            queues_at(f"redis://127.0.0.1:{proxy.port}/0", "worker"),
            queues_at(private_redis.url, "api"),
        )
        await publisher.open()
        recorder = Recorder()
        async with consuming(worker, recorder):
            await publisher.publish(INGEST_QUEUE, [request(1)])
            await eventually(lambda: recorder.numbers == [1])
            proxy.stall()
            await publisher.publish(INGEST_QUEUE, [request(2)])
            with pytest.raises(ServiceUnavailable):
                await worker.depths()  # says so within its timeout instead of waiting for ever
            proxy.heal()
            await eventually(lambda: 2 in recorder.numbers, seconds=30)
        await worker.close()
        await publisher.close()


async def test_consumers_of_workers_that_are_gone_are_forgotten_but_never_their_messages(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_leases, "IDLE_CONSUMER_SECONDS", 0.05)
    queues = queues_at(redis_url, "worker")
    await queues.open()
    await queues.publish(INGEST_QUEUE, [request(1)])
    await queues._client.xreadgroup(GROUP, "holds", {INGEST_QUEUE: ">"}, count=1)
    redis_command(redis_url, "XGROUP", "CREATECONSUMER", INGEST_QUEUE, GROUP, "gone")

    async def names() -> set[str]:
        await queues.open()
        return {entry["name"] for entry in redis_command(redis_url, "XINFO", "CONSUMERS", INGEST_QUEUE, GROUP)}

    async def forgotten() -> bool:
        return await names() == {"holds"}

    await eventually_async(forgotten)
    await queues.close()


@pytest.mark.parametrize("verdict", [Done(), Retry(0.0), Bury("gave_up", "x")])
async def test_a_lease_that_is_found_lost_is_counted(redis_url: str, verdict: Verdict) -> None:
    """Of what is done, by whoever of the two comes second: who had the message is asked only where that decides."""
    queues, recorder = queues_at(redis_url, "worker"), Recorder(verdicts=[Done(), verdict], gate=asyncio.Event())
    await queues.open()

    async def drained() -> bool:
        return (await queues.depths())[INGEST_QUEUE].in_flight == 0

    async with consuming(queues, recorder):
        await queues.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.seen)
        assert recorder.gate is not None
        recorder.gate.set()
        await eventually_async(drained)
        assert queues.leases_lost == 0, "this one was kept"
        recorder.gate.clear()
        await queues.publish(INGEST_QUEUE, [request(2)])
        await eventually(lambda: len(recorder.seen) == 2)
        leases = redis_leases.Leases(queues._client, INGEST_QUEUE, INGEST_QUEUE, "worker", LEASE)
        (message_id,) = await leases.held()
        await queues._client.xclaim(INGEST_QUEUE, GROUP, "another", 0, [message_id])
        if verdict == Done():
            assert await leases.acknowledge(message_id), "another was the first"
        recorder.gate.set()
        await eventually(lambda: queues.leases_lost == 1)
    await queues.close()
