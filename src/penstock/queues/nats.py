"""Queues on NATS JetStream.

A consumer of our own on nats-py: FastStream's cannot keep the promises (docs/decisions/0030-queues-on-nats.md). One
stream for each of our queues, one for its dead letters and one for the attempts, found or made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import structlog

from penstock.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from penstock.models import QUEUES, DeadLetter, Message, QueueDepth
from penstock.queues.keeper import Keeper, beat_seconds
from penstock.queues.nats_address import nats_address
from penstock.queues.nats_client import NOT_ENABLED, JetStreamError, NobodyAnswersError, Refused
from penstock.queues.nats_letters import LETTER_ID, Letters
from penstock.queues.nats_look import look
from penstock.queues.nats_session import NatsSession
from penstock.queues.nats_wire import Wire
from penstock.queues.port import Handler
from penstock.settings import QueueSettings

log = structlog.get_logger()

POLL_SECONDS = 1.0
"""A worker asks again so often; a message comes at once. Who stops waits for so long at most."""


class NatsQueues:
    """All queues of one installation. Raises `InvalidSettings` for a URL that is none."""

    def __init__(self, settings: QueueSettings, *, worker: str, drain_seconds: float = 20) -> None:
        self._settings = settings
        self._worker = worker
        self.leases_lost = 0
        self._drain_seconds = drain_seconds
        self._url = settings.url.get_secret_value()
        self._address = nats_address(self._url, settings.prefix)
        self._wire = Wire(self._address, lease_seconds=settings.lease_seconds)
        self._letters = Letters(self._wire)

    async def open(self) -> None:
        """Make sure that every queue exists. Raises `ServiceUnavailable`; `InvalidSettings` where we are not let in."""
        try:
            for queue in QUEUES:
                await self._wire.ensure(queue)
            found = await look(self._wire.nats, self._address)
        except Refused as error:
            raise InvalidSettings(
                f"{error.message} See the account, credentials or nkey in PENSTOCK_QUEUE_URL."
            ) from error
        except NobodyAnswersError as error:
            raise ServiceUnavailable("The queue does not answer: this NATS server has no JetStream.") from error
        except JetStreamError as error:
            if error.number != NOT_ENABLED:
                raise
            raise InvalidSettings("JetStream is not enabled for this account of the NATS server.") from error
        for weakness in found.weak:
            log.warning("the queue's NATS can lose work", problem=weakness.problem, advice=weakness.advice)

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        await self._wire.publish(queue, messages)

    async def consume(
        self, queue: str, handler: Handler, *, concurrency: int, hard_limit: float, stop: asyncio.Event
    ) -> None:
        session = NatsSession(
            wire=self._wire,
            queue=queue,
            worker=self._worker,
            keeper=self._keeper(queue),
            handler=handler,
            concurrency=concurrency,
            hard_limit=hard_limit,
            drain_seconds=self._drain_seconds,
            poll=POLL_SECONDS,
            count_loss=self._count_loss,
        )
        await self._sweep(queue)
        await session.run(stop)

    async def depths(self) -> dict[str, QueueDepth]:
        """Messages that wait to be delivered again are in nobody's hands."""
        return {queue: await self._depth(queue) for queue in QUEUES}

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        return await self._wire.files(queue)

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        if after and not LETTER_ID.fullmatch(after):
            raise InvalidRequest(f"{after} is no id of a dead letter.")
        return await self._letters.list(queue, limit=limit, after=after)

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return await self._letters.find(queue, dead_letter_id)

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return await self._letters.drop(queue, dead_letter_id)

    async def close(self) -> None:
        await self._wire.close()

    async def _depth(self, queue: str) -> QueueDepth:
        counts = await self._wire.counts(queue)
        oldest = None if counts.first_at is None else max(0.0, (datetime.now(UTC) - counts.first_at).total_seconds())
        return QueueDepth(
            waiting=counts.messages - counts.handed_out,
            in_flight=counts.handed_out,
            dead_letters=counts.dead_letters,
            oldest_seconds=oldest,
        )

    async def _sweep(self, queue: str) -> None:
        try:
            await self._wire.sweep(queue)
        except ServiceUnavailable as error:  # it costs a little room until the next worker starts
            log.info("what is kept of messages that are gone was not looked for", queue=queue, error=error.message)

    def _keeper(self, queue: str) -> Keeper:
        every = beat_seconds(self._settings.lease_seconds)
        ledger = self._wire.ledger(queue).stream
        return Keeper("penstock.queues.nats_heartbeat", every=every, url=self._url, ledger=ledger)

    def _count_loss(self) -> None:
        self.leases_lost += 1
