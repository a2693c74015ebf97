"""A pipeline on real PostgreSQL, Redis and files, whose steps a test runs by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from penstock.database.files import get_file
from penstock.models import (
    EMBEDDING_QUEUE,
    INGEST_QUEUE,
    DeadLetter,
    EmbedRequest,
    File,
    IngestRequest,
    Message,
    QueueDepth,
)
from penstock.pipeline.dispatch import Dispatcher, dispatch
from penstock.pipeline.embed import embed
from penstock.pipeline.ingest import ingest
from penstock.pipeline.submit import Description, submit
from penstock.pipeline.sweep import sweep
from penstock.queues.port import Handler
from penstock.services import Embedding, Services, open_embedding, open_parser, open_services
from penstock.settings import load_settings


@dataclass
class Pipeline:
    """The steps, bound to their services. `asked` holds what they published, for a test to hand on."""

    services: Services
    embedding: Embedding
    parser: object
    folder: Path
    objects_folder: Path
    asked: ListedQueues

    @property
    def dispatcher(self) -> Dispatcher:
        """Not running: a test dispatches by hand."""
        return Dispatcher(database=self.services.database, queues=self.asked)

    async def dispatch(self) -> int:
        """Put on the queues what they have room for; how many messages."""
        return await dispatch(database=self.services.database, queues=self.asked)

    async def submit(self, content: str | bytes, name: str = "note.txt", *, batch: UUID | None = None) -> File:
        file = await submit(
            Description(name, batch=batch),
            _pieces(content.encode() if isinstance(content, str) else content),
            max_bytes=10_000_000,
            database=self.services.database,
            store=self.services.store,
            dispatcher=self.dispatcher,
        )
        await self.dispatch()
        return file

    async def ingest(self, request: IngestRequest) -> None:
        await ingest(
            request,
            database=self.services.database,
            store=self.services.store,
            dispatcher=self.dispatcher,
            parser=self.parser,  # pyright: ignore[reportArgumentType]  # a ParserPool; named in services only
            language=self.services.settings.search.language,
            folder=self.folder,
        )
        await self.dispatch()

    async def embed(self, request: EmbedRequest) -> None:
        await embed(
            request,
            database=self.services.database,
            batcher=self.embedding.batcher,
            model_id=self.embedding.index.model_id,
        )

    async def run(self) -> None:
        """Carry out everything that was asked for, and what that asks for."""
        while await self.dispatch() or any(self.asked.messages.values()):
            while request := self.asked.take(INGEST_QUEUE):
                await self.ingest(IngestRequest.model_validate(request.model_dump()))
            while request := self.asked.take(EMBEDDING_QUEUE):
                await self.embed(EmbedRequest.model_validate(request.model_dump()))

    async def sweep(self) -> int:
        return await sweep(database=self.services.database, store=self.services.store)

    def objects(self) -> set[str]:
        """The keys of all that is in the store, leftovers of killed writers among them."""
        root = self.objects_folder
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    async def claimed(self) -> set[str]:
        """The keys that belong to a File."""
        found = await self.values(
            b"select object_key from files where owns_object union select text_key from files"
            b" union select active_text_key from files"
        )
        return {str(key) for (key,) in found if key is not None}

    async def file(self, file_id: UUID) -> File:
        async with self.services.database.transaction() as rows:
            file = await get_file(rows, file_id)
        assert file is not None
        return file

    async def values(self, query: bytes, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of a query, for what no step needs to know."""
        async with self.services.database.transaction() as rows:
            found = await rows.execute(query, parameters)
            return [tuple(row.values()) async for row in found]


@dataclass
class ListedQueues:
    """Queues that a test empties by hand: no broker, so that it decides what is delivered, and how often."""

    messages: dict[str, list[Message]] = field(default_factory=dict[str, list[Message]])
    leases_lost: int = 0

    def take(self, queue: str) -> Message | None:
        waiting = self.messages.get(queue, [])
        return waiting.pop(0) if waiting else None

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        self.messages.setdefault(queue, []).extend(messages)

    async def consume(self, queue: str, handler: Handler, *, concurrency: int, hard_limit: float, stop: object) -> None:
        raise AssertionError("the test delivers by hand")

    async def depths(self) -> dict[str, QueueDepth]:
        return {
            queue: QueueDepth(
                waiting=len(self.messages.get(queue, [])), in_flight=0, dead_letters=0, oldest_seconds=None
            )
            for queue in (INGEST_QUEUE, EMBEDDING_QUEUE)
        }

    async def files_on(self, queue: str) -> frozenset[UUID] | None:
        return frozenset(message.file_id for message in self.messages.get(queue, []))

    async def dead_letters(self, queue: str, *, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        return []

    async def find_dead_letter(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return None

    async def drop(self, queue: str, dead_letter_id: str) -> DeadLetter | None:
        return None

    async def close(self) -> None: ...


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def open_pipeline(
    database_url: str, redis_url: str, folder: Path, model: str, **variables: str
) -> AsyncGenerator[Pipeline]:
    settings = load_settings(
        {
            "PENSTOCK_DATABASE_URL": database_url,
            "PENSTOCK_QUEUE_URL": redis_url,
            "PENSTOCK_OBJECT_STORE_URL": f"file://{folder}/objects",
            "PENSTOCK_EMBEDDING_MODEL": model,
            "PENSTOCK_PARSING_CHILDREN": "1",
        }
        | variables
    )
    async with (
        open_services(settings, role="test") as services,
        open_embedding(services) as embedding,
        open_parser(services) as (parser, work),
    ):
        yield Pipeline(services, embedding, parser, work, folder / "objects", ListedQueues())
