"""What every queue does for Penstock: the port, in values and five calls.

A queue delivers a message at least once, to one worker at a time, under a *lease* that the
implementation renews while the handler runs. The handler returns a `Verdict`; the implementation
obeys it. `tests/contract/queue_contract.py` is the specification that each implementation passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from penstock import tracing
from penstock.models import DeadLetter, EmbedRequest, Message, QueueDepth


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, handed to one worker."""

    queue: str
    message: Message
    attempt: int
    """1 for the first; one whose worker died counts, one that was only read ahead does not."""
    published_at: datetime
    worker: str
    traceparent: str | None = None
    """The context of its trace, which the message carried as a header; None where it had none."""


@dataclass(frozen=True, slots=True)
class Done:
    """The work is committed (or was not needed): acknowledge and forget the message."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Deliver again after `delay` seconds, to whichever worker is free."""

    delay: float
    burns_attempt: bool = True


@dataclass(frozen=True, slots=True)
class Bury:
    """Give up: move the message to the dead letters with its reason."""

    code: str
    reason: str
    attempts: int | None = None
    """How many there were, where that is not the number of this one."""


Verdict = Done | Retry | Bury
Handler = Callable[[Delivery], Awaitable[Verdict]]


class Queues(Protocol):
    """All queues of one broker."""

    @property
    def leases_lost(self) -> int:
        """Messages that this process had in hand and found to be another's when it settled them.

        No broker is asked more for it: of a message that two processes have done, Redis tells the second, SQS neither.
        """
        ...

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Send, each with its `headers_of`; returns when the broker has them. Raises `ServiceUnavailable`."""
        ...

    async def consume(
        self, queue: str, handler: Handler, *, concurrency: int, hard_limit: float, stop: asyncio.Event
    ) -> None:
        """Deliver messages to `handler`, at most `concurrency` at once, until `stop` is set.

        A handler ends within `hard_limit` seconds; the lease of its message is renewed no longer, and a process
        that holds one far beyond it is killed. A message whose worker died is delivered alone.

        Then takes nothing new, waits for the handlers at work, for at most the drain limit, gives
        the rest back at once without burning an attempt, and returns. Outlives a broker that goes
        away, or that comes back empty.
        """
        ...

    async def depths(self) -> dict[str, QueueDepth]:
        """What is on each queue. Raises `ServiceUnavailable`."""
        ...

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        """The Files that the messages of this queue are about: waiting, to be tried again, or in a worker's hands.

        None where the broker cannot tell, or not of so many. Raises `ServiceUnavailable`.
        """
        ...

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        """The dead letters of a queue, oldest first, from behind the id `after`."""
        ...

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        """One dead letter; None where it is gone."""
        ...

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        """Forget a dead letter; None where it is gone already."""
        ...

    async def close(self) -> None: ...


def headers_of(queue: str, message: Message) -> dict[str, str]:
    """What a broker carries beside a message that is published now: its trace context, where there are traces."""
    chunks = {"chunks": len(message.chunk_ids)} if isinstance(message, EmbedRequest) else {}
    return tracing.publishing(queue, message.file_id, message.generation, **chunks)


def dead_letters_of(queue: str) -> str:
    """The queue, or stream, that holds the dead letters of one of ours."""
    return f"{queue}-dead-letters"
