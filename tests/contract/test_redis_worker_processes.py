"""Leases, attempts and takeover on Redis, of real processes that are killed, stopped and made deaf."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from chaos.clock import Clock, Clocks
from chaos.site import with_clock
from pydantic import SecretStr
from queue_contract import eventually_async, request
from queue_worker import DEAF, POISON, SLEEPER, STUCK
from real_servers import RunningServer, redis_command, redis_in, wait_until

from penstock.models import INGEST_QUEUE
from penstock.queues import heartbeat
from penstock.queues.redis import RedisQueues
from penstock.queues.redis_leases import GROUP
from penstock.queues.redis_session import Frozen
from penstock.settings import QueueSettings

pytestmark = pytest.mark.slow

LEASE = 1.0
SCRIPT = Path(__file__).parent / "queue_worker.py"


class Worker:
    """A worker process and what it has said."""

    def __init__(self, url: str, name: str, folder: Path, *, hard_limit: float = 60, concurrency: int = 4) -> None:
        self.name = name
        self._said = folder / f"{name}.out"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), url, name, str(LEASE), str(hard_limit), str(concurrency)], stdout=said
            )

    @property
    def said(self) -> list[str]:
        return self._said.read_text().splitlines()

    def done(self) -> list[int]:
        return [int(line.split()[1]) for line in self.said if line.startswith("done")]

    def began(self, number: int) -> bool:
        return any(line.startswith(f"began {number} ") for line in self.said)

    def heartbeats(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.cmdline()[-1:] == ["penstock.queues.heartbeat"]]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


StartWorker = Callable[..., Worker]


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    workers: list[Worker] = []
    numbers = itertools.count(1)

    def start_one(**options: float) -> Worker:
        workers.append(Worker(redis_url, f"worker-{next(numbers)}", tmp_path, **options))  # pyright: ignore[reportArgumentType]
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.signal(signal.SIGCONT)
        worker.process.kill()
        worker.process.wait()


@pytest.fixture
async def queues(redis_url: str) -> AsyncIterator[RedisQueues]:
    opened = RedisQueues(QueueSettings(url=SecretStr(redis_url), lease_seconds=LEASE), worker="test")
    await opened.open()
    yield opened
    await opened.close()


async def empty(queues: RedisQueues) -> bool:
    depth = (await queues.depths())[INGEST_QUEUE]
    return depth.waiting == depth.in_flight == 0


async def test_a_message_that_kills_its_workers_takes_no_other_to_the_dead_letters(
    queues: RedisQueues, start: StartWorker, redis_url: str
) -> None:
    """Three deaths beside the poison would have used up the attempts of everything in flight with it."""
    await queues.publish(INGEST_QUEUE, [request(POISON), *(request(n) for n in range(20))])
    workers = [start(), start()]

    async def drained() -> bool:
        for at, worker in enumerate(workers):
            if worker.process.poll() is not None:
                finished.extend(worker.done())
                workers[at] = start()
        return await empty(queues)

    finished: list[int] = []
    await eventually_async(drained, seconds=60)
    finished += [number for worker in workers for number in worker.done()]
    assert set(finished) == set(range(20))
    (dead,) = await queues.dead_letters(INGEST_QUEUE)
    assert (dead.file_id.int, dead.code, dead.attempts) == (POISON, "gave_up", 4)
    assert dead.reason.startswith("The worker died on each of 4 attempts")
    assert redis_command(redis_url, "EXISTS", f"{INGEST_QUEUE}-attempts") == 0, "nothing of the count is left"


async def test_a_library_that_keeps_the_interpreter_does_not_cost_the_lease(
    queues: RedisQueues, start: StartWorker
) -> None:
    """Trap: a visibility timeout shorter than the job, with no heartbeat (Onyx, Celery)."""
    deaf = start()
    await queues.publish(INGEST_QUEUE, [request(DEAF)])
    wait_until(lambda: deaf.began(DEAF))
    other = start()
    await eventually_async(lambda: empty(queues))
    assert deaf.done() == [DEAF]
    assert not other.began(DEAF)


async def test_a_stopped_worker_loses_its_message_and_its_late_verdict_changes_nothing(
    queues: RedisQueues, start: StartWorker
) -> None:
    sleeper, other = start(), start()
    await queues.publish(INGEST_QUEUE, [request(SLEEPER)])
    wait_until(lambda: sleeper.began(SLEEPER) or other.began(SLEEPER))
    sleeper, other = (sleeper, other) if sleeper.began(SLEEPER) else (other, sleeper)
    sleeper.signal(signal.SIGSTOP)
    wait_until(lambda: other.began(SLEEPER), seconds=LEASE + 4, what="takeover")
    await eventually_async(lambda: empty(queues))
    await queues.publish(INGEST_QUEUE, [request(1)])
    await eventually_async(lambda: empty(queues))
    sleeper.signal(signal.SIGCONT)
    wait_until(lambda: SLEEPER in sleeper.done(), what="the late verdict")
    await queues.publish(INGEST_QUEUE, [request(n) for n in range(2, 12)])
    await eventually_async(lambda: empty(queues))
    assert sorted(sleeper.done() + other.done()) == sorted([*range(1, 12), SLEEPER, SLEEPER])
    assert await queues.dead_letters(INGEST_QUEUE) == []


async def test_a_heartbeat_that_is_killed_is_replaced_in_time(queues: RedisQueues, start: StartWorker) -> None:
    worker = start()
    wait_until(worker.heartbeats)
    await queues.publish(INGEST_QUEUE, [request(DEAF)])
    wait_until(lambda: worker.began(DEAF))
    await eventually_async(lambda: empty(queues))
    (beating,) = worker.heartbeats()
    beating.kill()
    wait_until(lambda: [new.pid for new in worker.heartbeats() if new.pid != beating.pid], what="another heartbeat")
    other = start()
    await queues.publish(INGEST_QUEUE, [request(SLEEPER), request(SLEEPER + 1)])
    await eventually_async(lambda: empty(queues))
    done = worker.done() + other.done()
    assert sorted(done) == [DEAF, SLEEPER, SLEEPER + 1]


def test_no_heartbeat_outlives_its_worker(start: StartWorker) -> None:
    worker = start()
    wait_until(worker.heartbeats)
    (beating,) = worker.heartbeats()
    worker.process.kill()
    worker.process.wait()
    wait_until(lambda: not beating.is_running() or beating.status() == psutil.STATUS_ZOMBIE, what="the heartbeat's end")


def test_a_worker_that_stops_ends_its_heartbeat(start: StartWorker) -> None:
    worker = start()
    wait_until(worker.heartbeats)
    (beating,) = worker.heartbeats()
    os.kill(beating.pid, signal.SIGTERM)
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert worker.said[-1] == "stopped"
    assert not beating.is_running()


async def test_a_worker_that_is_deaf_beyond_its_limit_is_killed(queues: RedisQueues, start: StartWorker) -> None:
    """Trap: timeouts without effect (RAGFlow). No timer of its own could end it: the interpreter is taken."""
    stuck = start(hard_limit=0.5)
    await queues.publish(INGEST_QUEUE, [request(STUCK)])
    wait_until(lambda: stuck.began(STUCK))
    assert stuck.process.wait(heartbeat.DEAF_SECONDS + 10) == -signal.SIGKILL


async def test_a_message_that_a_worker_holds_without_knowing_goes_to_another(
    queues: RedisQueues, start: StartWorker, redis_url: str
) -> None:
    """As after Redis was restored from an old copy: the entry is a living worker's, who has long settled it."""
    worker = start()
    wait_until(worker.heartbeats)
    await queues.publish(INGEST_QUEUE, [request(1)])
    await eventually_async(lambda: empty(queues))
    worker.signal(signal.SIGSTOP)
    await queues.publish(INGEST_QUEUE, [request(2)])
    redis_command(redis_url, "XREADGROUP", "GROUP", GROUP, worker.name, "COUNT", "1", "STREAMS", INGEST_QUEUE, ">")
    worker.signal(signal.SIGCONT)
    await eventually_async(lambda: empty(queues))
    assert worker.done() == [1, 2]


async def test_a_message_that_is_deleted_while_it_is_held_is_let_go(
    queues: RedisQueues, start: StartWorker, redis_url: str
) -> None:
    """Redis 6.2 would hand it out as nothing, again and again, and hold up what comes behind it."""
    redis_command(redis_url, "XADD", INGEST_QUEUE, "1-1", "field", "value")
    redis_command(redis_url, "XREADGROUP", "GROUP", GROUP, "somebody", "STREAMS", INGEST_QUEUE, ">")
    redis_command(redis_url, "XDEL", INGEST_QUEUE, "1-1")
    start()
    await eventually_async(lambda: empty(queues))

    async def forgotten() -> bool:
        return redis_command(redis_url, "XPENDING", INGEST_QUEUE, GROUP)["pending"] == 0

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
    worker = Worker(url, "worker", tmp_path)
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
    frozen = Frozen(5, clock=lambda: now)
    for second in range(20):
        now = float(second)
        found = frozen.look(["1-1", "2-2"] if second % 4 else ["1-1"])
        assert found == ([] if second < 5 else ["1-1"]), second


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
