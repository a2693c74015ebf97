"""An object between its first byte and the transaction that makes it a File's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from penstock.database.connection import Database
from penstock.database.unclaimed import extend_object, release_object
from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.objects import ObjectStore
from penstock.pipeline.sweep import sweep
from penstock.tasks import beside

log = structlog.get_logger()

EXTEND_SECONDS = 20.0
"""How often a writer says that it is alive: of a File that is being read `recover` knows it by that."""


@asynccontextmanager
async def claiming(key: str, *, database: Database, store: ObjectStore) -> AsyncGenerator[None]:
    """Keep the object's reservation while the block writes and claims it, however long a slow client takes.

    Where the block raises, the object goes at once. Where a service is away or the block is cancelled, a write may
    still be on its way to the store: then the sweep deletes it when the reservation has run out.
    """
    async with beside(_keep(key, database)):
        try:
            yield
        except ServiceUnavailable:
            raise
        except Exception:
            await _abandon(key, database=database, store=store)
            raise


async def _keep(key: str, database: Database) -> None:
    while True:
        await asyncio.sleep(EXTEND_SECONDS)
        try:
            async with database.transaction() as rows:
                await extend_object(rows, key)
            reach("claim.reservation_extended")
        except ServiceUnavailable as error:
            log.debug("cannot extend the reservation of an object now", key=key, reason=error.message)


async def _abandon(key: str, *, database: Database, store: ObjectStore) -> None:
    try:
        async with database.transaction() as rows:
            await release_object(rows, key)
        reach("claim.object_released")
        await sweep(database=database, store=store, keys=[key])
    except ServiceUnavailable as error:
        log.debug("an object is left to the sweep", key=key, reason=error.message)
