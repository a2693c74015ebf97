"""Leases, attempts and takeover, of real processes that are killed, stopped and made deaf: the same on every broker.

Inherit `WorkerProcessesContract` and say where the queues are, `queue_url`.
"""

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
from queue_contract import eventually_async, request
from queue_worker import DEAF, POISON, SLEEPER, STUCK, open_at
from real_servers import command_of, wait_until

from penstock.models import INGEST_QUEUE
from penstock.queues import heartbeat
from penstock.queues.port import Queues

SCRIPT = Path(__file__).parent / "queue_worker.py"


class Worker:
    """A worker process and what it has said."""

    def __init__(
        self, url: str, name: str, folder: Path, *, lease: float, hard_limit: float = 60, concurrency: int = 4
    ) -> None:
        self.name = name
        self._said = folder / f"{name}.out"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), url, name, str(lease), str(hard_limit), str(concurrency)], stdout=said
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
        return [child for child in children if "".join(command_of(child)[-1:]).endswith("_heartbeat")]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


StartWorker = Callable[..., Worker]


async def empty(queues: Queues) -> bool:
    depth = (await queues.depths())[INGEST_QUEUE]
    return depth.waiting == depth.in_flight == 0


class WorkerProcessesContract:
    lease = 1.0

    @pytest.fixture
    def queue_url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    async def queues(self, queue_url: str) -> AsyncIterator[Queues]:
        opened = await open_at(queue_url, "test", self.lease)
        yield opened
        await opened.close()

    @pytest.fixture
    def start(self, queue_url: str, tmp_path: Path) -> Iterator[StartWorker]:
        workers: list[Worker] = []
        numbers = itertools.count(1)

        def start_one(**options: float) -> Worker:
            name = f"worker-{next(numbers)}"
            workers.append(Worker(queue_url, name, tmp_path, lease=self.lease, **options))  # pyright: ignore[reportArgumentType]
            return workers[-1]

        yield start_one
        for worker in workers:
            worker.signal(signal.SIGCONT)
            worker.process.kill()
            worker.process.wait()

    async def test_a_message_that_kills_its_workers_takes_no_other_to_the_dead_letters(
        self, queues: Queues, start: StartWorker, queue_url: str
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
        await eventually_async(drained, seconds=90)
        finished += [number for worker in workers for number in worker.done()]
        assert set(finished) == set(range(20))
        (dead,) = await queues.dead_letters(INGEST_QUEUE)
        assert (dead.file_id.int, dead.code, dead.attempts) == (POISON, "gave_up", 4)
        assert dead.reason.startswith("The worker died on each of 4 attempts")
        await self.nothing_is_left(queue_url)

    async def nothing_is_left(self, queue_url: str) -> None:
        """Of what the broker's own part keeps beside its messages."""

    async def test_a_library_that_keeps_the_interpreter_does_not_cost_the_lease(
        self, queues: Queues, start: StartWorker
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
        self, queues: Queues, start: StartWorker
    ) -> None:
        sleeper, other = start(), start()
        await queues.publish(INGEST_QUEUE, [request(SLEEPER)])
        wait_until(lambda: sleeper.began(SLEEPER) or other.began(SLEEPER))
        sleeper, other = (sleeper, other) if sleeper.began(SLEEPER) else (other, sleeper)
        sleeper.signal(signal.SIGSTOP)
        wait_until(lambda: other.began(SLEEPER), seconds=self.lease + 4, what="takeover")
        await eventually_async(lambda: empty(queues))
        await queues.publish(INGEST_QUEUE, [request(1)])
        await eventually_async(lambda: empty(queues))
        sleeper.signal(signal.SIGCONT)
        wait_until(lambda: SLEEPER in sleeper.done(), what="the late verdict")
        await queues.publish(INGEST_QUEUE, [request(n) for n in range(2, 12)])
        await eventually_async(lambda: empty(queues))
        assert sorted(sleeper.done() + other.done()) == sorted([*range(1, 12), SLEEPER, SLEEPER])
        assert await queues.dead_letters(INGEST_QUEUE) == []

    async def test_a_heartbeat_that_is_killed_is_replaced_in_time(self, queues: Queues, start: StartWorker) -> None:
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

    def test_no_heartbeat_outlives_its_worker(self, start: StartWorker) -> None:
        worker = start()
        wait_until(worker.heartbeats)
        (beating,) = worker.heartbeats()
        worker.process.kill()
        worker.process.wait()
        wait_until(
            lambda: not beating.is_running() or beating.status() == psutil.STATUS_ZOMBIE, what="the heartbeat's end"
        )

    def test_a_worker_that_stops_ends_its_heartbeat(self, start: StartWorker) -> None:
        worker = start()
        wait_until(worker.heartbeats)
        (beating,) = worker.heartbeats()
        os.kill(beating.pid, signal.SIGTERM)
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0
        assert worker.said[-1] == "stopped"
        assert not beating.is_running()

    async def test_a_worker_that_is_deaf_beyond_its_limit_is_killed(self, queues: Queues, start: StartWorker) -> None:
        """Trap: timeouts without effect (RAGFlow). No timer of its own could end it: the interpreter is taken."""
        stuck = start(hard_limit=0.5)
        await queues.publish(INGEST_QUEUE, [request(STUCK)])
        wait_until(lambda: stuck.began(STUCK))
        assert stuck.process.wait(heartbeat.DEAF_SECONDS + 10) == -signal.SIGKILL
