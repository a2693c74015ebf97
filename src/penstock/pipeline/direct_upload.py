"""Another step 1: a client writes the bytes to the object store itself, by a URL, and says so when it has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID, uuid4

from penstock import tracing
from penstock.database.connection import Database
from penstock.database.files import NewFile, get_file, insert_file
from penstock.database.unclaimed import get_upload, release_object, reserve_upload
from penstock.errors import NotFound, ServiceUnavailable, TooLarge
from penstock.failpoints import reach
from penstock.models import File
from penstock.objects import ObjectStore, PresignedRequest, upload_key
from penstock.pipeline.dispatch import Dispatcher
from penstock.pipeline.submit import Description
from penstock.pipeline.sweep import sweep_now

GRACE_SECONDS = 86_400.0
"""For a transfer that began before its URL expired, and for saying that it is done: what is written after the sweep has
been there would stay for ever. The store itself bounds a transfer by a few GB."""


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """What a client has to do."""

    upload_id: UUID
    """The File will have it."""
    request: PresignedRequest


async def begin_upload(described: Description, *, seconds: int, database: Database, store: ObjectStore) -> DirectUpload:
    """Let a client write an object within so many seconds. Raises `CannotPresign` or `ServiceUnavailable`.

    What it never says it has written is swept a day after that.
    """
    upload_id = uuid4()
    key = upload_key(upload_id)
    request = await store.presign("PUT", key, seconds=seconds)
    told = {
        "name": described.name,
        "metadata": dict(described.metadata),
        "batch": None if described.batch is None else str(described.batch),
    }
    async with database.statement() as rows:
        await reserve_upload(rows, key, told, seconds=seconds + GRACE_SECONDS)
    reach("upload.begun")
    return DirectUpload(upload_id, request)


async def complete_upload(
    upload_id: UUID, *, max_bytes: int, database: Database, store: ObjectStore, dispatcher: Dispatcher
) -> File:
    """Take what a client wrote as a File; when this returns, nothing can lose it. Done again it stays one File.

    Raises `NotFound` where there is no such upload or it was too late, `ObjectMissing` where nothing is written yet,
    `TooLarge`, with nothing kept, or `ServiceUnavailable`.
    """
    began = time.time_ns()
    key = upload_key(upload_id)
    upload = await _upload(key, database)
    if upload is None:
        return await _completed(upload_id, database)
    size = await store.size(key)
    if size > max_bytes:
        await _refuse(key, database=database, store=store)
        raise TooLarge(f"The upload is larger than the limit of {max_bytes / 2**20:,.0f} MiB; it is deleted.")
    new = NewFile(
        file_id=upload_id,
        name=upload.name,
        object_key=key,
        owns_object=True,
        size=size,
        sha256=None,
        metadata=upload.metadata,
        batch=upload.batch,
    )
    try:
        async with database.statement() as rows:
            file = await insert_file(rows, new)
        reach("upload.completed")
    except ServiceUnavailable:
        if await _upload(key, database) is not None:
            raise
        return await _completed(upload_id, database)  # somebody else said so at the same moment
    with tracing.beginning("submit", upload_id, file.generation, since=began):
        dispatcher.wake()
    return file


async def _upload(key: str, database: Database) -> Description | None:
    async with database.statement() as rows:
        told = await get_upload(rows, key)
    if told is None:
        return None
    return Description(told["name"], told["metadata"], None if told["batch"] is None else UUID(told["batch"]))


async def _completed(upload_id: UUID, database: Database) -> File:
    async with database.statement() as rows:
        file = await get_file(rows, upload_id)
    if file is None:
        raise NotFound(f"There is no upload {upload_id}, or nobody said in time that it is complete; begin anew.")
    return file


async def _refuse(key: str, *, database: Database, store: ObjectStore) -> None:
    async with database.statement() as rows:
        await release_object(rows, key)
    reach("upload.refused")
    await sweep_now([key], database=database, store=store)
