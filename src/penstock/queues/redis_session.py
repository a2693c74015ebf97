"""One connection's worth of consuming one queue on Redis: FastStream reads, we keep the leases.

A message that FastStream has read waits for a free slot, is at work, or is *unsettled*: its handler is over, but
Redis could not be told. The heartbeat, a process of its own, renews the leases of what is at work. What only waits
goes to another worker when its lease runs out; what is unsettled is told again until Redis hears it.

A message whose last attempt ended without a word, because its worker died, is a *suspect*: it is worked on alone, so
that if it kills again it takes no other message's attempt along.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import structlog
from faststream import AckPolicy, BaseMiddleware, ContextRepo
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.annotations import RedisStreamMessage
from faststream.redis.subscriber.usecases import LogicSubscriber

from penstock.failpoints import reach
from penstock.models import MESSAGE_TYPES, Message
from penstock.queues.keeper import Keeper
from penstock.queues.port import Bury, Delivery, Done, Handler, Retry, Verdict
from penstock.queues.redis_broker import make_patient
from penstock.queues.redis_client import Errors
from penstock.queues.redis_leases import GROUP, Begun, Counted, Leases, published_at
from penstock.queues.redis_refusal import came_back_empty, told
from penstock.queues.waiting import wait
from penstock.tracing import TRACEPARENT

if TYPE_CHECKING:
    from types import TracebackType

log = structlog.get_logger()

Deliver = Callable[[Message, str, str | None], Awaitable[None]]
"""What becomes of a message, its id and its trace context."""
Refuse = Callable[[object, str, str], Awaitable[None]]
"""What becomes of a body that is no message, its id, and the problem."""

BLOCK_MS = 2_000
"""XREADGROUP waits so long for a message; a new one wakes it at once."""
TAKEOVER_POLL_MS = 500
"""How often an idle worker looks for messages whose lease ran out."""
FROZEN_LOOKS = 5
"""A renewed lease that is looked at in its first millisecond so often in a row does not occur."""
BEAT_SECONDS = 1.0
"""How often what is unsettled is told again."""


class Slots:
    """Room for so many handlers at once, or for one that has to be alone."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Beside others."""
        async with self._free:
            yield

    @asynccontextmanager
    async def all(self) -> AsyncGenerator[None]:
        """Alone: whoever is at work ends first, and nobody begins meanwhile."""
        async with self._alone:  # two that each took half of the slots would wait for each other for ever
            taken = 0
            try:
                while taken < self._count:
                    await self._free.acquire()
                    taken += 1
                yield
            finally:
                for _ in range(taken):
                    self._free.release()


class Frozen:
    """Finds leases that do not age, because Redis' clock was set back since they began.

    Redis shows their age as 0 until the clock has caught up, an hour or a day later. What a Worker holds is renewed
    every quarter of a lease at least, and then shows 0 for a millisecond only; what shows it at each look for half a
    lease has frozen. Not for a whole one: where the clock is set back when a dead Worker's lease is nearly over,
    the takeover would take two.
    """

    def __init__(self, lease_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}
        """By id, when it first showed 0, and how often since."""

    def look(self, begun_now: Sequence[str]) -> list[str]:
        """Those of the messages whose leases have frozen."""
        now = self._clock()
        before = self._seen
        self._seen = {message_id: before.get(message_id, (now, 0)) for message_id in begun_now}
        self._seen = {message_id: (first, times + 1) for message_id, (first, times) in self._seen.items()}
        return [
            message_id
            for message_id, (first, times) in self._seen.items()
            if times >= FROZEN_LOOKS and now - first >= self._lease_seconds / 2
        ]


