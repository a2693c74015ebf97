"""Leases, attempts and takeover on Redis, of real processes that are killed, stopped and made deaf."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.clock import Clock, Clocks
from chaos.site import with_clock
from pydantic import SecretStr
from queue_contract import eventually_async, request
from real_servers import RunningServer, redis_command, redis_in, wait_until
from worker_processes_contract import StartWorker, Worker, WorkerProcessesContract, empty

from penstock.models import INGEST_QUEUE
from penstock.queues import heartbeat
from penstock.queues.port import Queues
from penstock.queues.redis import RedisQueues
from penstock.queues.redis_leases import GROUP
from penstock.queues.redis_session import Frozen
from penstock.settings import QueueSettings

pytestmark = pytest.mark.slow

LEASE = 1.0


class TestRedisWorkerProcesses(WorkerProcessesContract):
    @pytest.fixture
    def queue_url(self, redis_url: str) -> str:
        return redis_url

    async def nothing_is_left(self, queue_url: str) -> None:
        assert redis_command(queue_url, "EXISTS", f"{INGEST_QUEUE}-attempts") == 0, "nothing of the count is left"

    async def test_a_message_that_a_worker_holds_without_knowing_goes_to_another(
        self, queues: Queues, start: StartWorker, queue_url: str
    ) -> None:
        """As after Redis was restored from an old copy: the entry is a living worker's, who has long settled it."""
        worker = start()
        wait_until(worker.heartbeats)
        await queues.publish(INGEST_QUEUE, [request(1)])
        await eventually_async(lambda: empty(queues))
        worker.signal(signal.SIGSTOP)
        await queues.publish(INGEST_QUEUE, [request(2)])
        redis_command(queue_url, "XREADGROUP", "GROUP", GROUP, worker.name, "COUNT", "1", "STREAMS", INGEST_QUEUE, ">")
        worker.signal(signal.SIGCONT)
        await eventually_async(lambda: empty(queues))
        assert worker.done() == [1, 2]

    async def test_a_message_that_is_deleted_while_it_is_held_is_let_go(
        self, queues: Queues, start: StartWorker, queue_url: str
    ) -> None:
        """Redis 6.2 would hand it out as nothing, again and again, and hold up what comes behind it."""
        redis_command(queue_url, "XADD", INGEST_QUEUE, "1-1", "field", "value")
        redis_command(queue_url, "XREADGROUP", "GROUP", GROUP, "somebody", "STREAMS", INGEST_QUEUE, ">")
        redis_command(queue_url, "XDEL", INGEST_QUEUE, "1-1")
        start()
        await eventually_async(lambda: empty(queues))

        async def forgotten() -> bool:
            return redis_command(queue_url, "XPENDING", INGEST_QUEUE, GROUP)["pending"] == 0

        await eventually_async(forgotten)


async def test_a_clock_that_is_set_back_holds_up_no_message(start_redis: StartRedis, tmp_path: Path) -> None:
    """Redis measures leases on its wall clock: one that began in what is now the future would never end."""
    clock = Clocks(tmp_path / "clocks").make("queue")
    if clock is None:
        pytest.skip("needs a C compiler, to shift the clock of a process")
    url = start_redis(clock)
    queues = RedisQueues(QueueSettings(url=SecretStr(url), lease_seconds=LEASE), worker="test")
    await queues.open()
    clock.set(3600)
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(3)])
    await queues._client.xreadgroup(GROUP, "dead", {INGEST_QUEUE: ">"}, count=3)
    clock.set(0)
    worker = Worker(url, "worker", tmp_path, lease=LEASE)
    try:
        await eventually_async(lambda: empty(queues))
        assert sorted(worker.done()) == [0, 1, 2]
    finally:
        worker.process.kill()
        worker.process.wait()
        await queues.close()


StartRedis = Callable[[Clock], str]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Starts a Redis on a clock of its own."""
    servers: list[RunningServer] = []

    def start_one(clock: Clock) -> str:
        servers.append(with_clock(redis_in(tmp_path), clock))
        servers[0].start()
        return servers[0].url

    yield start_one
    for server in servers:
        server.stop()


def test_a_lease_that_is_renewed_has_not_frozen() -> None:
    now = 0.0
    frozen = Frozen(12, clock=lambda: now)
    for second in range(20):
        now = float(second)
        found = frozen.look(["1-1", "2-2"] if second % 4 else ["1-1"])
        assert found == ([] if second < 6 else ["1-1"]), second


def test_the_heartbeat_knows_what_is_held_and_for_how_long() -> None:
    holds = heartbeat.Holds()
    holds.hear(b'{"hold": "1-1", "seconds": 5}\n{"hold": "2-', now=100)
    assert holds.alive(101) == ["1-1"]
    holds.hear(b'2", "seconds": 50}\n', now=101)
    assert holds.alive(106) == ["2-2"], "one is past its time"
    assert holds.overdue(105 + heartbeat.DEAF_SECONDS) is None
    assert holds.overdue(106 + heartbeat.DEAF_SECONDS) == ("1-1", 1 + heartbeat.DEAF_SECONDS)
    holds.hear(b'{"release": "1-1"}\n{"release": "never held"}\n', now=107)
    assert holds.overdue(130) is None
