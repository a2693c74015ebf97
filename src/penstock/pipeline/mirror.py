"""Another step 1: an object that somebody puts into the bucket is a File, as long as it is there.

An event is a doorbell, as every message is: that something happened to a key, not what. What is there *now* the
bucket itself says, so that events may come twice, late, or in any order. Two that are heeded at once could still record
what they saw in the wrong order: each look has a revision, and who is overtaken looks again.
Why so: docs/decisions/0034-the-bucket-rings-too.md.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import structlog

from penstock import tracing
from penstock.database.bucket import KnownObject, get_bucket_object, note_bucket_object
from penstock.database.connection import Database, Rows
from penstock.database.files import NewFile, delete_file, fail_file, insert_file, replace_content, start_generation
from penstock.errors import (
    EventUnusable,
    InvalidSettings,
    NotFound,
    ObjectMissing,
    ServiceUnavailable,
    TooLarge,
)
from penstock.failpoints import reach
from penstock.models import Failure, File, FileStatus
from penstock.objects import OWN_FOLDERS, UPLOADS, FoundObject, ObjectStore, checked_key
from penstock.pipeline.direct_upload import complete_upload
from penstock.pipeline.dispatch import Dispatcher
from penstock.pipeline.sweep import sweep_now
from penstock.queues.bucket_events import ObjectEvent, read_events
from penstock.settings import Settings

log = structlog.get_logger()

LOOKS = 10
"""At one object that changes, or is heard of, all the time."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Which objects are Files."""

    bucket: str
    root: str
    """Of the object store in the bucket: empty, or a folder and a slash."""
    prefix: str
    """Within the store."""
    max_bytes: int
    """Of an object that is read."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises `InvalidSettings` where the store is no bucket, or the prefix one of our own folders."""
        store, prefix = urlsplit(settings.object_store.url), settings.bucket.prefix
        if store.scheme != "s3":
            raise InvalidSettings(
                "PENSTOCK_BUCKET_EVENTS_URL is set, and PENSTOCK_OBJECT_STORE_URL is no s3://…: only S3 sends events."
            )
        if prefix.startswith(OWN_FOLDERS):
            raise InvalidSettings(
                f"PENSTOCK_BUCKET_PREFIX is {prefix!r}: Penstock's own objects are there; choose another, as inbox/."
            )
        folder = store.path.strip("/")
        root = f"{folder}/" if folder else ""
        return cls(store.netloc, root, prefix, settings.api.max_upload_bytes)

    def key_of(self, event: ObjectEvent) -> str | None:
        """The object's key in the store; None where it is none of a File. Raises `EventUnusable`."""
        if event.bucket != self.bucket:
            raise EventUnusable(f"An event is of the bucket {event.bucket!r}; the object store is {self.bucket!r}.")
        key = event.key.removeprefix(self.root)
        folder = key.endswith("/")  # what consoles make for one
        if not event.key.startswith(self.root) or folder or not (self._is_input(key) or key.startswith(UPLOADS)):
            return None
        try:
            return checked_key(key)
        except ValueError as error:
            raise EventUnusable(f"The object {event.key!r} cannot be read: its key {error}.") from error

    def _is_input(self, key: str) -> bool:
        return key.startswith(self.prefix) and not key.startswith(OWN_FOLDERS)

    def name_of(self, key: str) -> str:
        """What the File is called: its key, without the prefix."""
        return key.removeprefix(self.prefix).lstrip("/") or key


async def heed(body: str, *, watched: Watched, database: Database, store: ObjectStore, dispatcher: Dispatcher) -> None:
    """Do what a message about the bucket asks for, any number of times; what it says of other objects is passed over.

    Raises `EventUnusable`, when all that could be done is done, or `ServiceUnavailable`.
    """
    unusable: EventUnusable | None = None
    for event in read_events(body):
        try:
            key = watched.key_of(event)
            if key is None:
                log.debug("an event of the bucket is of no file", key=event.key)
            elif key.startswith(UPLOADS):
                await _complete(key, event, watched.max_bytes, database=database, store=store, dispatcher=dispatcher)
            else:
                mirror = _Mirror(key, watched, database, store, dispatcher)
                await mirror.follow(removed=event.removed)
        except EventUnusable as error:
            unusable = error
    if unusable is not None:
        raise unusable


