"""The Ingester: `ingest`, bound to the ingest-queue."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from penstock.models import INGEST_QUEUE
from penstock.pipeline.ingest import ingest
from penstock.processors import available_processors
from penstock.services import Services, open_parser
from penstock.settings import Settings
from penstock.workers import process
from penstock.workers.attempt import Step

TRANSFER_SECONDS = 1200.0


class Ingester:
    """Reads, parses and chunks Files."""

    name = "ingester"
    queue = INGEST_QUEUE

    def concurrency(self, settings: Settings) -> int:
        """One File in each parser child, as many from the store or into the database, and as many that are slow."""
        return 3 * (settings.parsing.children or available_processors())

    def hard_limit(self, settings: Settings) -> float:
        """What the parser may take, and as long again as fetching and recording the largest File does."""
        return settings.parsing.timeout_seconds + settings.parsing.ocr_timeout_seconds + TRANSFER_SECONDS

    @asynccontextmanager
    async def open_step(self, services: Services) -> AsyncGenerator[Step]:
        async with open_parser(services) as (parser, folder):
            yield partial(
                ingest,
                database=services.database,
                store=services.store,
                dispatcher=services.dispatcher,
                parser=parser,
                language=services.settings.search.language,
                folder=folder,
            )


def run(settings: Settings) -> None:
    """The `penstock ingester` role."""
    process.run(Ingester(), settings)
