"""The Embedder: `embed`, bound to the embedding-queue."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from penstock.models import EMBEDDING_QUEUE, MAX_CHUNKS_PER_MESSAGE
from penstock.pipeline.embed import embed
from penstock.services import Embedding, Services, open_embedding
from penstock.settings import Settings
from penstock.workers import metrics, process
from penstock.workers.attempt import Step

TYPICAL_CHUNK_TOKENS = 128
LEAST_LIMIT_SECONDS = 900.0


class Embedder:
    """Embeds Chunks."""

    name = "embedder"
    queue = EMBEDDING_QUEUE

    def concurrency(self, settings: Settings) -> int:
        """Enough messages in hand to fill every batch at work and as many again: none waits for the database."""
        batch = settings.embedding.batch_tokens / TYPICAL_CHUNK_TOKENS
        return max(4, round(2 * settings.embedding.concurrency * batch / MAX_CHUNKS_PER_MESSAGE))

    def hard_limit(self, settings: Settings) -> float:
        """A message waits for the batches before it, and a remote service may ask to wait."""
        return max(LEAST_LIMIT_SECONDS, 10 * settings.embedding.timeout_seconds)

    @asynccontextmanager
    async def open_step(self, services: Services) -> AsyncGenerator[Step]:
        async with open_embedding(services) as embedding:
            _measure(embedding)
            yield partial(
                embed,
                database=services.database,
                batcher=embedding.batcher,
                model_id=embedding.index.model_id,
            )


def _measure(embedding: Embedding) -> None:
    """Let the metrics read the batcher's counts when somebody asks for them."""
    batcher = embedding.batcher
    metrics.CAPACITY.set(batcher.batch_tokens)
    metrics.CONCURRENCY.set(embedding.engine.concurrency)
    metrics.TEXTS.set_function(lambda: batcher.counts.texts)
    metrics.TOKENS.set_function(lambda: batcher.counts.tokens)
    metrics.BATCHES.set_function(lambda: batcher.counts.batches)
    metrics.BUSY.set_function(lambda: batcher.counts.busy_seconds)


def run(settings: Settings) -> None:
    """The `penstock embedder` role."""
    process.run(Embedder(), settings)
