"""Queues on Redis Streams, published and consumed through FastStream.

One stream and one consumer group for each queue. FastStream 0.7 has no lease, no retry delay and no
dead letters for streams; `redis_leases.py` has, and `_Session` joins the two:

- the group exists, at `0`, before FastStream would create it at `$`;
- a heartbeat renews the leases of all messages that this process holds;
- a second subscriber takes over messages whose lease ran out, whoever held them;
- when Redis comes back empty, FastStream's subscribers stop for good: a new session begins.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from fast_depends.exceptions import ValidationError
from faststream import AckPolicy, BaseMiddleware
from faststream.message import StreamMessage
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.annotations import RedisStreamMessage
from faststream.redis.subscriber.usecases import LogicSubscriber
from redis.asyncio import Redis
from redis.exceptions import RedisError

from penstock.errors import InvalidRequest, ServiceUnavailable
from penstock.models import MESSAGE_TYPES, QUEUES, DeadLetter, Message, QueueDepth
from penstock.queues.port import Bury, Delivery, Done, Handler, Retry, Verdict
from penstock.queues.redis_leases import GROUP, RETURNED, Leases, Pending, dead_letters_of, published_at
from penstock.settings import QueueSettings

log = structlog.get_logger()

Deliver = Callable[[Message, str], Awaitable[None]]
"""What becomes of a message and its id."""
Refuse = Callable[[object, str, str], Awaitable[None]]
"""What becomes of a body that is no message, its id, and the problem."""

SILENT = logging.getLogger("penstock.queues.faststream")
"""FastStream logs each failed read; `consume` says once that the queue is away."""
SILENT.setLevel(logging.CRITICAL + 1)
BLOCK_MS = 2_000
"""XREADGROUP waits so long for a message; a new one wakes it at once."""
TAKEOVER_POLL_MS = 500
"""How often an idle worker looks for messages whose lease ran out."""
ENTRY_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
"""Redis answers anything else as a range, or with an error that would pass for one of its own."""
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for the File of a dead letter that could not be read."""


