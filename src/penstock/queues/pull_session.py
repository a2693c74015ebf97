"""One Worker's consumption of one queue, on a broker that is asked for messages: take, work, settle, give back.

A Worker takes no more than it can begin at once, so that everything it was handed is being worked on. A message whose
last attempt ended without a word is a *suspect*: its worker may have died of it. A suspect is worked on alone; others
that came with it are given back first, so that no death but their own is counted against them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from penstock.errors import ServiceUnavailable
from penstock.models import MESSAGE_TYPES, Message
from penstock.queues.keeper import Keeper
from penstock.queues.port import Bury, Delivery, Handler, Verdict
from penstock.queues.waiting import wait
from penstock.tasks import beside, cancel

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
"""Before a broker is asked again after it did not answer, and between two tries to tell it what it has not heard."""


class Taken(Protocol):
    """A message in our hands, until its lease ends."""

    @property
    def message_id(self) -> str: ...

    @property
    def handle(self) -> str:
        """What renews its lease and settles it: another one each time it is handed out."""
        ...

    @property
    def body(self) -> str | bytes: ...

    @property
    def attempt(self) -> int:
        """This one's number, from 1."""
        ...

    @property
    def suspect(self) -> bool:
        """Whether an attempt before ended without a word: this one has to be made alone."""
        ...

    @property
    def published_at(self) -> datetime: ...

    @property
    def traceparent(self) -> str | None:
        """The context of its trace."""
        ...


M = TypeVar("M", bound=Taken)


@dataclass(slots=True, kw_only=True)
class PullSession(ABC, Generic[M]):
    """Consumes one queue until it is told to stop. A broker says how it is asked, obeyed and given back to."""

    queue: str
    worker: str
    keeper: Keeper
    handler: Handler
    concurrency: int
    hard_limit: float
    drain_seconds: float
    count_loss: Callable[[], None]
    """Called for each lease that is found lost when its message is settled."""
    _working: dict[asyncio.Task[None], M] = field(default_factory=dict[asyncio.Task[None], M])
    _unsettled: dict[str, Callable[[], Awaitable[object]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[object]]]
    )
    """By handle, what the broker could not be told."""
    _away: bool = False

    @abstractmethod
    async def _ask(self, most: int, stop: asyncio.Event) -> Sequence[M]:
        """Wait a while for messages, at most so many, or until `stop`. Raises `ServiceUnavailable`."""

    @abstractmethod
    async def _alone(self, suspect: M) -> M | None:
        """The suspect, whose attempt begins now; None where it is another's meanwhile, or gone."""

    @abstractmethod
    async def _obey(self, received: M, verdict: Verdict) -> None:
        """Do as the verdict says. May be called again. Raises `ServiceUnavailable`."""

    @abstractmethod
    async def _give_back(self, messages: Sequence[M]) -> None:
        """To whoever is free, without burning an attempt. Raises nothing: else their leases run out."""

    @abstractmethod
    async def _finish(self) -> None:
        """Give back what comes late, when all else is done."""

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

    async def _receive(self, most: int, stop: asyncio.Event) -> Sequence[M]:
        """What there is; nothing when it is time to stop, or while the broker is away."""
        try:
            received = await self._ask(most, stop)
        except ServiceUnavailable as error:
            if not self._away:
                log.warning("queue is away; waiting for it", queue=self.queue, error=error.message)
            self._away = True
            await wait(stop, PAUSE_SECONDS)
            return []
        self._away = False
        if stop.is_set():
            await self._give_back(received)
            return []
        return received

    def _begin(self, received: M) -> None:
        task = asyncio.create_task(self._work(received))
        self._working[task] = received
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        received = self._working.pop(task, None)
        if received is not None and not task.cancelled() and (error := task.exception()):
            # Handlers raise nothing. Whatever it was, the lease runs out and the message comes back.
            log.warning("message not settled", queue=self.queue, message_id=received.message_id, error=str(error))

    async def _work_alone(self, suspect: M, stop: asyncio.Event) -> None:
        """When those at work are done, and nothing is taken meanwhile."""
        self.keeper.hold(suspect.handle, 2 * self.hard_limit)
        while self._working and not stop.is_set():
            await self._until_one_ends(stop)
        if stop.is_set():
            self.keeper.release(suspect.handle)
            await self._give_back([suspect])
            return
        try:
            alone = await self._alone(suspect)
        except ServiceUnavailable as error:  # its lease runs out, and it comes back
            log.warning("message not begun", queue=self.queue, message_id=suspect.message_id, error=error.message)
            alone = None
        if alone is None:
            self.keeper.release(suspect.handle)
            return
        log.warning(
            "its worker died of this message or of another: tried alone",
            queue=self.queue,
            message_id=alone.message_id,
            attempt=alone.attempt,
        )
        self._begin(alone)
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

    async def _work(self, received: M) -> None:
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

    def _delivery(self, received: M, message: Message) -> Delivery:
        return Delivery(
            queue=self.queue,
            message=message,
            attempt=received.attempt,
            published_at=received.published_at,
            worker=self.worker,
            traceparent=received.traceparent,
        )

    def _refusal(self, received: M, error: ValidationError) -> Bury:
        """A message that is not one of ours would come back for ever: keep it where a person sees it."""
        problem = f"Not a message of this queue: {' '.join(str(error).split())}"
        log.error("message cannot be read", queue=self.queue, message_id=received.message_id, problem=problem)
        return Bury("invalid_message", problem)

    def _report_loss(self, received: M) -> None:
        self.count_loss()
        log.warning("lease was lost; the message is another worker's", queue=self.queue, message_id=received.message_id)

    async def _settle(self, received: M, verdict: Verdict) -> None:
        """Obey, or do so when the broker is back. Until then its lease may run out, and the message goes to another."""
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

    async def _end(self) -> None:
        """Stop what is still at work, and give back what is not settled."""
        unfinished = dict(self._working)
        for task in unfinished:
            await _end_task(task)
        await self._give_back(list(unfinished.values()))
        await self._settle_rest()
        await self._finish()


async def _end_task(task: asyncio.Task[None]) -> None:
    """Cancel it; what it raised, `_ended` has told."""
    with suppress(Exception):
        await cancel(task)
