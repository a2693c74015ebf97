"""Delete the objects that belong to no File: of uploads and parses that ended half-way, of Files that are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from penstock.database.connection import Database
from penstock.database.unclaimed import DueObject, due_objects, forget_objects
from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.objects import ObjectStore

log = structlog.get_logger()

AT_ONCE = 20
"""Objects of one transaction, which is open while the store deletes them."""


async def sweep(
    *, database: Database, store: ObjectStore, keys: Sequence[str] | None = None, limit: int = 1_000
) -> int:
    """Delete what is due, or what of `keys` is, at most about `limit`, and return the number.

    An object is deleted while its row is locked: a claim that comes late waits, then finds no row and fails. Any
    number of processes may sweep at once, each skips what another has locked. Raises `ServiceUnavailable`.
    """
    swept, after, more = 0, "", True
    while more and swept < limit:
        async with database.transaction() as rows:
            due = await due_objects(rows, after=after, keys=keys, limit=AT_ONCE)
            gone = await _delete(due, store)
            await forget_objects(rows, gone)
        reach("sweep.objects_forgotten")
        swept += len(gone)
        more = len(due) == AT_ONCE
        after = due[-1].object_key if due else after
    if swept:
        log.debug("objects swept", objects=swept)
    return swept


async def sweep_now(keys: Sequence[str], *, database: Database, store: ObjectStore) -> None:
    """Delete what of `keys` is due. Where a service is away, the next sweep does it."""
    try:
        await sweep(database=database, store=store, keys=keys)
    except ServiceUnavailable as error:
        log.debug("objects are left to the sweep", keys=list(keys), reason=error.message)


async def _delete(due: Sequence[DueObject], store: ObjectStore) -> list[str]:
    """The keys that are done with. One that cannot be deleted is tried again next time and holds up no other."""
    outcomes = await asyncio.gather(*(_delete_one(each, store) for each in due), return_exceptions=True)
    gone: list[str] = []
    refused: list[ServiceUnavailable] = []
    for each, outcome in zip(due, outcomes, strict=True):
        if outcome is None:
            gone.append(each.object_key)
        elif isinstance(outcome, ServiceUnavailable):
            refused.append(outcome)
        else:
            raise outcome
    if refused and not gone:
        raise refused[0]
    if refused:
        log.warning("some objects cannot be deleted", objects=len(refused), reason=refused[0].message)
    return gone


async def _delete_one(due: DueObject, store: ObjectStore) -> None:
    if not due.referenced:
        await store.wipe(due.object_key)
        reach("sweep.object_deleted")
