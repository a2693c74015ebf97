"""A queue on SQS that somebody else fills: each message is deleted when what it asks for is done, never before.

Done twice it changes nothing, so that no lease has to be kept at any price: the heartbeat here is a task. What cannot
be done is put back for longer and longer, until the queue's own redrive policy takes it to its dead letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import structlog

from penstock.errors import InvalidSettings, PenstockError, ServiceUnavailable
from penstock.queues.sqs_address import inbox_address
from penstock.queues.sqs_client import is_refusal
from penstock.queues.sqs_messages import MOST_ENTRIES, Received
from penstock.queues.sqs_wire import NoSuchQueueError, Wire
from penstock.tasks import beside

log = structlog.get_logger()

POLL_SECONDS = 5
"""As for our own queues: who stops waits for its end, since what it brings would else be hidden for a lease."""
LEASE_SECONDS = 60
RENEW_SECONDS = 20.0
PAUSE_SECONDS = 1.0
"""Before SQS is asked again after it did not answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds between two tries while a service is away."""
HELD_SECONDS = 600.0
"""How long a message is tried while a service is away, before it is put back: SQS counts how often it hands it out."""
FIRST_BACK, LONGEST_BACK = 60, 3600
"""Seconds for which a message that cannot be followed is put back; doubled each time."""

Take = Callable[[str], Awaitable[None]]
"""Does what the body of a message asks for, however often. Raises `ServiceUnavailable` where that has to wait."""


class SqsInbox:
    """The queue behind PENSTOCK_BUCKET_EVENTS_URL. Raises `InvalidSettings` for a URL that is none."""

    def __init__(self, url: str, *, poll_seconds: int = POLL_SECONDS) -> None:
        self._poll_seconds = poll_seconds
        address, self._queue = inbox_address(url)
        self._wire = Wire(address, poll_seconds=poll_seconds, most_receives=1, makes_queues=False)
        self._poll: asyncio.Task[list[Received]] | None = None
        """Under way: it cannot be taken back, and what it brings is ours."""
        self._held: dict[str, Received] = {}
        """By handle, what is in our hands."""
        self._away = False

    async def open(self) -> None:
        """Find the queue. Raises `InvalidSettings` where there is none or we are not let in."""
        try:
            await self._wire.ensure(self._queue)
        except ServiceUnavailable as error:
            if not (isinstance(error.__cause__, NoSuchQueueError) or is_refusal(error.__cause__)):
                raise
            raise InvalidSettings(
                f"PENSTOCK_BUCKET_EVENTS_URL: {error.message} It has to be there, for S3 to send to, and let us in."
            ) from error

    @asynccontextmanager
    async def consumed_by(self, take: Take) -> AsyncGenerator[None]:
        """Give each message to `take` while the block runs; what is not done then is given back."""
        try:
            async with beside(self._consume(take)):
                yield
        finally:
            await self._give_back()

    async def close(self) -> None:
        await self._wire.close()

    async def _consume(self, take: Take) -> None:
        async with beside(self._renew()):
            while True:
                try:
                    received = await self._receive()
                except ServiceUnavailable as error:
                    self._say(error)
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    await asyncio.gather(*(self._settle(message, take) for message in received))

    async def _receive(self) -> list[Received]:
        self._poll = asyncio.create_task(
            self._wire.receive(self._queue, MOST_ENTRIES, lease=LEASE_SECONDS, poll=self._poll_seconds)
        )
        try:
            received = await asyncio.shield(self._poll)
        except ServiceUnavailable:
            self._poll = None
            raise
        self._held = {message.handle: message for message in received}
        self._poll = None
        return received

    async def _settle(self, message: Received, take: Take) -> None:
        """Returns when the message is deleted or put back."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HELD_SECONDS
        for pause in _pauses():
            try:
                await take(message.body)
                await self._wire.delete(self._queue, message.handle)
            except ServiceUnavailable as error:
                self._say(error)
                if loop.time() < deadline:
                    await asyncio.sleep(pause)
                    continue
                await self._put_back(message, error)
            except PenstockError as error:
                await self._put_back(message, error)
            except Exception:
                log.exception("unexpected error", message_id=message.message_id)
                await self._put_back(message, PenstockError())
            else:
                self._away = False
            del self._held[message.handle]
            return

    async def _put_back(self, message: Received, error: PenstockError) -> None:
        seconds = min(FIRST_BACK * 2 ** min(message.receives - 1, 10), LONGEST_BACK)
        log.warning(
            "a message about the bucket is put back",
            message_id=message.message_id,
            receives=message.receives,
            seconds=seconds,
            code=error.code,
            reason=error.message,
        )
        with suppress(ServiceUnavailable):  # then it comes back when its lease ends
            await self._wire.renew(self._queue, [message.handle], seconds)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(ServiceUnavailable):  # what another one is handed too is done twice
                await self._wire.renew(self._queue, list(self._held), LEASE_SECONDS)

    async def _give_back(self) -> None:
        handles = list(self._held)
        with suppress(ServiceUnavailable):  # then all comes back when its lease ends
            if self._poll is not None:
                handles += [message.handle for message in await self._poll]
            await self._wire.renew(self._queue, handles, 0)

    def _say(self, error: ServiceUnavailable) -> None:
        if not self._away:
            log.warning("a service is away; events of the bucket wait for it", code=error.code, reason=error.message)
        self._away = True


def _pauses() -> Iterator[float]:
    return (min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE) for tries in count())