async def _complete(
    key: str, event: ObjectEvent, max_bytes: int, *, database: Database, store: ObjectStore, dispatcher: Dispatcher
) -> None:
    """An upload by URL is there. Its client may say so as well."""
    try:
        upload_id = UUID(key.removeprefix(UPLOADS))
    except ValueError:
        return  # nothing that we gave a URL for
    if event.removed:
        return
    try:
        await complete_upload(upload_id, max_bytes=max_bytes, database=database, store=store, dispatcher=dispatcher)
    except (NotFound, ObjectMissing) as error:  # deleted since, or swept
        log.debug("an upload is gone", upload_id=str(upload_id), reason=error.message)
    except TooLarge as error:
        log.error("upload refused", upload_id=str(upload_id), code=error.code, reason=error.message)


class _OvertakenError(Exception):
    """Somebody else has looked at the object since we did, or deleted its File."""


@dataclass(frozen=True, slots=True)
class _Mirror:
    """One object, and the File that follows it."""

    key: str
    watched: Watched
    database: Database
    store: ObjectStore
    dispatcher: Dispatcher

    async def follow(self, *, removed: bool) -> None:
        """Make the File what the object is now. Only an event of a removal removes.

        Raises `ObjectForbidden`, or `ServiceUnavailable`, also where the object does not come to rest.
        """
        for _ in range(LOOKS):
            known = await self._known()
            found = await self.store.look(self.key)
            try:
                if found is not None:
                    await self._record(known, found)
                elif removed:
                    await self._forget(known)
            except _OvertakenError:
                continue
            return
        raise ServiceUnavailable(f"The object {self.key!r} changes all the time.")

    async def _known(self) -> KnownObject | None:
        async with self.database.statement() as rows:
            return await get_bucket_object(rows, self.key)

    async def _record(self, known: KnownObject | None, found: FoundObject) -> None:
        began = time.time_ns()
        file_id = known.file_id if known and known.file_id and not _is_new(known, found) else uuid4()
        async with self.database.transaction() as rows:
            noted = await note_bucket_object(
                rows, self.key, known, file_id=file_id, etag=found.etag, modified_at=found.modified_at
            )
            if not noted:
                raise _OvertakenError
            file = await self._file(rows, known, found, file_id)
        reach("mirror.object_recorded")
        if file is None:
            return
        if file.error is not None:
            log.error(
                "file failed", file_id=str(file_id), name=file.name, code=file.error.code, reason=file.error.message
            )
        with tracing.beginning("submit", file_id, file.generation, since=began):
            self.dispatcher.wake()

    async def _file(self, rows: Rows, known: KnownObject | None, found: FoundObject, file_id: UUID) -> File | None:
        """The File, where it is to be read; None where all is as it was."""
        if known is None or known.file_id != file_id:
            file = await insert_file(rows, self._new(file_id, found.size))
        elif _is_same(known, found):
            return None
        else:
            again = await start_generation(rows, file_id)
            if again is None:
                raise _OvertakenError
            await replace_content(rows, file_id, size=found.size)
            file = again
        if found.size > self.watched.max_bytes:
            return await fail_file(rows, file_id, file.generation, self._too_large(found.size))
        return file

    def _new(self, file_id: UUID, size: int) -> NewFile:
        name = self.watched.name_of(self.key)
        return NewFile(
            file_id=file_id, name=name, object_key=self.key, owns_object=False, size=size, sha256=None, metadata={}
        )

    def _too_large(self, size: int) -> Failure:
        limit = self.watched.max_bytes / 2**20
        return Failure(
            code=TooLarge.code,
            message=f"The object has {size / 2**20:,.0f} MiB, more than the limit of {limit:,.0f} MiB; "
            "raise PENSTOCK_API_MAX_UPLOAD_MB and hand it in again.",
        )

    async def _forget(self, known: KnownObject | None) -> None:
        async with self.database.transaction() as rows:
            if not await note_bucket_object(rows, self.key, known, file_id=None):
                raise _OvertakenError
            gone = await delete_file(rows, known.file_id) if known and known.file_id else None
        reach("mirror.object_forgotten")
        if gone is None:
            return
        log.info("file deleted, as its object is", file_id=str(known and known.file_id), key=self.key)
        await sweep_now(gone, database=self.database, store=self.store)


def _is_same(known: KnownObject, found: FoundObject) -> bool:
    """Whether there is nothing to be read: the object as it was, or the same bytes again, unless these failed."""
    if (known.etag, known.modified_at) == (found.etag, found.modified_at):
        return True
    return known.etag is not None and known.etag == found.etag and known.status is not FileStatus.FAILED


def _is_new(known: KnownObject, found: FoundObject) -> bool:
    """Whether the object was written again after somebody deleted its File, who would not have it back for nothing."""
    return known.status is None and (known.etag, known.modified_at) != (found.etag, found.modified_at)
