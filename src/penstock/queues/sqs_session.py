"""One Worker's consumption of one queue on SQS: how it is asked, obeyed and given back to.

A Worker takes no more than it can begin at once, so that SQS' own count of receives is that of attempts. What was
handed out before and not settled is a suspect (`pull_session.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.queues.port import Bury, Done, Retry, Verdict, dead_letters_of
from penstock.queues.pull_session import PullSession
from penstock.queues.sqs_letters import letter_of
from penstock.queues.sqs_messages import Received
from penstock.queues.sqs_wire import Wire

log = structlog.get_logger()

MOST_DELAY = 900
"""Seconds; SQS hides a new message no longer."""


@dataclass(slots=True, kw_only=True)
class SqsSession(PullSession[Received]):
    """Consumes one queue until it is told to stop."""

    wire: Wire
    lease: int
    poll: int
    """Both in whole seconds: SQS knows no others."""
    _poll: asyncio.Task[list[Received]] | None = None
    """A long poll that is under way. It cannot be taken back: what it brings is ours."""

    async def _ask(self, most: int, stop: asyncio.Event) -> Sequence[Received]:
        poll = asyncio.create_task(self.wire.receive(self.queue, most, lease=self.lease, poll=self.poll))
        self._poll = poll
        await self._until(stop, poll)
        if stop.is_set():
            return []  # what it brings is given back at the end
        self._poll = None
        return poll.result()

    async def _alone(self, suspect: Received) -> Received:
        return suspect

    async def _obey(self, received: Received, verdict: Verdict) -> None:
        if isinstance(verdict, Done):
            # Also when the lease was lost meanwhile: the work is committed, nobody needs to do it again.
            await self._forget(received)
        elif await self.wire.renew(self.queue, [received.handle], self.lease):
            self._report_loss(received)
        elif isinstance(verdict, Retry):
            await self._try_again(received, counts=verdict.burns_attempt, delay=verdict.delay)
        else:
            await self._bury(received, verdict)

    async def _try_again(self, received: Received, *, counts: bool, delay: float = 0) -> None:
        copy = received.copy(counts=counts, delay=min(MOST_DELAY, math.ceil(delay)))
        await self.wire.send(self.queue, [copy])
        reach("queue.message_given_back")
        await self._forget(received)

    async def _bury(self, received: Received, verdict: Bury) -> None:
        await self.wire.send(dead_letters_of(self.queue), [letter_of(received, verdict, worker=self.worker)])
        reach("queue.message_buried")
        await self._forget(received)

    async def _forget(self, received: Received) -> None:
        """Not told so, SQS hands the message out again, beside its copy or its letter: the work is repeated."""
        try:
            await self.wire.delete(self.queue, received.handle)
            reach("queue.message_acknowledged")
        except ServiceUnavailable:
            self._unsettled[received.handle] = partial(self._forget, received)

    async def _give_back(self, messages: Sequence[Received]) -> None:
        for received in messages:
            try:
                await self._try_again(received, counts=False)
                reach("queue.all_given_back")
            except ServiceUnavailable as error:  # its lease runs out, and it comes back as a suspect
                log.warning(
                    "message not given back", queue=self.queue, message_id=received.message_id, error=str(error)
                )

    async def _finish(self) -> None:
        if self._poll is not None:
            with suppress(ServiceUnavailable):  # then it brings nothing
                await self._give_back(await self._poll)
