"""Step 1: store the bytes, and record the File: from that commit on it waits for its turn to be ingested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from penstock import tracing
from penstock.database.connection import Database
from penstock.database.files import NewFile, insert_file
from penstock.database.unclaimed import reserve_object
from penstock.failpoints import reach
from penstock.models import FIRST_GENERATION, File
from penstock.objects import ObjectStore, object_key
from penstock.pipeline.claim import claiming
from penstock.pipeline.dispatch import Dispatcher
from penstock.stages import stage


@dataclass(frozen=True, slots=True)
class Description:
    """What the user says of a File."""

    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: UUID | None = None
    """Groups the Files of one `penstock add`."""


async def submit(
    described: Description,
    content: AsyncIterator[bytes],
    *,
    max_bytes: int,
    database: Database,
    store: ObjectStore,
    dispatcher: Dispatcher,
) -> File:
    """Take a File's bytes; when this returns, nothing can lose it.

    Raises `TooLarge`, with nothing stored, or `ServiceUnavailable`.
    """
    file_id = uuid4()
    key = object_key(file_id)
    with tracing.beginning("submit", file_id, FIRST_GENERATION):
        async with database.statement() as rows:
            await reserve_object(rows, key)
        reach("submit.key_reserved")
        async with claiming(key, database=database, store=store):
            with stage("submit.store"):
                stored = await store.write(key, content, max_bytes=max_bytes)
                reach("submit.object_stored")
            new = NewFile(
                file_id=file_id,
                name=described.name,
                object_key=key,
                owns_object=True,
                size=stored.size,
                sha256=stored.sha256,
                metadata=described.metadata,
                batch=described.batch,
            )
            return await _record(new, database=database, dispatcher=dispatcher)


async def submit_reference(
    described: Description, key: str, *, database: Database, store: ObjectStore, dispatcher: Dispatcher
) -> File:
    """Take a File whose object is in the store already; it stays there when the File is deleted.

    Raises `ObjectMissing` or `ServiceUnavailable`.
    """
    file_id = uuid4()
    with tracing.beginning("submit", file_id, FIRST_GENERATION):
        new = NewFile(
            file_id=file_id,
            name=described.name,
            object_key=key,
            owns_object=False,
            size=await store.size(key),
            sha256=None,
            metadata=described.metadata,
            batch=described.batch,
        )
        return await _record(new, database=database, dispatcher=dispatcher)


async def _record(new: NewFile, *, database: Database, dispatcher: Dispatcher) -> File:
    with stage("submit.record"):
        async with database.statement() as rows:
            file = await insert_file(rows, new)
        reach("submit.file_recorded")
    tracing.note(bytes=file.size)
    dispatcher.wake()
    return file
