"""The remote engine: any service that speaks OpenAI's embeddings API (OpenAI, Azure, TEI, vLLM, Ollama)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

import httpx

from penstock.embedding.openai_wire import Rejected, address_of, body_of, embedded_of, failure_of, headers_of
from penstock.embedding.port import Embedded, Vector
from penstock.errors import EmbeddingRefused, InvalidRequest, RateLimited, ServiceUnavailable
from penstock.settings import EmbeddingSettings

HARMLESS = "penstock"
"""A text that any embedding service takes."""
CONNECT_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0
"""Who is told to wait longer asks again after a minute: somebody may have raised the limit meanwhile."""


class OpenAiEngine:
    """Asks an embedding service. Open with `connect()`.

    Where the service rejects a batch, the batch is halved until the texts that it will not take are
    known, so that all others get their vectors. Never waits out a rate limit or an outage: it raises,
    and the queue delivers the work again later.
    """

    def __init__(self, settings: EmbeddingSettings, *, service: _Service, dimensions: int) -> None:
        self._settings = settings
        self._service = service
        self._dimensions = dimensions

    @classmethod
    async def connect(cls, settings: EmbeddingSettings) -> OpenAiEngine:
        """The engine; asks the service how long its vectors are, unless the settings say so.

        Raises `InvalidSettings`, `RateLimited` or `ServiceUnavailable`.
        """
        service = _Service(settings)
        try:
            dimensions = settings.dimensions or await _measure(service)
        except BaseException:
            await service.close()
            raise
        return cls(settings, service=service, dimensions=dimensions)

    @property
    def model(self) -> str:
        return self._settings.model

    @property
    def revision(self) -> str:
        """Services do not tell which weights they run; vectors shortened differently do not compare."""
        return f"remote-{self._dimensions}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def concurrency(self) -> int:
        return self._settings.concurrency

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        size = self._settings.batch_texts
        embedded: list[Embedded] = []
        for start in range(0, len(texts), size):
            embedded += await self._embed(texts[start : start + size])
        return embedded

    async def embed_query(self, text: str) -> Vector:
        [embedded] = await self._embed([text])
        if isinstance(embedded, EmbeddingRefused):
            raise InvalidRequest(f"The query cannot be embedded. {embedded.message}") from embedded
        return embedded

    async def close(self) -> None:
        await self._service.close()

    async def _embed(self, texts: Sequence[str]) -> list[Embedded]:
        try:
            return await self._service.embed(texts, dimensions=self._dimensions)
        except Rejected:
            await _measure(self._service)  # who rejects even that is set up wrongly, or broken: no text is to blame
            return await self._sift(texts)

    async def _sift(self, texts: Sequence[str]) -> list[Embedded]:
        """Outcomes of texts that were rejected together; each text that is rejected alone is refused."""
        if len(texts) == 1:
            return await self._embed_or_halve(texts)
        middle = len(texts) // 2
        return [*await self._embed_or_halve(texts[:middle]), *await self._embed_or_halve(texts[middle:])]

    async def _embed_or_halve(self, texts: Sequence[str]) -> list[Embedded]:
        try:
            return await self._service.embed(texts, dimensions=self._dimensions)
        except Rejected as rejection:
            if len(texts) > 1:
                return await self._sift(texts)
            await _measure(self._service)  # it may have broken down meanwhile, and a refusal is for good
            return [EmbeddingRefused(f"The embedding service refuses a text of the file: {rejection}")]


class _Service:
    """The HTTP side: one request, and what its failure means.

    Asks nothing while a rate limit lasts: all that waits would be asked and rejected again, and
    services count that too.
    """

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._address = address_of(settings)
        self._client = httpx.AsyncClient(
            headers=headers_of(settings),
            timeout=httpx.Timeout(settings.timeout_seconds, connect=min(CONNECT_SECONDS, settings.timeout_seconds)),
        )
        self._limited_until = -math.inf
        """On the monotonic clock."""

    async def close(self) -> None:
        await self._client.aclose()

    async def embed(self, texts: Sequence[str], *, dimensions: int | None) -> list[Embedded]:
        """Outcomes in the order of `texts`. Raises `Rejected`, `RateLimited` or `ServiceUnavailable`."""
        pause = self._limited_until - time.monotonic()
        if pause > 0:
            raise RateLimited(retry_after=pause)
        response = await self._answer(body_of(texts, self._settings))
        if failure := failure_of(response, self._settings):
            self._remember(failure)
            raise failure
        return embedded_of(response, count=len(texts), dimensions=dimensions)

    def _remember(self, failure: Exception) -> None:
        if isinstance(failure, RateLimited) and failure.retry_after is not None:
            self._limited_until = time.monotonic() + min(failure.retry_after, LONGEST_PAUSE_SECONDS)

    async def _answer(self, body: dict[str, Any]) -> httpx.Response:
        limit = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(limit):  # httpx limits each read, not a body that drips in for ever
                return await self._post(body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ServiceUnavailable(f"The embedding service did not answer in {limit:g} s") from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServiceUnavailable(f"The embedding service cannot be reached: {reason}") from error

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        """A connection that was kept open may be closed by the service just as it is used: one more try."""
        try:
            return await self._client.post(self._address, json=body)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            return await self._client.post(self._address, json=body)


async def _measure(service: _Service) -> int:
    """Length of the service's vectors. Raises `ServiceUnavailable` where it does not take even a harmless text."""
    try:
        [embedded] = await service.embed([HARMLESS], dimensions=None)
    except Rejected as rejection:
        raise ServiceUnavailable(
            f"The embedding service rejects every text: {rejection}; check the settings PENSTOCK_EMBEDDING_*"
        ) from rejection
    if isinstance(embedded, EmbeddingRefused):
        raise ServiceUnavailable(embedded.message) from embedded
    return embedded.size
