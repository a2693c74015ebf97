"""A model of the File's life, on real PostgreSQL, files and parser children.

Hypothesis hands Files in, reads them anew, deletes them, delivers their messages now, twice, in any order or never,
lets steps die between durable operations, empties the queues and replays dead letters. Whatever it does, search sees
whole generations only; and once everything that waits is delivered, each File is `complete`, or `failed` for the
reason its content gives, with exactly the Chunks and vectors of an undisturbed run.

HYPOTHESIS_EXAMPLES=500 looks longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pipeline_services import ListedQueues, Pipeline, open_pipeline

from penstock import failpoints
from penstock.errors import NotFound
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, DeadLetter, EmbedRequest, FileStatus, IngestRequest, Message
from penstock.pipeline.change import delete, reingest
from penstock.pipeline.recover import recover
from penstock.pipeline.replay import replay
from penstock.pipeline.sweep import sweep
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Bury, Delivery, Done
from penstock.workers.attempt import Attempts
from penstock.workers.outage import Outage

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "30"))
MOST_ROUNDS = 20
T = TypeVar("T")


def prose(paragraphs: int) -> str:
    return "\n\n".join(f"Paragraph {n} tells of weir {n} and its {n % 7} gates. " * 15 for n in range(paragraphs))


CONTENTS = {
    "short": ("One gate.", FileStatus.COMPLETE, None),
    "several chunks": (prose(6), FileStatus.COMPLETE, None),
    "several messages": (prose(90), FileStatus.COMPLETE, None),
    "no text": (" ", FileStatus.FAILED, "no_text"),
    "one chunk refused": (prose(2) + "\n\nPOISON. " * 40 + prose(2), FileStatus.FAILED, "embedding_refused"),
}


class Crash(BaseException):
    """A process that dies: nothing that catches errors catches it."""


class ModelQueues(ListedQueues):
    """Queues with dead letters."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: dict[str, DeadLetter] = {}

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return self.letters.get(dead_letter_id)

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return self.letters.pop(dead_letter_id, None)

    def bury(self, queue: str, message: Message, verdict: Bury) -> None:
        now, letter_id = datetime.now(UTC), str(uuid4())
        self.letters[letter_id] = DeadLetter(
            dead_letter_id=letter_id,
            queue=queue,
            file_id=message.file_id,
            code=verdict.code,
            reason=verdict.reason,
            attempts=1,
            worker="model",
            first_at=now,
            last_at=now,
            message=message.model_dump(mode="json"),
        )


