"""One request for messages of a consumer, and what comes of it.

It cannot be called off: JetStream looks whether somebody listens, and hands out after that. What came in between would
be heard by nobody, and hidden for a lease. Who stops waits for its end.
"""

from __future__ import annotations

import asyncio

from nats.aio.msg import Msg

from penstock.queues.nats_client import Connection

BUSY = frozenset({"404", "408"})
"""Nothing there now; nothing came in time, or nothing more."""


class Pull:
    """One request for messages, and what came of it."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._changed = asyncio.Event()
        self._over = False
        self._good = True
        self.problem = "nobody hands out its messages"
        self.found: list[Msg] = []

    async def ask(self, subject: str, request: bytes) -> None:
        inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe(inbox, cb=self._hear)  # pyright: ignore[reportUnknownMemberType]  # a bare Future
        await self._connection.publish(subject, request, reply=inbox)

    async def answered(self, seconds: float) -> bool:
        """Until the answer is complete; False where none comes."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, self._connection.lost}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._connection.lost.done():
            self.problem = "the connection was lost"
        return self._over and self._good

    async def end(self) -> None:
        if not self._connection.is_closed:
            await self._subscription.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        if message.reply:
            self.found.append(message)
            self._over = self._over or len(self.found) >= self._most
        else:
            self._over = True
            headers = message.headers or {}
            self._good = headers.get("Status", "") in BUSY
            self.problem = headers.get("Description", headers.get("Status", self.problem))
        if self._over:
            self._changed.set()
