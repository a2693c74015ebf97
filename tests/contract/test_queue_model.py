"""A model of the queue port, on real servers: hypothesis publishes, works, lets workers die and empties the server.

Each message comes with what its handlers will do, attempt by attempt. Whatever the order: every message is delivered
until its last verdict, with the right count of attempts; one whose worker died is alone; what is done is gone, what is
given up on is a dead letter with its count; only an emptied server loses anything.

HYPOTHESIS_EXAMPLES=200 looks longer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, cast

import nats_server_of_tests as nats_of_tests
import pytest
import sqs_cut_off
from cut_off import end_as_a_killed_process_does
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from queue_contract import HARD_LIMIT, request
from queue_worker import open_at
from real_servers import RunningServer, forget_all, redis_command

from penstock.models import INGEST_QUEUE, QueueDepth
from penstock.queues.nats import NatsQueues
from penstock.queues.port import Bury, Delivery, Done, Queues, Retry, Verdict
from penstock.queues.redis import RedisQueues
from penstock.queues.sqs import SqsQueues

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 30.0


class Act(Enum):
    """What one attempt at a message does."""

    RETRY = "retry"
    FREE = "a retry that counts as no attempt"
    DIE = "kills its worker"
    DONE = "done"
    BURY = "bury"


@dataclass
class Told:
    """A message and what the model knows of it."""

    acts: list[Act]
    attempts: int = 0
    """That began and count."""
    suspect: bool = False
    unlucky: int = 0
    """Deaths of workers that may have had it in their hands without having begun: where the broker cannot tell them
    apart, each may count as an attempt."""


@dataclass
class Model:
    """All messages that are not settled, and the dead letters."""

    messages: dict[int, Told] = field(default_factory=dict[int, Told])
    letters: dict[int, int] = field(default_factory=dict[int, int])
    """Attempts of the dead letters by number."""
    at_work: set[int] = field(default_factory=set[int])
    flaws: list[str] = field(default_factory=list[str])
    died: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, delivery: Delivery) -> Verdict:
        number = delivery.message.file_id.int
        told = self.messages.get(number)
        if told is None:
            self.flaws.append(f"{number} was settled, and is delivered again")
            return Done()
        told.attempts += 1
        if not told.attempts <= delivery.attempt <= told.attempts + told.unlucky:
            self.flaws.append(f"{number} is delivered as attempt {delivery.attempt}, which is {told.attempts}")
        told.unlucky -= delivery.attempt - told.attempts
        told.attempts = delivery.attempt
        if told.suspect and self.at_work:
            self.flaws.append(f"{number} is a suspect and not alone: {self.at_work}")
        if any(self.messages[other].suspect for other in self.at_work):
            self.flaws.append(f"{number} begins beside a suspect")
        self.at_work.add(number)
        await asyncio.sleep(0.01)
        return await self._end(number, told)

    async def _end(self, number: int, told: Told) -> Verdict:
        act = told.acts[0]
        if act is Act.DIE:
            told.acts.pop(0)
            self.died.set()
        if self.died.is_set():
            await asyncio.get_running_loop().create_future()  # the process is dead: no handler of it goes on
        told.acts.pop(0)
        self.at_work.discard(number)
        told.suspect = False
        if act is Act.FREE:
            told.attempts -= 1
            return Retry(0.0, burns_attempt=False)
        if act is Act.RETRY:
            return Retry(0.0)
        del self.messages[number]
        if act is Act.BURY:
            self.letters[number] = told.attempts
            return Bury("gave_up", "as it was told")
        return Done()

    def bury_the_worker(self, *, exact: bool) -> None:
        """Whatever was at work ended without a word."""
        if not exact:
            for number in self.messages.keys() - self.at_work:
                self.messages[number].unlucky += 1
        for number in self.at_work:
            self.messages[number].suspect = True
        self.at_work.clear()
        self.died.clear()


class Broker(Protocol):
    """What the model does to one, beyond the port."""

    url: str
    lease: float
    exact: bool
    """Whether it tells what a worker had begun from what it only had in its hands."""
    tells_files: bool

    async def empty(self) -> None: ...

    async def kill(self, queues: Queues, consuming: asyncio.Task[None]) -> None:
        """End a worker as a killed process does, when everything that handlers have returned is settled."""
        ...

    async def assert_nothing_is_left(self) -> None: ...


@dataclass
class RedisBroker:
    url: str
    lease: float = 1.0
    exact: bool = True
    tells_files: bool = True

    async def empty(self) -> None:
        redis_command(self.url, "FLUSHALL")

    async def kill(self, queues: Queues, consuming: asyncio.Task[None]) -> None:
        await end_as_a_killed_process_does(cast("RedisQueues", queues), consuming)

    async def assert_nothing_is_left(self) -> None:
        assert redis_command(self.url, "EXISTS", f"{INGEST_QUEUE}-attempts") == 0


@dataclass
class SqsBroker:
    url: str
    server: str
    lease: float = 2.0
    exact: bool = False
    tells_files: bool = False

    async def empty(self) -> None:
        forget_all(self.server)

    async def kill(self, queues: Queues, consuming: asyncio.Task[None]) -> None:
        await sqs_cut_off.until_settled()
        await sqs_cut_off.end_as_a_killed_process_does(cast("SqsQueues", queues), consuming)

    async def assert_nothing_is_left(self) -> None:
        """It keeps nothing beside its messages."""


@dataclass
class NatsBroker:
    url: str
    lease: float = 1.0
    exact: bool = True
    tells_files: bool = True

    async def empty(self) -> None:
        await nats_of_tests.forget_streams(self.url)

    async def kill(self, queues: Queues, consuming: asyncio.Task[None]) -> None:
        await nats_of_tests.until_settled()
        await nats_of_tests.end_as_a_killed_process_does(cast("NatsQueues", queues), consuming)

    async def assert_nothing_is_left(self) -> None:
        assert await nats_of_tests.ledger_entries(self.url, INGEST_QUEUE) == 0


class Machine(RuleBasedStateMachine):
    broker: Broker
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.runner.run(self.broker.empty())
        self.numbers = itertools.count(1)
        self.workers = itertools.count(1)
        self.model = Model()
        self.observer = self._open("observer")

    def _open(self, worker: str) -> Queues:
        # The handlers of a dead worker never return: it is no use to wait for them.
        return self.runner.run(open_at(self.broker.url, worker, self.broker.lease, drain_seconds=1))

    @rule(
        plans=st.lists(
            st.tuples(
                st.lists(st.sampled_from([Act.RETRY, Act.FREE, Act.DIE]), max_size=2),
                st.sampled_from([Act.DONE, Act.BURY]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def publish(self, plans: list[tuple[list[Act], Act]]) -> None:
        new = {next(self.numbers): Told([*before, last]) for before, last in plans}
        self.model.messages |= new
        self.runner.run(self.observer.publish(INGEST_QUEUE, [request(number) for number in new]))

    @rule(concurrency=st.integers(1, 4))
    def work(self, concurrency: int) -> None:
        """A worker works until it dies or nothing is left."""
        worker = self._open(f"worker-{next(self.workers)}")
        self.runner.run(self._work(worker, concurrency))

    async def _work(self, worker: Queues, concurrency: int) -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(
            worker.consume(INGEST_QUEUE, self.model.handle, concurrency=concurrency, hard_limit=HARD_LIMIT, stop=stop)
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.model.messages and not self.model.died.is_set():
                await asyncio.sleep(0.01)
        if self.model.died.is_set():
            await self.broker.kill(worker, task)
            await worker.close()
            self.model.bury_the_worker(exact=self.broker.exact)
        else:
            stop.set()
            await task
            await worker.close()

    @rule()
    def flush(self) -> None:
        self.runner.run(self.broker.empty())
        self.runner.run(self.observer.close())
        self.observer = self._open("observer")
        self.model.messages.clear()
        self.model.letters.clear()

    @rule()
    def drop_a_letter(self) -> None:
        for letter in self.runner.run(self.observer.dead_letters(INGEST_QUEUE, limit=1)):
            assert self.runner.run(self.observer.drop(INGEST_QUEUE, letter.dead_letter_id)) == letter
            del self.model.letters[letter.file_id.int]

    def depth(self) -> QueueDepth:
        return self.runner.run(self.observer.depths())[INGEST_QUEUE]

    @invariant()
    def nothing_is_lost_and_nothing_is_twice(self) -> None:
        assert self.model.flaws == []
        depth = self.depth()
        assert depth.waiting + depth.in_flight == len(self.model.messages)
        if self.broker.tells_files:
            files = self.runner.run(self.observer.files_on(INGEST_QUEUE))
            assert files == {request(number).file_id for number in self.model.messages}
        letters = self.runner.run(self.observer.dead_letters(INGEST_QUEUE))
        assert {letter.file_id.int: letter.attempts for letter in letters} == self.model.letters

    def teardown(self) -> None:
        while self.model.messages:
            self.work(3)
        self.nothing_is_lost_and_nothing_is_twice()
        self.runner.run(self.broker.assert_nothing_is_left())
        self.runner.run(self.observer.close())


def test_whatever_happens_each_message_is_worked_on_until_its_last_verdict(redis_url: str) -> None:
    run_the_model(RedisBroker(redis_url), examples=10, steps=8)


def test_on_sqs_too(sqs_url: str, aws_server: RunningServer) -> None:
    """Fewer examples: a look at its dead letters takes a second."""
    run_the_model(SqsBroker(sqs_url, aws_server.url), examples=2, steps=5)


def test_on_nats_too(nats_url: str) -> None:
    run_the_model(NatsBroker(nats_url), examples=5, steps=8)


def run_the_model(broker: Broker, *, examples: int, steps: int) -> None:
    with asyncio.Runner() as runner:
        machine = type("QueueModel", (Machine,), {"broker": broker, "runner": runner})
        run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]  # its settings are typed not at all
            machine,
            settings=settings(
                max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", examples)),
                stateful_step_count=steps,
                deadline=None,
                derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