class World:
    """The pipeline, shared by all examples, and what an undisturbed run makes of each content."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.pipeline: Pipeline = self.run(
            self._stack.enter_async_context(open_pipeline(database_url, redis_url, folder, "fake://384?refuse=POISON"))
        )
        self.queues = ModelQueues()
        self.pipeline.asked = self.queues
        self.expected = {name: self._undisturbed(name) for name in CONTENTS}

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()

    def _undisturbed(self, name: str) -> list[tuple[object, ...]]:
        file = self.run(self.pipeline.submit(CONTENTS[name][0]))
        self.run(self.settle())
        rows = self.rows_of(file.file_id)
        self.clear()
        return rows

    def clear(self) -> None:
        for file_id, *_ in self.values(b"select file_id from files"):
            self.run(delete(UUID(str(file_id)), database=self.database, store=self.pipeline.services.store))
        self.queues.messages.clear()
        self.queues.letters.clear()
        self.values(b"update unclaimed_objects set due_at = now() - interval '1 s' returning 1")
        self.run(sweep(database=self.database, store=self.pipeline.services.store))

    @property
    def database(self) -> Any:
        return self.pipeline.services.database

    def values(self, query: bytes, *parameters: object) -> list[tuple[object, ...]]:
        return self.run(self.pipeline.values(query, *parameters))

    def rows_of(self, file_id: UUID) -> list[tuple[object, ...]]:
        return self.values(
            b"select c.index, c.text, c.char_start, e.embedding::text from files f join chunks c using (file_id)"
            b" left join embeddings e using (chunk_id)"
            b" where f.file_id = %s and c.generation = f.active_generation order by c.index",
            file_id,
        )

    async def deliver(self, queue: str, message: Message) -> None:
        """What a Worker does with a message."""
        step = self._ingest if queue == INGEST_QUEUE else self._embed
        attempts = Attempts(step, RetryPolicy(max_attempts=1), self.database, Outage(asyncio.Event()), 60)
        verdict = await attempts(Delivery(queue, message, 1, datetime.now(UTC), "model"))
        if isinstance(verdict, Bury):
            self.queues.bury(queue, message, verdict)
        else:
            assert verdict == Done(), verdict

    async def _ingest(self, message: Message) -> None:
        await self.pipeline.ingest(IngestRequest.model_validate(message.model_dump()))

    async def _embed(self, message: Message) -> None:
        await self.pipeline.embed(EmbedRequest.model_validate(message.model_dump()))

    async def let_time_pass(self) -> None:
        async with self.database.transaction() as rows:
            await rows.execute("update files set announced_at = announced_at - interval '1 minute'")

    async def settle(self) -> None:
        """Deliver everything, and what that asks for, until nothing is left that asks for anything."""
        for _ in range(MOST_ROUNDS):
            await self.let_time_pass()
            lost = await recover(database=self.database, queues=self.queues)
            sent = await self.pipeline.dispatch()
            if not (lost or sent or any(self.queues.messages.values())):
                return
            for queue in (INGEST_QUEUE, EMBEDDING_QUEUE):
                while message := self.queues.take(queue):
                    await self.deliver(queue, message)
        raise AssertionError("it never comes to rest")


def machine_in(world: World) -> type[RuleBasedStateMachine]:  # noqa: C901  # a class that closes over the world
    class LifeOfAFile(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            world.clear()
            self.contents: dict[UUID, str] = {}

        @rule(content=st.sampled_from(sorted(CONTENTS)), together=st.booleans())
        def submit(self, content: str, *, together: bool) -> None:
            batch = UUID(int=1) if together else uuid4()
            file = world.run(world.pipeline.submit(CONTENTS[content][0], batch=batch))
            self.contents[file.file_id] = content

        @precondition(lambda self: self.contents)
        @rule(data=st.data())
        def read_anew(self, data: st.DataObject) -> None:
            file_id = data.draw(st.sampled_from(list(self.contents)))
            world.run(reingest(file_id, database=world.database, dispatcher=world.pipeline.dispatcher))

        @precondition(lambda self: self.contents)
        @rule(data=st.data())
        def delete(self, data: st.DataObject) -> None:
            file_id = data.draw(st.sampled_from(list(self.contents)))
            world.run(delete(file_id, database=world.database, store=world.pipeline.services.store))
            del self.contents[file_id]
            with pytest.raises(NotFound):
                world.run(delete(file_id, database=world.database, store=world.pipeline.services.store))

        @precondition(lambda _: any(world.queues.messages.values()))
        @rule(data=st.data(), again=st.booleans())
        def deliver(self, data: st.DataObject, *, again: bool) -> None:
            queue, at = self._choose(data)
            message = world.queues.messages[queue][at]
            if not again:
                del world.queues.messages[queue][at]
            world.run(world.deliver(queue, message))

        @precondition(lambda _: any(world.queues.messages.values()))
        @rule(data=st.data(), point=st.integers(0, 6))
        def deliver_to_a_worker_that_dies(self, data: st.DataObject, point: int) -> None:
            queue, at = self._choose(data)
            self._die_at(point, world.deliver(queue, world.queues.messages[queue][at]))

        @rule(point=st.integers(0, 3))
        def dispatch_and_die(self, point: int) -> None:
            self._die_at(point, world.pipeline.dispatch())

        @rule()
        def dispatch(self) -> None:
            world.run(world.pipeline.dispatch())

        @precondition(lambda _: any(world.queues.messages.values()))
        @rule(data=st.data())
        def lose_a_message(self, data: st.DataObject) -> None:
            queue, at = self._choose(data)
            del world.queues.messages[queue][at]

        @rule()
        def flush(self) -> None:
            world.queues.messages.clear()
            world.queues.letters.clear()

        @rule()
        def recover(self) -> None:
            world.run(world.let_time_pass())
            world.run(recover(database=world.database, queues=world.queues))

        @precondition(lambda _: bool(world.queues.letters))
        @rule(data=st.data())
        def replay(self, data: st.DataObject) -> None:
            letter = world.queues.letters[data.draw(st.sampled_from(list(world.queues.letters)))]
            world.run(replay(letter.queue, letter.dead_letter_id, database=world.database, queues=world.queues))

        def _choose(self, data: st.DataObject) -> tuple[str, int]:
            filled = sorted(queue for queue, messages in world.queues.messages.items() if messages)
            queue = data.draw(st.sampled_from(filled))
            return queue, data.draw(st.integers(0, len(world.queues.messages[queue]) - 1))

        def _die_at(self, point: int, work: Coroutine[Any, Any, object]) -> None:
            left = iter(range(point))

            def die(_: str) -> None:
                if next(left, None) is None:
                    raise Crash

            failpoints.at_point = die
            try:
                world.run(work)
            except Crash:
                pass
            finally:
                failpoints.at_point = None

        @invariant()
        def search_sees_whole_generations_only(self) -> None:
            halves = world.values(
                b"select f.file_id from files f join chunks c on c.file_id = f.file_id"
                b" and c.generation = f.active_generation"
                b" left join embeddings e using (chunk_id) where e.chunk_id is null"
            )
            assert halves == []
            for file_id, content in self.contents.items():
                assert world.rows_of(file_id) in ([], world.expected[content])

        @invariant()
        def counts_are_true(self) -> None:
            wrong = world.values(
                b"select f.file_id, f.status from files f"
                b" cross join lateral (select count(*) as chunks, count(e.chunk_id) as vectors from chunks c"
                b" left join embeddings e using (chunk_id)"
                b" where c.file_id = f.file_id and c.generation = f.generation) found"
                b" where f.status in ('embedding', 'complete')"
                b" and (f.chunk_count, f.embedded_count) <> (found.chunks, found.vectors)"
            )
            assert wrong == []

        def teardown(self) -> None:
            world.run(world.settle())
            for file_id, content in self.contents.items():
                file = world.run(world.pipeline.file(file_id))
                _, status, code = CONTENTS[content]
                assert (file.status, file.error and file.error.code) == (status, code), content
                assert world.rows_of(file_id) == world.expected[content]
            ids = {UUID(str(file_id)) for (file_id,) in world.values(b"select file_id from files")}
            assert ids == set(self.contents)
            assert all(not messages for messages in world.queues.messages.values())
            world.clear()
            assert world.values(b"select chunk_id from chunks") == []
            assert [path for path in world.pipeline.objects_folder.rglob("*") if path.is_file()] == []

    return LifeOfAFile


def test_whatever_happens_each_file_ends_as_an_undisturbed_run_ends_it(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    world = World(migrated_url, redis_url, tmp_path)
    try:
        run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]  # its settings are typed not at all
            machine_in(world),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=40,
                deadline=None,
                derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
    finally:
        world.close()
