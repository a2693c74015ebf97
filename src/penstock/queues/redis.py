"""Queues on Redis Streams, published and consumed through FastStream.

One stream and one consumer group for each queue. FastStream 0.7 has no lease, no retry delay and no
dead letters for streams; `redis_leases.py` has, and `redis_session.py` joins the two:

- the group exists, at `0`, before FastStream would create it at `$`;
- a heartbeat renews the leases of all messages that this process works on;
- a second subscriber takes over messages whose lease ran out, whoever held them;
- when Redis comes back empty, FastStream's subscribers stop for good: a new session begins.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from penstock.errors import InvalidRequest, ServiceUnavailable
from penstock.models import QUEUES, DeadLetter, Message, QueueDepth
from penstock.queues.durability import look_at
from penstock.queues.keeper import Keeper, beat_seconds
from penstock.queues.port import Handler, dead_letters_of, headers_of
from penstock.queues.redis_address import Kind, redis_address
from penstock.queues.redis_broker import open_broker
from penstock.queues.redis_client import Errors, connect, disconnect, node_of
from penstock.queues.redis_leases import GROUP, RETURNED, Leases, keys_of, published_at
from penstock.queues.redis_messages import files_on
from penstock.queues.redis_refusal import check_rights, explained, told
from penstock.queues.redis_scripts import DEPTHS, run
from penstock.queues.redis_session import Session
from penstock.queues.waiting import wait
from penstock.settings import QueueSettings

log = structlog.get_logger()

SILENT = logging.getLogger("penstock.queues.faststream")
"""FastStream logs each failed read; `consume` says once that the queue is away."""
SILENT.setLevel(logging.CRITICAL + 1)
ENTRY_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
"""Redis answers anything else as a range, or with an error that would pass for one of its own."""
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for the File of a dead letter that could not be read."""


class RedisQueues:
    """All queues of one installation. Raises `InvalidSettings` for a URL that is none."""

    def __init__(self, settings: QueueSettings, *, worker: str, drain_seconds: float = 20) -> None:
        self._settings = settings
        self._worker = worker
        self.leases_lost = 0
        self._drain_seconds = drain_seconds
        self._address = redis_address(settings.url.get_secret_value(), settings.prefix)
        self._client: Any = connect(self._address)
        self._publisher = open_broker(self._address, logger=SILENT)

    async def open(self) -> None:
        """Make sure that every queue exists. Raises `ServiceUnavailable`; `InvalidSettings` where we are not let in."""
        try:
            await self._open()
        except Errors as error:
            raise await explained(error, self._client, self._address) from error

    async def _open(self) -> None:
        await self._publisher.connect()
        for queue in QUEUES:
            leases = self._leases(queue)
            await leases.create_group()
            await check_rights(self._client, self._address, keys_of(leases.stream), GROUP)
            await leases.forget_idle_consumers()
        await self._warn()

    async def _warn(self) -> None:
        """Say at the start what on this server can lose work."""
        _, weak = await look_at(self._client, await node_of(self._client, self._address.key_of(QUEUES[0])))
        for found in weak:
            log.warning("the queue's Redis can lose work", problem=found.problem, advice=found.advice)

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        stream = self._address.key_of(queue)
        if self._address.kind is Kind.CLUSTER:  # FastStream sends nothing to a cluster in a pipeline
            async with _translated():
                for message in messages:
                    await self._publisher.publish(message, stream=stream, headers=headers_of(queue, message))
            return
        async with _translated(), self._client.pipeline(transaction=False) as commands:
            for message in messages:
                await self._publisher.publish(
                    message, stream=stream, headers=headers_of(queue, message), pipeline=commands
                )
            await commands.execute()

    async def consume(
        self, queue: str, handler: Handler, *, concurrency: int, hard_limit: float, stop: asyncio.Event
    ) -> None:
        away = False
        keeper = self._keeper(queue)
        while not stop.is_set():
            broker = open_broker(self._address, graceful_timeout=self._drain_seconds, logger=SILENT)
            try:
                leases = self._leases(queue)
                await Session(broker, leases, keeper, handler, concurrency, hard_limit, self._count_loss).run(stop)
            except Errors as error:
                if not away:
                    log.warning("queue is away; waiting for it", queue=queue, error=told(error))
                away = True
                await wait(stop, 1.0)
            else:
                away = False
                if not stop.is_set():
                    log.warning("queue came back empty; starting again", queue=queue)

    async def depths(self) -> dict[str, QueueDepth]:
        """Messages that wait to be delivered again are in nobody's hands."""
        streams = map(self._address.key_of, QUEUES)
        keys = [key for stream in streams for key in (stream, dead_letters_of(stream))]
        async with _translated():
            now, *found = await run(self._client, DEPTHS, keys, GROUP, RETURNED)
        seconds, microseconds = map(int, now)
        moment = seconds + microseconds / 1e6
        return {queue: _depth(depth, now=moment) for queue, depth in zip(QUEUES, found, strict=True)}

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        async with _translated():
            return await files_on(self._client, self._address.key_of(queue))

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        if after and not ENTRY_ID.fullmatch(after):
            raise InvalidRequest(f"{after} is no id of a dead letter.")
        first = f"({after}" if after else "-"
        async with _translated():
            entries = await self._client.xrange(self._dead_letters_of(queue), min=first, count=limit)
        return [_dead_letter(queue, entry_id, fields) for entry_id, fields in entries]

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        if not ENTRY_ID.fullmatch(dead_letter_id):
            return None
        async with _translated():
            entries = await self._client.xrange(self._dead_letters_of(queue), min=dead_letter_id, max=dead_letter_id)
        return _dead_letter(queue, *entries[0]) if entries else None

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        found = await self.find_dead_letter(queue, dead_letter_id)
        if found is not None:
            async with _translated():
                await self._client.xdel(self._dead_letters_of(queue), dead_letter_id)
        return found

    async def close(self) -> None:
        await self._publisher.stop()
        await disconnect(self._client)

    def _dead_letters_of(self, queue: str) -> str:
        return dead_letters_of(self._address.key_of(queue))

    def _count_loss(self) -> None:
        self.leases_lost += 1

    def _keeper(self, queue: str) -> Keeper:
        every = beat_seconds(self._settings.lease_seconds)
        url, stream = self._settings.url.get_secret_value(), self._address.key_of(queue)
        told = {"url": url, "stream": stream, "group": GROUP, "consumer": self._worker}
        return Keeper("penstock.queues.redis_heartbeat", every=every, **told)

    def _leases(self, queue: str) -> Leases:
        stream = self._address.key_of(queue)
        return Leases(self._client, queue, stream, self._worker, self._settings.lease_seconds)


@asynccontextmanager
async def _translated() -> AsyncGenerator[None]:
    try:
        yield
    except Errors as error:
        raise ServiceUnavailable(f"The queue does not answer: {told(error)}") from error


def _depth(found: tuple[int, int, bytes, int], *, now: float) -> QueueDepth:
    length, in_flight, first, dead = found
    oldest = now - _published(first).timestamp() if first else None
    return QueueDepth(waiting=max(0, length - in_flight), in_flight=in_flight, dead_letters=dead, oldest_seconds=oldest)


def _published(entry_id: bytes) -> datetime:
    return published_at(entry_id.decode())


def _dead_letter(queue: str, entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    kept = json.loads(fields[b"dead_letter"])
    return DeadLetter(
        dead_letter_id=entry_id.decode(), queue=queue, file_id=kept["message"].get("file_id", NOBODY), **kept
    )
