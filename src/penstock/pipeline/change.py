"""Delete a File, or read it again, also while it is being worked on: the last request wins."""

from __future__ import annotations

import time
from uuid import UUID

import structlog

from penstock import tracing
from penstock.database import files
from penstock.database.connection import Database
from penstock.errors import NotFound
from penstock.failpoints import reach
from penstock.models import File
from penstock.objects import ObjectStore
from penstock.pipeline.dispatch import Dispatcher
from penstock.pipeline.sweep import sweep_now

log = structlog.get_logger()


async def delete(file_id: UUID, *, database: Database, store: ObjectStore) -> None:
    """Forget a File, its Chunks, vectors and texts, and its object where that is its own. Raises `NotFound`.

    Messages about it that are still on a queue find no row and do nothing.
    """
    async with database.transaction() as rows:
        gone = await files.delete_file(rows, file_id)
    reach("delete.file_deleted")
    if gone is None:
        raise NotFound(f"There is no File {file_id}.")
    log.info("file deleted", file_id=str(file_id))
    await sweep_now(gone, database=database, store=store)


async def reingest(file_id: UUID, *, database: Database, dispatcher: Dispatcher) -> File:
    """Parse a File anew, beside the generation that search sees until then. Raises `NotFound`."""
    began = time.time_ns()
    async with database.transaction() as rows:
        file = await files.start_generation(rows, file_id)
    reach("reingest.generation_started")
    if file is None:
        raise NotFound(f"There is no File {file_id}.")
    with tracing.beginning("reingest", file_id, file.generation, since=began):  # its id is that of the generation
        dispatcher.wake()
    return file
