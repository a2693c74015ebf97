"""Texts to vectors: the port, the engines that implement it, and the batcher in front of them.

`open_engine(settings)` gives the `EmbeddingEngine` that the settings ask for: OpenVINO on this
machine, or an OpenAI-compatible service. A `Batcher` in front of it forms the batches.
"""

from __future__ import annotations

import asyncio

from penstock.embedding.batcher import Batcher, BatcherCounts
from penstock.embedding.chunk_recipe import recipe
from penstock.embedding.fake import FAKE_SCHEME, FakeEngine
from penstock.embedding.model import locate_model
from penstock.embedding.port import Embedded, EmbeddingEngine, Vector
from penstock.settings import EmbeddingSettings

__all__ = ["Batcher", "BatcherCounts", "Embedded", "EmbeddingEngine", "Vector", "open_engine", "recipe"]


async def open_engine(settings: EmbeddingSettings) -> EmbeddingEngine:
    """The engine that the settings ask for, ready for work; loads off the event loop.

    Raises `ModelUnavailable` or `InvalidSettings`; for a remote model, whose service is asked for the
    length of its vectors unless the settings tell it, `ServiceUnavailable` too.
    """
    if settings.model.startswith(FAKE_SCHEME):
        return FakeEngine.of(settings)
    if settings.url is not None:
        from penstock.embedding.openai import OpenAiEngine  # noqa: PLC0415  (httpx takes 0.3 s, which others do without)

        return await OpenAiEngine.connect(settings)
    return await asyncio.to_thread(_open_local, settings)


def _open_local(settings: EmbeddingSettings) -> EmbeddingEngine:
    from penstock.embedding.openvino import OpenVinoEngine  # noqa: PLC0415  (loads OpenVINO, which others do without)

    return OpenVinoEngine(locate_model(settings), settings)
