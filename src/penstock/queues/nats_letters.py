"""Dead letters on NATS: a stream of their own, each with the message and why it is there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from penstock.models import MESSAGE_TYPES, DeadLetter
from penstock.queues.nats_messages import Received
from penstock.queues.nats_wire import Wire
from penstock.queues.port import Bury

LETTER_ID = re.compile(r"[1-9][0-9]{0,18}")
MOST_REASON = 4_000
"""Characters of a reason, and of what cannot be read a quarter of them: far below what NATS takes."""
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Stands for the File of a dead letter that could not be read."""


def letter_of(queue: str, received: Received, verdict: Bury, *, worker: str) -> bytes:
    """What is kept of a message that is given up on."""
    letter = {
        "code": verdict.code,
        "reason": verdict.reason[:MOST_REASON],
        "attempts": received.attempt if verdict.attempts is None else verdict.attempts,
        "worker": worker,
        "first_at": received.published_at.isoformat(),
        "last_at": datetime.now(UTC).isoformat(),
        "message": _message(queue, received.body),
    }
    return json.dumps(letter).encode()


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters of all queues."""

    wire: Wire

    async def list(self, queue: str, *, limit: int, after: str | None) -> list[DeadLetter]:
        """Oldest first, those behind `after`."""
        found = await self.wire.letters(queue, limit=limit, after=int(after) if after else 0)
        return [_letter(queue, number, body) for number, body in found]

    async def find(self, queue: str, letter_id: str) -> DeadLetter | None:
        """One of them; None where it is gone."""
        if not LETTER_ID.fullmatch(letter_id):
            return None
        body = await self.wire.letter(queue, int(letter_id))
        return None if body is None else _letter(queue, int(letter_id), body)

    async def drop(self, queue: str, letter_id: str) -> DeadLetter | None:
        """Forget one of them; None where it is gone already."""
        found = await self.find(queue, letter_id)
        if found is None or not await self.wire.drop_letter(queue, int(letter_id)):
            return None
        return found


def _letter(queue: str, number: int, body: bytes) -> DeadLetter:
    kept = json.loads(body)
    return DeadLetter(dead_letter_id=str(number), queue=queue, file_id=kept["message"].get("file_id", NOBODY), **kept)


def _message(queue: str, body: bytes) -> dict[str, Any]:
    try:
        return MESSAGE_TYPES[queue].model_validate_json(body).model_dump(mode="json")
    except ValidationError:
        return {"unreadable": body.decode(errors="replace")[: MOST_REASON // 4]}
