"""One Worker's consumption of one queue on SQS: take, work, settle, and give back at the end.

A Worker takes no more than it can begin at once, so that everything it was handed is being worked on, and SQS' own
count of receives is that of attempts. What was handed out before and not settled is a *suspect*: its worker may have
died of it. A suspect is worked on alone; others that came with it are given back first, so that no death but their
own is counted against them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.models import MESSAGE_TYPES, Message
from penstock.queues.keeper import Keeper
from penstock.queues.port import Bury, Delivery, Done, Handler, Retry, Verdict, dead_letters_of
from penstock.queues.sqs_letters import letter_of
from penstock.queues.sqs_messages import Received
from penstock.queues.sqs_wire import Wire
from penstock.queues.waiting import wait
from penstock.tasks import beside, cancel

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
"""Before SQS is asked again after it did not answer, and between two tries to tell it what it has not heard."""
MOST_DELAY = 900
"""Seconds; SQS hides a new message no longer."""


@dataclass(slots=True)
class SqsSession:
    """Consumes one queue until it is told to stop."""

    wire: Wire
    queue: str
    worker: str
    keeper: Keeper
    handler: Handler
    concurrency: int
    hard_limit: float
    drain_seconds: float
    lease: int
    poll: int
    """Both in whole seconds: SQS knows no others."""
    count_loss: Callable[[], None]
    """Called for each lease that is found lost when its message is settled."""
    _working: dict[asyncio.Task[None], Received] = field(default_factory=dict[asyncio.Task[None], Received])
    _unsettled: dict[str, Callable[[], Awaitable[object]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[object]]]
    )
    """By handle, what SQS could not be told."""
    _poll: asyncio.Task[list[Received]] | None = None
    """A long poll that is under way. It cannot be taken back: what it brings is ours."""
    _away: bool = False

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when everything is settled or given back."""
        async with self.keeper.running(), beside(self._settle_again()):
            try:
                await self._take(stop)
                if self._working:
                    await asyncio.wait(self._working, timeout=self.drain_seconds)
            finally:
                await self._end()

    async def _take(self, stop: asyncio.Event) -> None:
        careful = False
        while not stop.is_set():
            free = self.concurrency - len(self._working)
            if free <= 0:
                await self._until_one_ends(stop)
                continue
            # After a suspect one by one: the others of its worker come next, and each is to be worked on alone.
            received = await self._receive(1 if careful else free, stop)
            suspects = [message for message in received if message.suspect]
            for message in received:
                if not message.suspect:
                    self._begin(message)
            careful = bool(suspects)
            if suspects:
                await self._give_back(suspects[1:])
                await self._work_alone(suspects[0], stop)

    async def _receive(self, most: int, stop: asyncio.Event) -> list[Received]:
        """What there is; nothing when it is time to stop, or while SQS is away."""
        poll = asyncio.create_task(self.wire.receive(self.queue, most, lease=self.lease, poll=self.poll))
        self._poll = poll
        await self._until(stop, poll)
        if stop.is_set():
            return []  # what it brings is given back at the end
        self._poll = None
        try:
            received = poll.result()
        except ServiceUnavailable as error:
            if not self._away:
                log.warning("queue is away; waiting for it", queue=self.queue, error=error.message)
            self._away = True
            await wait(stop, PAUSE_SECONDS)
            return []
        self._away = False
        return received

    def _begin(self, received: Received) -> None:
        task = asyncio.create_task(self._work(received))
        self._working[task] = received
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        received = self._working.pop(task, None)
        if received is not None and not task.cancelled() and (error := task.exception()):
            # Handlers raise nothing. Whatever it was, the lease runs out and the message comes back.
            log.warning("message not settled", queue=self.queue, message_id=received.message_id, error=str(error))

    async def _work_alone(self, suspect: Received, stop: asyncio.Event) -> None:
        """When those at work are done, and nothing is taken meanwhile."""
        self.keeper.hold(suspect.handle, 2 * self.hard_limit)
        while self._working and not stop.is_set():
            await self._until_one_ends(stop)
        if stop.is_set():
            self.keeper.release(suspect.handle)
            await self._give_back([suspect])
            return
        log.warning(
            "its worker died of this message or of another: tried alone",
            queue=self.queue,
            message_id=suspect.message_id,
            attempt=suspect.attempt,
        )
        self._begin(suspect)
        await self._until_one_ends(stop)

    async def _until_one_ends(self, stop: asyncio.Event) -> None:
        await self._until(stop, *self._working)

    async def _until(self, stop: asyncio.Event, *tasks: asyncio.Task[Any]) -> None:
        """Until one of them ends or it is time to stop."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()

    async def _work(self, received: Received) -> None:
        self.keeper.hold(received.handle, self.hard_limit)
        try:
            message = MESSAGE_TYPES[self.queue].model_validate_json(received.body)
        except ValidationError as error:
            verdict = self._refusal(received, error)
        else:
            verdict = await self.handler(self._delivery(received, message))
        finally:
            self.keeper.release(received.handle)
        await self._settle(received, verdict)

    def _delivery(self, received: Received, message: Message) -> Delivery:
        return Delivery(
            queue=self.queue,
            message=message,
            attempt=received.attempt,
            published_at=received.published_at,
            worker=self.worker,
            traceparent=received.traceparent,
        )

    def _refusal(self, received: Received, error: ValidationError) -> Bury:
        """A message that is not one of ours would come back for ever: keep it where a person sees it."""
        problem = f"Not a message of this queue: {' '.join(str(error).split())}"
        log.error("message cannot be read", queue=self.queue, message_id=received.message_id, problem=problem)
        return Bury("invalid_message", problem)

    async def _settle(self, received: Received, verdict: Verdict) -> None:
        """Obey, or do so when SQS is back. Until then its lease may run out, and the message goes to another."""
        try:
            await self._obey(received, verdict)
        except ServiceUnavailable as error:
            log.warning("message not settled yet", queue=self.queue, message_id=received.message_id, error=str(error))
            self._unsettled[received.handle] = partial(self._settle, received, verdict)

    async def _settle_again(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self._settle_rest()

    async def _settle_rest(self) -> None:
        for handle, settle in list(self._unsettled.items()):
            del self._unsettled[handle]
            await settle()

    async def _obey(self, received: Received, verdict: Verdict) -> None:
        if isinstance(verdict, Done):
            # Also when the lease was lost meanwhile: the work is committed, nobody needs to do it again.
            await self._forget(received)
        elif await self.wire.renew(self.queue, [received.handle], self.lease):
            self.count_loss()
            log.warning(
                "lease was lost; the message is another worker's", queue=self.queue, message=received.message_id
            )
        elif isinstance(verdict, Retry):
            await self._try_again(received, counts=verdict.burns_attempt, delay=verdict.delay)
        else:
            await self._bury(received, verdict)

    async def _try_again(self, received: Received, *, counts: bool, delay: float = 0) -> None:
        copy = received.copy(counts=counts, delay=min(MOST_DELAY, math.ceil(delay)))
        await self.wire.send(self.queue, [copy])
        reach("queue.message_given_back")
        await self._forget(received)

    async def _bury(self, received: Received, verdict: Bury) -> None:
        await self.wire.send(dead_letters_of(self.queue), [letter_of(received, verdict, worker=self.worker)])
        reach("queue.message_buried")
        await self._forget(received)

    async def _forget(self, received: Received) -> None:
        """Not told so, SQS hands the message out again, beside its copy or its letter: the work is repeated."""
        try:
            await self.wire.delete(self.queue, received.handle)
            reach("queue.message_acknowledged")
        except ServiceUnavailable:
            self._unsettled[received.handle] = partial(self._forget, received)

    async def _give_back(self, messages: Sequence[Received]) -> None:
        """To whoever is free, without burning an attempt."""
        for received in messages:
            try:
                await self._try_again(received, counts=False)
                reach("queue.all_given_back")
            except ServiceUnavailable as error:  # its lease runs out, and it comes back as a suspect
                log.warning(
                    "message not given back", queue=self.queue, message_id=received.message_id, error=str(error)
                )

    async def _end(self) -> None:
        """Stop what is still at work, and give back what is not settled."""
        unfinished = dict(self._working)
        for task in unfinished:
            await _end_task(task)
        await self._give_back(list(unfinished.values()))
        await self._settle_rest()
        if self._poll is not None:
            with suppress(ServiceUnavailable):  # then it brings nothing
                await self._give_back(await self._poll)


async def _end_task(task: asyncio.Task[None]) -> None:
    """Cancel it; what it raised, `_ended` has told."""
    with suppress(Exception):
        await cancel(task)
