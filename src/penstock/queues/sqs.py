"""Queues on Amazon SQS, or on another server that speaks as it does.

A consumer of our own: FastStream has no broker for SQS (docs/decisions/0027-queues-on-sqs.md). One standard queue
for each of ours and one for its dead letters, found or made. What SQS cannot tell, nobody is told: the age of the
oldest message, and which Files its messages are about.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from uuid import UUID

from penstock.errors import InvalidRequest, InvalidSettings, ServiceUnavailable
from penstock.models import QUEUES, DeadLetter, Message, QueueDepth
from penstock.queues.keeper import Keeper, beat_seconds
from penstock.queues.port import Handler, dead_letters_of
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_client import is_refusal
from penstock.queues.sqs_letters import LETTER_ID, Letters
from penstock.queues.sqs_messages import entry_of
from penstock.queues.sqs_session import SqsSession
from penstock.queues.sqs_wire import Wire
from penstock.settings import QueueSettings

POLL_SECONDS = 5
"""SQS would wait for 20. Who stops waits for its end: what it brings would else be hidden for a lease."""


class SqsQueues:
    """All queues of one installation. Raises `InvalidSettings` for a URL that is none."""

    def __init__(
        self,
        settings: QueueSettings,
        *,
        worker: str,
        drain_seconds: float = 20,
        poll_seconds: int = POLL_SECONDS,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self.leases_lost = 0
        """Of messages that were not done: SQS lets a message be deleted by whoever was ever handed it."""
        self._drain_seconds = drain_seconds
        self._poll = poll_seconds
        self._url = settings.url.get_secret_value()
        most_receives = most_receives_of(settings.max_attempts)
        self._wire = Wire(
            sqs_address(self._url, settings.prefix),
            worker=worker,
            poll_seconds=poll_seconds,
            most_receives=most_receives,
        )
        self._letters = Letters(self._wire, most_receives)
        self._empty_since: dict[str, float] = {}

    async def open(self) -> None:
        """Make sure that every queue exists. Raises `ServiceUnavailable`; `InvalidSettings` where we are not let in."""
        try:
            for queue in QUEUES:
                await self._wire.ensure(dead_letters_of(queue))
                await self._wire.ensure(queue)
        except ServiceUnavailable as error:
            if not is_refusal(error.__cause__):
                raise
            raise InvalidSettings(
                f"SQS does not let us in: {error.__cause__}. "
                "Credentials come from AWS_ACCESS_KEY_ID, a profile or a role."
            ) from error

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        self._empty_since.pop(queue, None)
        await self._wire.send(queue, [entry_of(queue, message) for message in messages])

    async def consume(
        self, queue: str, handler: Handler, *, concurrency: int, hard_limit: float, stop: asyncio.Event
    ) -> None:
        lease = math.ceil(self._settings.lease_seconds)
        every = beat_seconds(lease)
        where = {"url": self._url, "prefix": self._settings.prefix}
        session = SqsSession(
            wire=self._wire,
            queue=queue,
            worker=self._worker,
            keeper=Keeper("penstock.queues.sqs_heartbeat", every=every, queue=queue, lease=lease, **where),
            handler=handler,
            concurrency=concurrency,
            hard_limit=hard_limit,
            drain_seconds=self._drain_seconds,
            lease=lease,
            poll=self._poll,
            count_loss=self._count_loss,
        )
        await session.run(stop)

    def _count_loss(self) -> None:
        self.leases_lost += 1

    async def depths(self) -> dict[str, QueueDepth]:
        """Messages that wait to be delivered again are in nobody's hands. What SQS counts may be a minute old."""
        names = [name for queue in QUEUES for name in (queue, dead_letters_of(queue))]
        counts = dict(zip(names, await asyncio.gather(*map(self._wire.counts, names)), strict=True))
        return {
            queue: QueueDepth(
                waiting=counts[queue].visible + counts[queue].delayed,
                in_flight=counts[queue].in_flight,
                dead_letters=counts[dead_letters_of(queue)].total,
                oldest_seconds=None,
            )
            for queue in QUEUES
        }

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        """None, except where SQS has said for long enough that nothing is on the queue: then it is about no File."""
        counts = await self._wire.counts(queue)
        now = time.monotonic()
        if counts.total:
            self._empty_since.pop(queue, None)
            return None
        since = self._empty_since.setdefault(queue, now)
        return frozenset() if now - since >= self._settings.counts_late_seconds else None

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        if after and not LETTER_ID.fullmatch(after):
            raise InvalidRequest(f"{after} is no id of a dead letter.")
        return await self._letters.list(queue, limit=limit, after=after)

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return await self._letters.find(queue, dead_letter_id)

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return await self._letters.find(queue, dead_letter_id, drop=True)

    async def close(self) -> None:
        await self._wire.close()


def most_receives_of(max_attempts: int) -> int:
    """How often SQS hands a message out before it takes it to the dead letters itself.

    Well beyond the policy: only what kills each Worker before it can be told of an attempt comes so far.
    """
    return min(1000, 2 * max_attempts + 6)
