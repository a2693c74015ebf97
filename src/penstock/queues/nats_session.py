"""One Worker's consumption of one queue on NATS: how it is asked, obeyed and given back to.

JetStream obeys whoever was ever handed a message. Before anything is given back or buried, the ledger has to say that
it is still ours, and then says that it is not any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.queues.nats_letters import letter_of
from penstock.queues.nats_messages import Received
from penstock.queues.nats_wire import Wire
from penstock.queues.port import Bury, Done, Retry, Verdict
from penstock.queues.pull_session import PullSession

log = structlog.get_logger()

TERMINATED = b"+TERM"
"""Forget a message that was not done: JetStream tells those who listen to its advisories."""


@dataclass(slots=True, kw_only=True)
class NatsSession(PullSession[Received]):
    """Consumes one queue until it is told to stop."""

    wire: Wire
    poll: float

    async def _ask(self, most: int, stop: asyncio.Event) -> Sequence[Received]:  # noqa: ARG002  # it cannot be called off
        return await self.wire.take(self.queue, most, poll=self.poll)

    async def _alone(self, suspect: Received) -> Received | None:
        return await self.wire.begin_alone(self.queue, suspect)

    async def _obey(self, received: Received, verdict: Verdict) -> None:
        if isinstance(verdict, Done):
            # Also when the lease was lost meanwhile: the work is committed, nobody needs to do it again.
            await self.wire.delete(self.queue, received)
            reach("queue.message_acknowledged")
        elif not await self.wire.let_go(
            self.queue, received, counts=isinstance(verdict, Bury) or verdict.burns_attempt
        ):
            self._report_loss(received)
        elif isinstance(verdict, Retry):
            await self.wire.give_back(self.queue, received, delay=verdict.delay)
            reach("queue.message_given_back")
        else:
            await self._bury(received, verdict)

    async def _bury(self, received: Received, verdict: Bury) -> None:
        letter = letter_of(self.queue, received, verdict, worker=self.worker)
        # After a worker that dies here another one buries the message again: there is one letter all the same.
        await self.wire.send(self.queue, letter, once=f"{received.made_at} {received.message_id}")
        reach("queue.message_buried")
        await self.wire.forget(self.queue, received, TERMINATED)

    async def _give_back(self, messages: Sequence[Received]) -> None:
        for received in messages:
            try:
                if await self.wire.let_go(self.queue, received, counts=False):
                    await self.wire.give_back(self.queue, received)
                    reach("queue.all_given_back")
            except ServiceUnavailable as error:  # its lease runs out, and it comes back
                log.warning(
                    "message not given back", queue=self.queue, message_id=received.message_id, error=str(error)
                )

    async def _finish(self) -> None:
        """Nothing comes late: each request is waited for to its end."""
