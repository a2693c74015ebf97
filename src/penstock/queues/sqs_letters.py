"""Dead letters on SQS: the message as it was, on a queue of their own, with why it is there in its attributes.

SQS cannot look at a queue, only receive from it. A look takes all letters into its hands for a moment, and lets go of
them when it is done. They are numbered by when SQS got them, so that they have an order.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from penstock.errors import GaveUp
from penstock.models import MESSAGE_TYPES, DeadLetter
from penstock.queues.port import Bury, dead_letters_of
from penstock.queues.sqs_messages import (
    ATTEMPTS,
    PUBLISHED_AT,
    Entry,
    Received,
    counted_in,
    harmless,
    moment_in,
    shortened,
)
from penstock.queues.sqs_wire import Wire

MOST_READ = 1_000
"""Of more letters, the list shows some: each ten are one request, and they are in nobody else's sight meanwhile."""
MOST_REASON = 4_000
"""Characters of a reason."""
HIDDEN_SECONDS = 30
"""A look that is killed leaves the letters out of sight for so long."""
POLL_SECONDS = 1
"""Without waiting, SQS asks only some of its servers, and an empty answer means little."""
PATIENCE_SECONDS = 5.0
"""Another process may be looking at the same moment."""
LETTER_ID = re.compile(r"[0-9]{1,16}-[A-Za-z0-9-]{1,100}")
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for the File of a dead letter that could not be read."""
LAST_RESORT = "SQS handed it out {receives} times, and each worker ended without a word; their logs may say why."


def letter_of(received: Received, verdict: Bury, *, worker: str) -> Entry:
    """What is kept of a message that is given up on."""
    attributes = {
        "code": verdict.code,
        "reason": verdict.reason[:MOST_REASON],
        ATTEMPTS: str(received.attempt if verdict.attempts is None else verdict.attempts),
        "worker": worker,
        PUBLISHED_AT: received.published_at.isoformat(),
        "dead_at": datetime.now(UTC).isoformat(),
    }
    return shortened(Entry(received.body, {name: harmless(value) for name, value in attributes.items()}))


@dataclass(slots=True)
class Letters:
    """The dead letters of all queues."""

    wire: Wire
    most_receives: int
    """Of a message, before SQS itself takes it to the dead letters."""
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def list(self, queue: str, *, limit: int, after: str | None) -> list[DeadLetter]:
        """Oldest first, those behind `after`."""
        async with self._look(queue, lambda _: False) as found:
            letters = [self._letter(queue, received) for received in found]
        letters.sort(key=lambda letter: _order(letter.dead_letter_id))
        behind = [letter for letter in letters if after is None or _order(letter.dead_letter_id) > _order(after)]
        return behind[:limit]

    async def find(self, queue: str, letter_id: str, *, drop: bool = False) -> DeadLetter | None:
        """One of them, which is dropped if it is to be; None where it is gone."""
        if not LETTER_ID.fullmatch(letter_id):
            return None
        async with self._look(queue, lambda received: _id_of(received) == letter_id) as found:
            received = next((one for one in found if _id_of(one) == letter_id), None)
            if received is None:
                return None
            if drop:
                await self.wire.delete(dead_letters_of(queue), received.handle)
                found.remove(received)
            return self._letter(queue, received)

    @asynccontextmanager
    async def _look(self, queue: str, last: Callable[[Received], bool]) -> AsyncGenerator[list[Received]]:
        """All letters, up to the `last` that is looked for; they are in sight again when the block ends."""
        dead = dead_letters_of(queue)
        found: dict[str, Received] = {}
        held: list[Received] = []
        async with self._looking:  # two looks at once would each find a part
            try:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while len(found) < MOST_READ and not any(map(last, found.values())):
                    letters = await self.wire.receive(dead, 10, lease=HIDDEN_SECONDS, poll=POLL_SECONDS)
                    found |= {letter.message_id: letter for letter in letters}
                    if not letters and (await self._are_ours(dead, len(found)) or time.monotonic() > deadline):
                        break
                held = list(found.values())
                yield held
            finally:
                in_hands = held or list(found.values())
                await self.wire.renew(dead, [letter.handle for letter in in_hands], 0)

    async def _are_ours(self, dead: str, count: int) -> bool:
        """Whether nobody else has letters in hands."""
        return (await self.wire.counts(dead)).in_flight <= count

    def _letter(self, queue: str, received: Received) -> DeadLetter:
        kept = received.attributes
        message = _message(queue, received.body)
        by_us = "code" in kept
        counted = counted_in(kept)
        return DeadLetter(
            dead_letter_id=_id_of(received),
            queue=queue,
            file_id=message.get("file_id", NOBODY),
            code=kept["code"] if by_us else GaveUp.code,
            reason=kept.get("reason", "") if by_us else LAST_RESORT.format(receives=self.most_receives),
            attempts=counted if by_us else counted + self.most_receives,
            worker=kept.get("worker", "unknown"),
            first_at=received.published_at,
            last_at=moment_in(kept, "dead_at") or received.sent_at,
            message=message,
        )


def _id_of(received: Received) -> str:
    return f"{round(received.sent_at.timestamp() * 1000)}-{received.message_id}"


def _order(letter_id: str) -> tuple[int, str]:
    sent, _, message_id = letter_id.partition("-")
    return int(sent), message_id


def _message(queue: str, body: str) -> dict[str, Any]:
    try:
        MESSAGE_TYPES[queue].model_validate_json(body)
    except ValidationError:
        return {"unreadable": body[:1000]}
    return json.loads(body)
