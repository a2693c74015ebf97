"""Leases on the messages of one Redis stream: the commands that FastStream does not send.

A message that was delivered and not acknowledged is *pending* for one consumer of the group, with an
idle time and a delivery count. The lease is the idle time: when it reaches `lease_seconds`, whoever
runs XAUTOCLAIM takes the message over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import ResponseError

GROUP = "penstock"
RETURNED = "returned"
"""The consumer that holds messages which wait to be delivered again. It never reads."""
MOST_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that one consumer holds."""

    message_id: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases that one consumer, this process, holds on one stream."""

    client: Any
    """A `redis.asyncio.Redis` that does not decode; the library types its answers for all protocols at once."""
    stream: str
    consumer: str
    lease_seconds: float

    async def create_group(self) -> None:
        """Create stream and group, at `0`: at `$` the messages that are there already would never be delivered."""
        try:
            await self.client.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def held(self) -> list[Pending]:
        """All messages this consumer holds: at work, or read ahead."""
        return await self._pending("-", "+", MOST_PENDING)

    async def find(self, message_id: str) -> Pending | None:
        """The message, if this consumer still holds it."""
        found = await self._pending(message_id, message_id, 1)
        return found[0] if found else None

    async def _pending(self, first: str, last: str, count: int) -> list[Pending]:
        entries: Sequence[Mapping[str, Any]] = await self.client.xpending_range(
            self.stream, GROUP, first, last, count, consumername=self.consumer
        )
        return [Pending(entry["message_id"].decode(), entry["times_delivered"]) for entry in entries]

    async def renew(self) -> int:
        """Start every lease anew and return their number. JUSTID leaves the delivery counts alone."""
        held = await self.held()
        if held:
            ids = [pending.message_id for pending in held]
            await self.client.xclaim(self.stream, GROUP, self.consumer, 0, ids, idle=0, justid=True)
        return len(held)

    async def give_back(self, pending: Pending, *, delay: float = 0, burns_attempt: bool) -> None:
        """Let any worker have the message after `delay` seconds, at most the lease."""
        idle = max(0.0, self.lease_seconds - delay)
        deliveries = pending.deliveries if burns_attempt else max(0, pending.deliveries - 1)
        await self.client.xclaim(
            self.stream,
            GROUP,
            RETURNED,
            0,
            [pending.message_id],
            idle=round(idle * 1000),
            retrycount=deliveries,
            justid=True,
        )

    async def acknowledge(self, message_id: str) -> None:
        """Forget the message, in one transaction: acknowledged entries would otherwise stay in the stream."""
        async with self.client.pipeline(transaction=True) as commands:
            commands.xack(self.stream, GROUP, message_id)
            commands.xdel(self.stream, message_id)
            await commands.execute()

    async def bury(self, message_id: str, fields: Mapping[str, object]) -> None:
        """Move the message to the dead letters, in one transaction."""
        async with self.client.pipeline(transaction=True) as commands:
            commands.xadd(dead_letters_of(self.stream), {"dead_letter": json.dumps(fields)})
            commands.xack(self.stream, GROUP, message_id)
            commands.xdel(self.stream, message_id)
            await commands.execute()


def dead_letters_of(queue: str) -> str:
    """The stream that holds a queue's dead letters."""
    return f"{queue}-dead-letters"


def published_at(message_id: str) -> datetime:
    """A stream id begins with the milliseconds since 1970 at which Redis took the message."""
    return datetime.fromtimestamp(int(message_id.partition("-")[0]) / 1000, UTC)
