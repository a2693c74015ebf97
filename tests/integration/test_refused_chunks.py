"""A text that the embedding service will not take, in a batch with those of other Files."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from embedding_service import DIMENSIONS, POISON, EmbeddingService, Reply, Request, behave, embedding_service
from pipeline_services import Pipeline, open_pipeline

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, EmbedRequest, FileStatus, IngestRequest, Message
from penstock.pipeline.embed import embed
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Bury, Delivery, Done, Verdict
from penstock.workers.attempt import Attempts
from penstock.workers.outage import Outage

pytestmark = pytest.mark.slow

OTHERS = 3
"""With the refused one as many messages as the embedding-queue has room for while nobody works on it."""
PARAGRAPH = " and its paragraph goes on for long enough to be a Chunk by itself." * 3


def fails_as_a_whole(request: Request) -> Reply:
    """As Ollama does: one text on which the model fails is an internal error of the request."""
    if any(POISON in text for text in request.texts):
        return Reply({"error": "the model tripped"}, 500)
    return behave(request)


@pytest.mark.parametrize(("behaviour", "words"), [(behave, "input refused"), (fails_as_a_whole, "the model tripped")])
async def test_fails_its_own_file_and_says_which_chunk_and_why(
    behaviour: object, words: str, migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with embedding_service() as service:
        service.always = behaviour  # pyright: ignore[reportAttributeAccessIssue]  # parametrize knows no types
        remote = {
            "PENSTOCK_EMBEDDING_URL": service.url,
            "PENSTOCK_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "PENSTOCK_EMBEDDING_MAX_TOKENS": "64",
            "PENSTOCK_EMBEDDING_CONCURRENCY": "1",
        }
        async with open_pipeline(migrated_url, redis_url, tmp_path, "remote", **remote) as pipeline:
            for number in range(OTHERS):
                await pipeline.submit(f"File {number}{PARAGRAPH}\n\nMore of {number}{PARAGRAPH}", f"{number}.txt")
            bad = await pipeline.submit(f"First{PARAGRAPH}\n\n{POISON}{PARAGRAPH}\n\nLast{PARAGRAPH}", "bad.txt")
            while request := pipeline.asked.take(INGEST_QUEUE):
                await pipeline.ingest(IngestRequest.model_validate(request.model_dump()))
            verdicts = await in_one_batch(pipeline, service)
            assert [type(verdict) for verdict in verdicts.values()].count(Done) == OTHERS
            assert isinstance(verdicts[str(bad.file_id)], Bury)
            statuses = await pipeline.values(b"select name, status from files order by name")
            assert statuses == [*((f"{number}.txt", "complete") for number in range(OTHERS)), ("bad.txt", "failed")]
            file = await pipeline.file(bad.file_id)
            assert file.status is FileStatus.FAILED
            assert file.error is not None
            assert file.error.code == "embedding_refused"
            assert "Chunk 1 cannot be embedded" in file.error.message
            assert words in file.error.message
            [[without]] = await pipeline.values(
                b"select count(*) from chunks left join embeddings using (chunk_id) where embeddings is null"
            )
            assert without == 1, "the File's other Chunks have their vectors"


async def in_one_batch(pipeline: Pipeline, service: EmbeddingService) -> dict[str, Verdict]:
    """Let an Embedder's handler work on all messages at once: verdicts by File."""
    batcher = pipeline.embedding.batcher
    database = pipeline.services.database
    step = partial(
        embed,
        database=database,
        batcher=batcher,
        model_id=pipeline.embedding.index.model_id,
    )
    handle = Attempts(step, RetryPolicy(), database, Outage(asyncio.Event()), 60)
    service.answering.clear()
    busy = asyncio.create_task(batcher.embed(["busy"], [1]))  # so that all else waits for one batch
    requests: list[EmbedRequest] = []
    while message := pipeline.asked.take(EMBEDDING_QUEUE):
        requests.append(EmbedRequest.model_validate(message.model_dump()))
    chunks = sum(len(request.chunk_ids) for request in requests)
    at_work = [asyncio.ensure_future(handle(delivery_of(request))) for request in requests]
    async with asyncio.timeout(20):
        while batcher.counts.waiting_texts < chunks:
            await asyncio.sleep(0.01)
    service.answering.set()
    await busy
    verdicts = await asyncio.gather(*at_work)
    return {str(request.file_id): verdict for request, verdict in zip(requests, verdicts, strict=True)}


def delivery_of(message: Message) -> Delivery:
    return Delivery(EMBEDDING_QUEUE, message, attempt=1, published_at=datetime.now(UTC), worker="test")
