"""What the services say of themselves, asked so that nobody waits for long."""

from __future__ import annotations

import asyncio

from penstock.api.opening import Opening
from penstock.api.probes import Probe
from penstock.database.files import count_by_status
from penstock.models import FileStatus, QueueDepth
from penstock.pipeline.backlog import backlog

STORE_FRESH_SECONDS = 5.0
"""Its check writes an object, which some stores charge for."""
COUNTS_FRESH_SECONDS = 5.0
"""Counting Files reads the whole table."""


class Readiness:
    """What the services say of themselves."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self.database = Probe(self._reach_database)
        self.queues = Probe(self._depths)
        self.backlog = Probe(self._backlog, fresh_seconds=COUNTS_FRESH_SECONDS)
        self.object_store = Probe(self._check_store, fresh_seconds=STORE_FRESH_SECONDS)
        self.file_counts = Probe(self._count_files, fresh_seconds=COUNTS_FRESH_SECONDS)
        self._embedding = Probe(self._reach_embedding)

    @property
    def draining(self) -> bool:
        """Whether the API was asked to stop."""
        return self._opening.draining

    async def checks(self) -> dict[str, str]:
        """`ok`, or what is wrong, for each thing that the API needs."""
        probes = {
            "database": self.database,
            "queue": self.queues,
            "object_store": self.object_store,
            "embedding": self._embedding,
        }
        verdicts = await asyncio.gather(*(probe.verdict() for probe in probes.values()))
        return dict(zip(probes, verdicts, strict=True))

    async def _reach_database(self) -> None:
        async with self._opening.services.database.statement() as rows:
            await rows.execute("select 1")

    async def _depths(self) -> dict[str, QueueDepth]:
        return await self._opening.services.queues.depths()

    async def _backlog(self) -> dict[str, QueueDepth]:
        services = self._opening.services
        return await backlog(database=services.database, queues=services.queues)

    async def _check_store(self) -> None:
        await self._opening.services.store.check()

    async def _count_files(self) -> dict[FileStatus, int]:
        async with self._opening.services.database.transaction() as rows:
            return await count_by_status(rows)

    async def _reach_embedding(self) -> None:
        _ = self._opening.embedding
