"""A deterministic engine without a model, for tests and for benchmarks of everything around the engine.

Chosen by `PENSTOCK_EMBEDDING_MODEL=fake://384?latency_ms=5&refuse=POISON`: dimensions, time of each
call, and a word whose texts are refused (the last two may be left out). Equal texts have equal
vectors; any two others are as good as orthogonal.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import numpy as np

from penstock.embedding.port import Embedded, Vector, well_formed
from penstock.errors import EmbeddingRefused, InvalidRequest, InvalidSettings
from penstock.settings import EmbeddingSettings

FAKE_SCHEME = "fake://"


class FakeEngine:
    """Hashes each text into a unit vector."""

    model = "fake"
    revision = "1"

    def __init__(
        self, dimensions: int, *, concurrency: int = 2, latency_seconds: float = 0, refuse: str | None = None
    ) -> None:
        self.dimensions = dimensions
        self.concurrency = concurrency
        self._latency_seconds = latency_seconds
        self._refuse = refuse

    @classmethod
    def of(cls, settings: EmbeddingSettings) -> FakeEngine:
        """The engine that a `fake://` address describes. Raises `InvalidSettings`."""
        address = urlsplit(settings.model)
        options = {name: values[-1] for name, values in parse_qs(address.query).items()}
        if not address.netloc.isdecimal() or int(address.netloc) == 0:
            raise InvalidSettings(f"PENSTOCK_EMBEDDING_MODEL is {settings.model}: fake:// wants dimensions, fake://384")
        try:
            return cls(
                int(address.netloc),
                concurrency=settings.concurrency,
                latency_seconds=float(options.get("latency_ms", 0)) / 1000,
                refuse=options.get("refuse"),
            )
        except ValueError as error:
            raise InvalidSettings(f"PENSTOCK_EMBEDDING_MODEL is {settings.model}: {error}") from error

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        await asyncio.sleep(self._latency_seconds)
        return [self._embed(text) for text in texts]

    async def embed_query(self, text: str) -> Vector:
        [embedded] = await self.embed_documents([text])
        if isinstance(embedded, EmbeddingRefused):
            raise InvalidRequest(embedded.message) from embedded
        return embedded

    async def close(self) -> None:
        """Nothing to close."""

    def _embed(self, text: str) -> Embedded:
        if self._refuse and self._refuse in text:
            return EmbeddingRefused(f"The fake engine refuses texts with {self._refuse}")
        bits = hashlib.shake_256(well_formed(text).encode()).digest(4 * self.dimensions)
        vector = np.frombuffer(bits, "<i4").astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))
