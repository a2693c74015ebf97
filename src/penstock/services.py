"""The one place that builds and closes clients: what each role holds while it runs."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from penstock.database.connection import Database
from penstock.database.embeddings import register_model
from penstock.database.migrate import migrate
from penstock.database.search import ModelIndex, text_search_languages
from penstock.embedding import open_engine
from penstock.embedding.batcher import Batcher
from penstock.embedding.chunk_recipe import recipe
from penstock.embedding.port import EmbeddingEngine
from penstock.errors import InvalidSettings
from penstock.objects import ObjectStore
from penstock.parsing.pool import ParserPool
from penstock.pipeline.dispatch import Dispatcher
from penstock.queues.port import Queues
from penstock.queues.redis import RedisQueues
from penstock.settings import AUTO_LANGUAGE, Broker, QueueSettings, Settings, broker_of
from penstock.work_folders import work_folder

if TYPE_CHECKING:
    from penstock.queues.nats import NatsQueues
    from penstock.queues.sqs import SqsQueues
    from penstock.queues.sqs_inbox import SqsInbox


@dataclass(frozen=True, slots=True)
class Services:
    """What every role needs: the rows, the bytes and the doorbell."""

    settings: Settings
    worker: str
    """Names this process, on every machine and in every run."""
    database: Database
    store: ObjectStore
    queues: Queues
    dispatcher: Dispatcher
    """Hands work on; each role runs it."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """An engine, as the database knows it."""

    engine: EmbeddingEngine
    batcher: Batcher
    index: ModelIndex


@asynccontextmanager
async def open_services(settings: Settings, *, role: str) -> AsyncGenerator[Services]:
    """Migrate, connect to everything, and close it with the block.

    Raises `ServiceUnavailable` where something does not answer, `SetupError` where waiting is no use.
    """
    worker = f"{role}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    await anyio.to_thread.run_sync(migrate, settings.database)
    database = await Database.open(settings.database, role=role)
    try:
        await _check_language(database, settings.search.language)
        queues = await open_queues(settings.queue, worker=worker, drain_seconds=settings.worker.drain_seconds)
        try:
            store, dispatcher = ObjectStore.open(settings.object_store), Dispatcher(database=database, queues=queues)
            yield Services(settings, worker, database, store, queues, dispatcher)
        finally:
            await queues.close()
    finally:
        await database.close()


async def _check_language(database: Database, language: str) -> None:
    """Every Chunk would fail on a text search configuration that the database does not have."""
    if language == AUTO_LANGUAGE:
        return
    async with database.transaction() as rows:
        known = await text_search_languages(rows)
    if language not in known:
        raise InvalidSettings(
            f"PENSTOCK_SEARCH_LANGUAGE is {language!r}: allowed are {AUTO_LANGUAGE}, {', '.join(known)}"
        )


async def open_queues(settings: QueueSettings, *, worker: str, drain_seconds: float) -> Queues:
    """The queues behind the URL, by its scheme."""
    queues = _queues(settings, worker=worker, drain_seconds=drain_seconds)
    try:
        await queues.open()
    except BaseException:
        await queues.close()
        raise
    return queues


def _queues(settings: QueueSettings, *, worker: str, drain_seconds: float) -> RedisQueues | SqsQueues | NatsQueues:
    match broker_of(settings.url.get_secret_value()):
        case Broker.REDIS:
            return RedisQueues(settings, worker=worker, drain_seconds=drain_seconds)
        case Broker.SQS:
            from penstock.queues.sqs import SqsQueues  # noqa: PLC0415  (botocore takes 0.5 s, which others do without)

            return SqsQueues(settings, worker=worker, drain_seconds=drain_seconds)
        case Broker.NATS:
            from penstock.queues.nats import NatsQueues  # noqa: PLC0415  (nobody else needs its client)

            return NatsQueues(settings, worker=worker, drain_seconds=drain_seconds)


@asynccontextmanager
async def open_inbox(url: str) -> AsyncGenerator[SqsInbox]:
    """The queue of the bucket's events. Raises `ServiceUnavailable`, `InvalidSettings` where there is none for us."""
    from penstock.queues.sqs_inbox import SqsInbox  # noqa: PLC0415  (as above)

    inbox = SqsInbox(url)
    try:
        await inbox.open()
        yield inbox
    finally:
        await inbox.close()


@asynccontextmanager
async def open_embedding(services: Services) -> AsyncGenerator[Embedding]:
    """The engine that the settings name, made known to the database."""
    settings = services.settings
    engine = await open_engine(settings.embedding)
    batcher = Batcher(engine, batch_tokens=settings.embedding.batch_tokens)
    try:
        async with services.database.transaction() as rows:
            model_id = await register_model(
                rows, name=engine.model, revision=engine.revision, dimensions=engine.dimensions
            )
        yield Embedding(engine, batcher, ModelIndex(model_id, engine.dimensions, settings.search.ef_search))
    finally:
        await batcher.close()
        await engine.close()


@asynccontextmanager
async def open_parser(services: Services) -> AsyncGenerator[tuple[ParserPool, Path]]:
    """Warm parser children, and the folder they and their files live in; both go with the block."""
    with work_folder("ingester") as folder:
        chunks = await anyio.to_thread.run_sync(recipe, services.settings)
        pool = ParserPool(services.settings.parsing, chunks, folder)
        await pool.start()
        try:
            yield pool, folder
        finally:
            await pool.close()
