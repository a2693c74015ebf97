"""What the API stands on, opened in the background: it listens at once and becomes ready later."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import TypeVar

import structlog

from penstock.api.bucket import following
from penstock.errors import ServiceUnavailable
from penstock.pipeline.mirror import Watched
from penstock.pipeline.recover import recover
from penstock.services import Embedding, Services, open_embedding, open_services
from penstock.settings import Settings
from penstock.tasks import beside

log = structlog.get_logger()

T = TypeVar("T")

EMBEDDING_PATIENCE_SECONDS = 10.0
"""How long a search waits for the model to be loaded, which takes about a second."""
LONGEST_PAUSE_SECONDS = 5.0
RECOVER_SECONDS = 15.0
"""Workers look for lost Files more often, and are nearly always first. Without them each File goes on within 30 s."""


class Opening:
    """The services, the embedding engine, and why they are not there yet."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.problem = "It is starting."
        """What is waited for, in a sentence."""
        self.draining = False
        """Asked to stop; requests are served a little longer."""
        self._services: Services | None = None
        self._embedding: Embedding | None = None
        self._embedding_opened = asyncio.Event()
        self._is_away = False

    @property
    def services(self) -> Services:
        """Raises `ServiceUnavailable` while something of it is away."""
        if self._services is None:
            raise ServiceUnavailable(f"Penstock is not ready yet. {self.problem}", retry_after=1)
        return self._services

    @property
    def embedding(self) -> Embedding:
        """Raises `ServiceUnavailable` while the model is being loaded."""
        if self._embedding is None:
            raise ServiceUnavailable(f"The embedding model is not loaded yet. {self.problem}", retry_after=1)
        return self._embedding

    async def wait_for_embedding(self) -> Embedding:
        """The engine, as soon as it is there. Raises `ServiceUnavailable` where that takes too long."""
        if self._is_away:
            return self.embedding
        try:
            async with asyncio.timeout(EMBEDDING_PATIENCE_SECONDS):
                await self._embedding_opened.wait()
        except TimeoutError:
            pass  # the property says what is wrong
        return self.embedding

    async def hold(self, on_ready: Callable[[], None]) -> None:
        """Open everything, trying until it works, and keep it open until cancelled.

        The bucket's events come last: while their queue is away all else works. Raises `SetupError` where waiting is
        no use.
        """
        watched = Watched.of(self.settings) if self.settings.bucket.events_url else None
        async with AsyncExitStack() as opened:
            self._services = await self._open(opened, partial(open_services, self.settings, role="api"))
            await opened.enter_async_context(self._services.dispatcher.running())
            await opened.enter_async_context(beside(_recover(self._services)))
            self._embedding = await self._open(opened, partial(open_embedding, self._services))
            self._embedding_opened.set()
            on_ready()
            if watched is not None:
                await self._open(opened, partial(following, self._services, watched))
            await asyncio.get_running_loop().create_future()  # nobody resolves it: `hold` ends by being cancelled

    async def _open(self, opened: AsyncExitStack, opener: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        for pause in _pauses():
            try:
                found = await opened.enter_async_context(opener())
            except ServiceUnavailable as error:
                self._note(error)
            else:
                self._is_away = False
                return found
            await asyncio.sleep(pause)
        raise AssertionError("the pauses never end")

    def _note(self, error: ServiceUnavailable) -> None:
        self.problem = error.message
        if not self._is_away:
            log.warning("a service is away; waiting for it", reason=error.message)
        self._is_away = True


def _pauses() -> Iterator[float]:
    return (min(0.25 * 2**tries, LONGEST_PAUSE_SECONDS) for tries in itertools.count())


async def _recover(services: Services) -> None:
    """Look for lost Files, again and again: where no Worker runs nobody else does, and none is started for them."""
    while True:
        try:
            if await recover(database=services.database, queues=services.queues):
                services.dispatcher.wake()
        except ServiceUnavailable as error:
            log.debug("cannot look for lost files now", reason=error.message)
        await asyncio.sleep(RECOVER_SECONDS)
