"""One connection's worth of consuming one queue on Redis: FastStream reads, we keep the leases.

A message that FastStream has read is in one of three places: waiting for a free slot, at work, or
*unsettled*: its handler is over, but Redis could not be told. The heartbeat renews the leases of the
first two and gives the third back, so that no message is held by a worker that does nothing for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from faststream import AckPolicy, BaseMiddleware
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.annotations import RedisStreamMessage
from faststream.redis.subscriber.usecases import LogicSubscriber
from redis.exceptions import RedisError

from penstock.models import MESSAGE_TYPES, Message
from penstock.queues.port import Bury, Delivery, Done, Handler, Retry, Verdict
from penstock.queues.redis_leases import GROUP, Leases, Pending, published_at
from penstock.queues.waiting import wait

if TYPE_CHECKING:
    from types import TracebackType

log = structlog.get_logger()

Deliver = Callable[[Message, str], Awaitable[None]]
"""What becomes of a message and its id."""
Refuse = Callable[[object, str, str], Awaitable[None]]
"""What becomes of a body that is no message, its id, and the problem."""

BLOCK_MS = 2_000
"""XREADGROUP waits so long for a message; a new one wakes it at once."""
TAKEOVER_POLL_MS = 500
"""How often an idle worker looks for messages whose lease ran out."""


@dataclass(slots=True)
class Session:
    """Consumes one queue until it is told to stop, or until Redis comes back empty."""

    broker: RedisBroker
    leases: Leases
    handler: Handler
    concurrency: int
    at_work: set[str] = field(default_factory=set[str])
    unsettled: set[str] = field(default_factory=set[str])
    away: bool = False

    async def run(self, stop: asyncio.Event) -> None:
        """Returns early when the queue's group is gone: FastStream stops its subscribers for good then."""
        await self.leases.create_group()
        await self._give_back_all()  # what the session before held when Redis went away
        slots = asyncio.Semaphore(self.concurrency)  # one for both subscribers

        async def deliver(message: Message, message_id: str) -> None:
            async with slots:
                await self._deliver(message, message_id)

        subscribers = subscribe(self.broker, self.leases, deliver, concurrency=self.concurrency, refuse=self._refuse)
        try:
            await self.broker.start()
            while not stop.is_set() and all(subscriber.running for subscriber in subscribers):
                await self._beat()
                await wait(stop, self._beat_seconds)
        finally:
            await self._stop()

    @property
    def _beat_seconds(self) -> float:
        return min(1.0, self.leases.lease_seconds / 3)

    async def _beat(self) -> None:
        """Renew the leases. Redis may be away for a while: the handlers go on, and so do we."""
        try:
            for message_id in list(self.unsettled):
                if pending := await self.leases.find(message_id):
                    await self.leases.give_back(pending, burns_attempt=False)
                self.unsettled.discard(message_id)
            await self.leases.renew()
        except (RedisError, OSError) as error:
            if not self.away:
                log.warning("queue is away; waiting for it", queue=self.leases.stream, error=str(error))
            self.away = True
        else:
            self.away = False

    async def _stop(self) -> None:
        """Finish what is at work, within the drain limit, with its leases alive; give the rest back."""
        heartbeat = asyncio.create_task(self._keep_beating())
        try:
            await self.broker.stop()
        finally:
            heartbeat.cancel()
        await self._give_back_all()

    async def _give_back_all(self) -> None:
        for pending in await self.leases.held():
            await self.leases.give_back(pending, burns_attempt=False)

    async def _keep_beating(self) -> None:
        while True:
            await self._beat()
            await asyncio.sleep(self._beat_seconds)

    async def _deliver(self, message: Message, message_id: str) -> None:
        if message_id in self.at_work:
            return  # We slept longer than our lease and took over our own message.
        self.at_work.add(message_id)
        try:
            async with self._settling(message_id):
                if pending := await self.leases.find(message_id):
                    verdict = await self.handler(self._delivery(message, pending))
                    await self._obey(verdict, pending, message)
                # Otherwise it was taken over while it waited for a slot: it is another worker's now.
        finally:
            self.at_work.discard(message_id)

    @asynccontextmanager
    async def _settling(self, message_id: str) -> AsyncGenerator[None]:
        """Whatever keeps a message from being settled, it must not stay held by a handler that is over."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the heartbeat gives the message back
            self.unsettled.add(message_id)
            log.warning("message not settled", queue=self.leases.stream, message_id=message_id, error=str(error))

    def _delivery(self, message: Message, pending: Pending) -> Delivery:
        return Delivery(
            queue=self.leases.stream,
            message=message,
            attempt=pending.deliveries,
            published_at=published_at(pending.message_id),
            worker=self.leases.consumer,
        )

    async def _obey(self, verdict: Verdict, pending: Pending, message: Message) -> None:
        if isinstance(verdict, Done):
            # Also when the lease was lost meanwhile: the work is committed, nobody needs to do it again.
            await self.leases.acknowledge(pending.message_id)
        elif await self.leases.find(pending.message_id) is None:
            log.warning("lease was lost", queue=self.leases.stream, message_id=pending.message_id)
        elif isinstance(verdict, Retry):
            await self.leases.give_back(pending, delay=verdict.delay, burns_attempt=verdict.burns_attempt)
        else:
            await self._bury(pending, verdict, message.model_dump(mode="json"))

    async def _refuse(self, body: object, message_id: str, problem: str) -> None:
        """A message that is not one of ours would come back for ever: keep it where a person sees it."""
        log.error("message cannot be read", queue=self.leases.stream, message_id=message_id, problem=problem)
        async with self._settling(message_id):
            if pending := await self.leases.find(message_id):
                await self._bury(pending, Bury("invalid_message", problem), {"unreadable": repr(body)[:1000]})

    async def _bury(self, pending: Pending, verdict: Bury, message: dict[str, Any]) -> None:
        await self.leases.bury(
            pending.message_id,
            {
                "code": verdict.code,
                "reason": verdict.reason,
                "attempts": pending.deliveries,
                "worker": self.leases.consumer,
                "first_at": published_at(pending.message_id).isoformat(),
                "last_at": datetime.now(UTC).isoformat(),
                "message": message,
            },
        )


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
            title=leases.stream,
            description=MESSAGE_TYPES[leases.stream].__doc__,
            include_in_schema=documented,
        )
        subscriber(_on_message(deliver, MESSAGE_TYPES[leases.stream]))
        subscribers.append(subscriber)
    return subscribers


def _on_message(deliver: Deliver, message_type: type[Message]) -> Callable[..., Awaitable[None]]:
    async def on_message(body: Any, message: Any) -> None:
        await deliver(body, message.raw_message["message_ids"][0].decode())

    # FastStream reads the annotations: it validates the body by them and documents it in AsyncAPI.
    on_message.__annotations__ = {"body": message_type, "message": RedisStreamMessage, "return": None}
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