class RedisQueues:
    """All queues on one Redis server."""

    def __init__(self, settings: QueueSettings, *, worker: str, drain_seconds: float = 20) -> None:
        self._settings = settings
        self._worker = worker
        self._drain_seconds = drain_seconds
        self._url = settings.url.get_secret_value()
        self._client: Any = Redis.from_url(self._url)  # pyright: ignore[reportUnknownMemberType]  # **kwargs
        self._publisher = RedisBroker(self._url, logger=SILENT)

    async def open(self) -> None:
        """Connect and make sure that every queue exists. Raises `ServiceUnavailable`."""
        async with _translated():
            await self._publisher.connect()
            for queue in QUEUES:
                await self._leases(queue).create_group()

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        async with _translated(), self._client.pipeline(transaction=False) as commands:
            for message in messages:
                await self._publisher.publish(message, stream=queue, pipeline=commands)
            await commands.execute()

    async def consume(self, queue: str, handler: Handler, *, concurrency: int, stop: asyncio.Event) -> None:
        away = False
        while not stop.is_set():
            session = _Session(self._leases(queue), handler, self._url, concurrency, self._drain_seconds)
            try:
                await session.run(stop)
            except (RedisError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("queue is away; waiting for it", queue=queue, error=str(error))
                away = True
                await _wait(stop, 1.0)
            else:
                away = False
                if not stop.is_set():
                    log.warning("queue came back empty; starting again", queue=queue)

    async def depths(self) -> dict[str, QueueDepth]:
        async with _translated():
            return {queue: await self._depth(queue) for queue in QUEUES}

    async def _depth(self, queue: str) -> QueueDepth:
        async with self._client.pipeline(transaction=True) as commands:
            commands.time()
            commands.xlen(queue)
            commands.xinfo_groups(queue)
            commands.xrange(queue, count=1)
            commands.xlen(dead_letters_of(queue))
            now, length, groups, first, dead = await commands.execute(raise_on_error=False)
        in_flight = 0
        if isinstance(groups, list) and groups:
            in_flight = await self._in_flight(queue)
        seconds, microseconds = now
        oldest = None if not first else seconds + microseconds / 1e6 - _published(first[0][0]).timestamp()
        return QueueDepth(
            waiting=max(0, length - in_flight), in_flight=in_flight, dead_letters=dead, oldest_seconds=oldest
        )

    async def _in_flight(self, queue: str) -> int:
        """Messages in the hands of workers: those that wait to be delivered again are in nobody's."""
        summary: dict[str, Any] = await self._client.xpending(queue, GROUP)
        return sum(held["pending"] for held in summary["consumers"] if held["name"] != RETURNED.encode())

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        if after and not ENTRY_ID.fullmatch(after):
            raise InvalidRequest(f"{after} is no id of a dead letter.")
        first = f"({after}" if after else "-"
        async with _translated():
            entries = await self._client.xrange(dead_letters_of(queue), min=first, count=limit)
        return [_dead_letter(queue, entry_id, fields) for entry_id, fields in entries]

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        if not ENTRY_ID.fullmatch(dead_letter_id):
            return None
        async with _translated():
            entries = await self._client.xrange(dead_letters_of(queue), min=dead_letter_id, max=dead_letter_id)
        return _dead_letter(queue, *entries[0]) if entries else None

    async def replay(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        found = await self.find_dead_letter(queue, dead_letter_id)
        if found is None:
            return None
        try:
            message = MESSAGE_TYPES[queue].model_validate_json(json.dumps(found.message))
        except ValueError as error:
            raise InvalidRequest("This dead letter was never a message of Penstock; it can only be dropped.") from error
        async with _translated(), self._client.pipeline(transaction=True) as commands:
            await self._publisher.publish(message, stream=queue, pipeline=commands)
            commands.xdel(dead_letters_of(queue), dead_letter_id)
            await commands.execute()
        return found

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        found = await self.find_dead_letter(queue, dead_letter_id)
        if found is not None:
            async with _translated():
                await self._client.xdel(dead_letters_of(queue), dead_letter_id)
        return found

    async def close(self) -> None:
        await self._publisher.stop()
        await self._client.aclose()

    def _leases(self, queue: str) -> Leases:
        return Leases(self._client, queue, self._worker, self._settings.lease_seconds)


@dataclass(slots=True)
class _Session:
    """One connection's worth of consuming one queue."""

    leases: Leases
    handler: Handler
    url: str
    concurrency: int
    drain_seconds: float

    async def run(self, stop: asyncio.Event) -> None:
        await self.leases.create_group()
        broker = RedisBroker(self.url, graceful_timeout=self.drain_seconds, logger=SILENT)
        subscribers = subscribe(broker, self.leases, self._deliver, concurrency=self.concurrency, refuse=self._refuse)
        await broker.start()
        try:
            # FastStream stops a subscriber for good when its group is gone, because Redis came back empty.
            while not stop.is_set() and all(subscriber.running for subscriber in subscribers):
                await self.leases.renew()
                await _wait(stop, min(1.0, self.leases.lease_seconds / 3))
        finally:
            await self._stop(broker)

    async def _stop(self, broker: RedisBroker) -> None:
        """Finish what is at work, within the drain limit, with its leases alive; give the rest back."""
        heartbeat = asyncio.create_task(self._beat())
        try:
            await broker.stop()
        finally:
            heartbeat.cancel()
        for pending in await self.leases.held():
            await self.leases.give_back(pending, burns_attempt=False)

    async def _beat(self) -> None:
        while True:
            await self.leases.renew()
            await asyncio.sleep(self.leases.lease_seconds / 3)

    async def _deliver(self, message: Message, message_id: str) -> None:
        pending = await self.leases.find(message_id)
        if pending is None:
            return  # Taken over while it was read ahead: it is another worker's now.
        delivery = Delivery(
            queue=self.leases.stream,
            message=message,
            attempt=pending.deliveries,
            published_at=published_at(message_id),
            worker=self.leases.consumer,
        )
        await self._obey(await self.handler(delivery), pending, message)

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
        async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
            try:
                return await call_next(msg)
            except (ValidationError, ValueError) as error:
                message_id: bytes = msg.raw_message["message_ids"][0]
                await refuse(msg.body, message_id.decode(), " ".join(str(error).split()))

    return RefuseUnreadable


@asynccontextmanager
async def _translated() -> AsyncGenerator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise ServiceUnavailable(f"The queue does not answer: {error}") from error


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event, but not longer."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _published(entry_id: bytes) -> datetime:
    return published_at(entry_id.decode())


def _dead_letter(queue: str, entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    kept = json.loads(fields[b"dead_letter"])
    return DeadLetter(
        dead_letter_id=entry_id.decode(), queue=queue, file_id=kept["message"].get("file_id", NOBODY), **kept
    )