@dataclass(slots=True)
class Session:
    """Consumes one queue until it is told to stop, or until Redis comes back empty."""

    broker: RedisBroker
    leases: Leases
    keeper: Keeper
    handler: Handler
    concurrency: int
    hard_limit: float
    count_loss: Callable[[], None]
    """Called for each lease that is found lost when its message is settled."""
    known: set[str] = field(default_factory=set[str])
    """Messages that wait for a slot or are at work."""
    at_work: set[str] = field(default_factory=set[str])
    unsettled: dict[str, Callable[[], Awaitable[object]]] = field(
        default_factory=dict[str, Callable[[], Awaitable[object]]]
    )
    frozen: Frozen = field(init=False)
    stopping: bool = False
    away: bool = False

    def __post_init__(self) -> None:
        self.frozen = Frozen(self.leases.lease_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns early when the queue's group is gone: FastStream stops its subscribers for good then."""
        await self.leases.create_group()
        await self._give_back_all()  # what the session before held when Redis went away
        slots = Slots(self.concurrency)  # for both subscribers

        async def deliver(message: Message, message_id: str, traceparent: str | None) -> None:
            await self._deliver(message, message_id, traceparent, slots)

        subscribers = subscribe(self.broker, self.leases, deliver, concurrency=self.concurrency, refuse=self._refuse)
        async with self.keeper.running():
            try:
                await self.broker.start()
                while not stop.is_set() and all(subscriber.running for subscriber in subscribers):
                    await self._beat()
                    await wait(stop, min(BEAT_SECONDS, self.leases.lease_seconds / 3))
            finally:
                self.stopping = True
                await self._stop()

    async def _beat(self) -> None:
        """Tell again what could not be told. Redis may be away for a while: the handlers go on, and so do we."""
        try:
            for message_id, settle in list(self.unsettled.items()):
                await settle()
                self.unsettled.pop(message_id, None)
            await self.leases.forget_deleted()
            if frozen := self.frozen.look(await self.leases.begun_now()):
                log.warning(
                    "the clock of Redis was set back; leases end now", queue=self.leases.queue, messages=len(frozen)
                )
                await self.leases.expire(frozen)
        except Errors as error:
            if came_back_empty(error):  # there is nothing left to settle
                self.unsettled.clear()
                return
            if not self.away:
                log.warning("queue is away; waiting for it", queue=self.leases.queue, error=told(error))
            self.away = True
        else:
            self.away = False

    async def _stop(self) -> None:
        """Finish what is at work, within the drain limit, with its leases alive; give the rest back."""
        await self.broker.stop()
        await self._beat()
        await self._give_back_all()

    async def _give_back_all(self) -> None:
        for message_id in await self.leases.held():
            counted = Counted.FREE if message_id in self.at_work else Counted.UNBEGUN
            await self.leases.give_back(message_id, counted)
            reach("queue.all_given_back")

    async def _deliver(self, message: Message, message_id: str, traceparent: str | None, slots: Slots) -> None:
        if message_id in self.known:
            return  # Its lease ran out while it waited for a slot, or while we slept, and we took it over ourselves.
        self.known.add(message_id)
        try:
            async with self._settling(message_id):
                async with slots.one():
                    begun = None if self.stopping else await self.leases.begin(message_id)
                    if begun is not None and begun.began:
                        await self._work(message, message_id, traceparent, begun)
                if begun is not None and not begun.began:
                    await self._work_alone(message, message_id, traceparent, slots)
        finally:
            self.known.discard(message_id)

    async def _work_alone(self, message: Message, message_id: str, traceparent: str | None, slots: Slots) -> None:
        self.keeper.hold(message_id, 2 * self.hard_limit)  # while it waits until the others are done
        try:
            async with slots.all():
                begun = None if self.stopping else await self.leases.begin(message_id, alone=True)
                if begun is not None:
                    log.warning(
                        "its worker died of this message or of another: tried alone",
                        queue=self.leases.queue,
                        file_id=str(message.file_id),
                        attempt=begun.attempt,
                    )
                    await self._work(message, message_id, traceparent, begun)
        finally:
            self.keeper.release(message_id)

    async def _work(self, message: Message, message_id: str, traceparent: str | None, begun: Begun) -> None:
        self.at_work.add(message_id)
        self.keeper.hold(message_id, self.hard_limit)
        verdict: Verdict | None = None
        try:
            verdict = await self.handler(self._delivery(message, message_id, traceparent, begun))
            await self._obey(verdict, message_id, begun, message)
        except Errors:
            if verdict is not None:
                self.unsettled[message_id] = partial(self._obey, verdict, message_id, begun, message)
            raise
        finally:
            self.keeper.release(message_id)
            if verdict is not None:  # else the process stops, and gives back what it did not finish
                self.at_work.discard(message_id)

    @asynccontextmanager
    async def _settling(self, message_id: str) -> AsyncGenerator[None]:
        """Whatever keeps a message from being settled, its lease runs out and it comes back."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # FastStream would only log it
            log.warning("message not settled", queue=self.leases.queue, message_id=message_id, error=str(error))

    def _delivery(self, message: Message, message_id: str, traceparent: str | None, begun: Begun) -> Delivery:
        return Delivery(
            queue=self.leases.queue,
            message=message,
            attempt=begun.attempt,
            published_at=published_at(message_id),
            worker=self.leases.consumer,
            traceparent=traceparent,
        )

    async def _obey(self, verdict: Verdict, message_id: str, begun: Begun, message: Message) -> None:
        if isinstance(verdict, Done):
            # Also when the lease was lost meanwhile: the work is committed, nobody needs to do it again.
            first = await self.leases.acknowledge(message_id)
            reach("queue.message_acknowledged")
            if not first:
                self.count_loss()
        elif isinstance(verdict, Retry):
            counted = Counted.ENDED if verdict.burns_attempt else Counted.FREE
            given_back = await self.leases.give_back(message_id, counted, delay=verdict.delay)
            reach("queue.message_given_back")
            if not given_back:
                self._report_loss(message_id)
        else:
            buried = await self._bury(message_id, begun.attempt, verdict, message.model_dump(mode="json"))
            if not buried:
                self._report_loss(message_id)

    def _report_loss(self, message_id: str) -> None:
        self.count_loss()
        log.warning("lease was lost; the message is another worker's", queue=self.leases.queue, message_id=message_id)

    async def _refuse(self, body: object, message_id: str, problem: str) -> None:
        """A message that is not one of ours would come back for ever: keep it where a person sees it."""
        log.error("message cannot be read", queue=self.leases.queue, message_id=message_id, problem=problem)
        async with self._settling(message_id):
            await self._bury(message_id, 1, Bury("invalid_message", problem), {"unreadable": repr(body)[:1000]})

    async def _bury(self, message_id: str, attempts: int, verdict: Bury, message: dict[str, Any]) -> bool:
        letter = {
            "code": verdict.code,
            "reason": verdict.reason,
            "attempts": attempts if verdict.attempts is None else verdict.attempts,
            "worker": self.leases.consumer,
            "first_at": published_at(message_id).isoformat(),
            "last_at": datetime.now(UTC).isoformat(),
            "message": message,
        }
        buried = await self.leases.bury(message_id, letter)
        reach("queue.message_buried")
        return buried


def subscribe(
    broker: RedisBroker, leases: Leases, deliver: Deliver, *, concurrency: int, refuse: Refuse | None = None
) -> list[LogicSubscriber]:
    """Two subscribers on one queue: one reads what is new, one takes over what was left behind.

    Each reads one message at a time (`max_records`): without it FastStream would take the whole
    stream into one worker's hands, and no other could help.
    """
    fresh = StreamSub(
        leases.stream, group=GROUP, consumer=leases.consumer, polling_interval=BLOCK_MS, max_records=1, last_id=">"
    )
    left_behind = StreamSub(
        leases.stream,
        group=GROUP,
        consumer=leases.consumer,
        polling_interval=TAKEOVER_POLL_MS,
        min_idle_time=round(leases.lease_seconds * 1000),
    )
    if refuse is not None:
        broker.add_middleware(_refusing(refuse))
    subscribers: list[LogicSubscriber] = []
    for source, documented in ((fresh, True), (left_behind, False)):
        subscriber = broker.subscriber(
            stream=source,
            ack_policy=AckPolicy.MANUAL,
            max_workers=concurrency,
            title=leases.queue,
            description=MESSAGE_TYPES[leases.queue].__doc__,
            include_in_schema=documented,
        )
        subscriber(_on_message(deliver, MESSAGE_TYPES[leases.queue], broker.context))
        # Where the group is gone again when it starts, FastStream makes it, at `$` unless told otherwise: what had been
        # published before would lie on the queue for ever, delivered to nobody.
        cast("Any", subscriber).last_id = "0"
        make_patient(subscriber)
        subscribers.append(subscriber)
    return subscribers


def _on_message(deliver: Deliver, message_type: type[Message], context: ContextRepo) -> Callable[..., Awaitable[None]]:
    async def on_message(body: Any) -> None:
        # Not a parameter of its own: FastStream would look it up in a thread, for each message.
        message: RedisStreamMessage = context.get_local("message")
        await deliver(body, message.raw_message["message_ids"][0].decode(), message.headers.get(TRACEPARENT))

    # FastStream reads the annotations: it validates the body by them and documents it in AsyncAPI.
    on_message.__annotations__ = {"body": message_type, "return": None}
    return on_message


def _refusing(refuse: Refuse) -> type[BaseMiddleware]:
    class RefuseUnreadable(BaseMiddleware):
        """Handlers raise nothing: what FastStream meets before them is a message that cannot be read."""

        async def after_processed(
            self,
            exc_type: type[BaseException] | None = None,
            exc_val: BaseException | None = None,
            exc_tb: TracebackType | None = None,
        ) -> bool | None:
            if isinstance(exc_val, Exception):
                raw: Any = self.msg
                problem = f"Not a message of this queue: {' '.join(str(exc_val).split())}"
                await refuse(raw["data"], raw["message_ids"][0].decode(), problem)
            return await super().after_processed(exc_type, exc_val, exc_tb)

    return RefuseUnreadable
