"""Leases on the messages of one Redis stream: the commands that FastStream does not send.

A message that was delivered and not acknowledged is *pending* for one consumer of the group, with an
idle time. The lease is the idle time: when it reaches `lease_seconds`, whoever runs XAUTOCLAIM takes the
message over.

Attempts are counted in a hash beside the stream, each before it begins: Redis' own count goes up with every
delivery, also for a message that was only read ahead by a worker which died of another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from redis.exceptions import ResponseError

from penstock.queues.port import dead_letters_of
from penstock.queues.redis_scripts import ACKNOWLEDGE, BEGIN, BURY, FORGET_CONSUMERS, FORGET_DELETED, GIVE_BACK, run

GROUP = "penstock"
RETURNED = "returned"
"""The consumer that holds messages which wait to be delivered again. It never reads."""
MOST_PENDING = 10_000
MOST_DEAD_LETTERS = 100_000
"""About so many are kept, the newest: some 50 MB. What a File failed of is in its row as well."""
IDLE_CONSUMER_SECONDS = 600.0
MOST_FORGOTTEN = 100
"""Pending entries of which it is looked up in one go whether their message was deleted."""
MOST_LOOKED_AT = 1_000
"""Pending entries whose age is looked at in one go."""


class Counted(StrEnum):
    """What becomes of the attempt of a message that is given back."""

    ENDED = "ended"
    """It counts, and ended with a word."""
    FREE = "free"
    """It began and does not count."""
    UNBEGUN = "unbegun"
    """It never began."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Whether an attempt may be made now."""

    attempt: int
    """Attempts that began, with this one if it did."""
    began: bool
    """False for a suspect: an attempt before ended without a word, and this one has to be made alone."""


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases that one consumer, this process, holds on one stream."""

    client: Any
    """A `redis.asyncio.Redis` that does not decode; the library types its answers for all protocols at once."""
    queue: str
    stream: str
    """The key of the queue."""
    consumer: str
    lease_seconds: float

    async def create_group(self) -> None:
        """Create stream and group, at `0`: at `$` the messages that are there already would never be delivered."""
        try:
            await self.client.xgroup_create(self.stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def held(self) -> list[str]:
        """Ids of all messages this consumer holds: at work, or read ahead."""
        entries: Sequence[Mapping[str, Any]] = await self.client.xpending_range(
            self.stream, GROUP, "-", "+", MOST_PENDING, consumername=self.consumer
        )
        return [entry["message_id"].decode() for entry in entries]

    async def begin(self, message_id: str, *, alone: bool = False) -> Begun | None:
        """Count an attempt and start its lease; None where the message is another's now."""
        answer = await run(self.client, BEGIN, self._keys, GROUP, self.consumer, message_id, int(alone))
        return None if answer is None else Begun(answer[0], bool(answer[1]))

    async def give_back(self, message_id: str, counted: Counted, *, delay: float = 0) -> bool:
        """Let any worker have the message after `delay` seconds, at most the lease; False where it is another's now."""
        idle = max(0.0, self.lease_seconds - delay)
        answer = await run(
            *(self.client, GIVE_BACK, self._keys),
            *(GROUP, self.consumer, message_id, RETURNED, round(idle * 1000), counted.value),
        )
        return bool(answer)

    async def acknowledge(self, message_id: str) -> bool:
        """Forget the message, whoever holds its lease now; False where another did so before."""
        return bool(await run(self.client, ACKNOWLEDGE, self._keys, GROUP, message_id))

    async def bury(self, message_id: str, fields: Mapping[str, object]) -> bool:
        """Move the message to the dead letters; False where it is another's now."""
        answer = await run(
            *(self.client, BURY, (*self._keys, dead_letters_of(self.stream))),
            *(GROUP, self.consumer, message_id, json.dumps(fields), MOST_DEAD_LETTERS),
        )
        return bool(answer)

    async def forget_deleted(self) -> None:
        """Let go of messages that somebody deleted while they were pending."""
        await run(self.client, FORGET_DELETED, self._keys, GROUP, round(self.lease_seconds * 500), MOST_FORGOTTEN)

    async def begun_now(self) -> list[str]:
        """Ids of pending messages whose lease seems to have begun in this very millisecond."""
        entries: Sequence[Mapping[str, Any]] = await self.client.xpending_range(
            self.stream, GROUP, "-", "+", MOST_LOOKED_AT
        )
        return [entry["message_id"].decode() for entry in entries if entry["time_since_delivered"] == 0]

    async def expire(self, message_ids: Sequence[str]) -> None:
        """Let whoever is free have these messages at once."""
        idle = round(self.lease_seconds * 1000)
        await self.client.xclaim(self.stream, GROUP, RETURNED, 0, message_ids, idle=idle, justid=True)

    async def forget_idle_consumers(self) -> None:
        """Remove the consumers of Workers that are long gone: each start of one makes another."""
        await run(self.client, FORGET_CONSUMERS, (self.stream,), GROUP, round(IDLE_CONSUMER_SECONDS * 1000))

    @property
    def _keys(self) -> tuple[str, str]:
        """The stream, and the hash of attempts beside it."""
        return self.stream, f"{self.stream}-attempts"


def keys_of(stream: str) -> tuple[str, str, str, str]:
    """All keys of a queue: its stream, attempts, dead letters, and one that is never there."""
    return stream, f"{stream}-attempts", dead_letters_of(stream), f"{stream}-none"


def published_at(message_id: str) -> datetime:
    """A stream id begins with the milliseconds since 1970 at which Redis took the message."""
    return datetime.fromtimestamp(int(message_id.partition("-")[0]) / 1000, UTC)
