"""The object store: bytes by key, on `file://`, `s3://`, `gs://` or `az://`, through obstore."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import unicodedata
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store, from_url

from penstock.errors import CannotPresign, ObjectForbidden, ObjectMissing, ServiceUnavailable, TooLarge
from penstock.settings import ObjectStoreSettings

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store

PART_BYTES = 5 * 1024 * 1024
"""Of a multipart upload: the least that S3 takes, so that an upload in progress costs few of them in memory."""

PARTS_AT_ONCE = 2
"""Of one upload on their way to the store: each is held in memory."""

STAGED_AT_MOST = 3
"""Files of a key that killed writers can leave on `file://`; a key has one writer, so the first would do."""


UPLOADS = "uploads/"
"""What clients write through a URL that we gave them."""
OWN_FOLDERS = ("files/", "text/", "checks/", UPLOADS)
"""What Penstock writes, and lets clients write, in its store: nobody else's objects are there."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What was written or read: size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FoundObject:
    """What is in the store now: size in bytes, and by what a change of it shows."""

    size: int
    etag: str | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """A request that anybody may make until it expires, without credentials."""

    method: Literal["GET", "PUT"]
    url: str
    headers: Mapping[str, str]
    """To be sent with it."""
    expires_at: datetime


def checked_key(key: str) -> str:
    """A key that the store can be asked for. Raises `ValueError`."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        raise ValueError("must not contain control characters")
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise ValueError("must be a path within the object store, such as reports/2026/q3.pdf")
    return key


def object_key(file_id: UUID) -> str:
    """Where the bytes of an uploaded File live."""
    return f"files/{file_id}"


def upload_key(upload_id: UUID) -> str:
    """Where a client writes the bytes of an upload, and where they stay."""
    return f"{UPLOADS}{upload_id}"


def text_key(file_id: UUID, generation: int) -> str:
    """A new place for the extracted text of a generation, UTF-8: each attempt writes to its own.

    `wait_again` in queries.sql knows how it begins.
    """
    return f"text/{file_id}/{generation}-{secrets.token_hex(8)}"


class ObjectStore:
    """One store. Every error of its vendor becomes `ObjectMissing` or `ServiceUnavailable`."""

    def __init__(self, store: Store, folder: Path | None = None, *, seen_outside: Store | None = None) -> None:
        """`folder` is where a `file://` store is; `seen_outside` is the same store as clients reach it."""
        self._store = store
        self._folder = folder
        self._seen_outside = seen_outside or store

    @classmethod
    def open(cls, settings: ObjectStoreSettings) -> ObjectStore:
        """A store by URL; credentials and endpoints come from the vendor's own variables (`AWS_…`, `GOOGLE_…`, …)."""
        parts = urlsplit(settings.url)
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            try:
                return cls(LocalStore(folder, mkdir=True, automatic_cleanup=True), folder)
            except (BaseError, OSError) as error:
                raise ServiceUnavailable(f"The object store's folder {folder} cannot be used: {error}") from error
        store = from_url(settings.url)
        if settings.public_endpoint is None:
            return cls(store)
        return cls(store, seen_outside=from_url(settings.url, config={"endpoint": settings.public_endpoint}))

    async def write(self, key: str, pieces: AsyncIterator[bytes], *, max_bytes: int) -> StoredObject:
        """Stream `pieces` to `key`, hashing them on the way. Nothing is stored when it raises.

        Raises `TooLarge` beyond `max_bytes`, `ServiceUnavailable` when the store fails.
        """
        digest, size = hashlib.sha256(), 0
        try:
            async with obstore.open_writer_async(
                self._store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            ) as writer:
                async for piece in pieces:
                    size += len(piece)
                    if size > max_bytes:
                        raise TooLarge(f"The file is larger than the limit of {max_bytes / 2**20:,.0f} MiB.")
                    digest.update(piece)
                    await writer.write(piece)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return StoredObject(size, digest.hexdigest())

    async def write_file(self, key: str, path: Path) -> None:
        """Store the contents of a file."""
        try:
            await obstore.put_async(self._store, key, path, chunk_size=PART_BYTES)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The object's bytes, in pieces. Raises `ObjectMissing`."""
        try:
            result = await obstore.get_async(self._store, key)
            async for piece in result.stream(min_chunk_size=1024 * 1024):
                yield bytes(piece)
        except FileNotFoundError as error:
            raise ObjectMissing(f"There is no object {key!r} in the object store; hand the file in again.") from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def read_to(self, key: str, path: Path) -> StoredObject:
        """Stream an object into a new file. Raises `ObjectMissing`."""
        digest, size = hashlib.sha256(), 0
        with path.open("xb") as file:
            async for piece in self.read(key):
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        return StoredObject(size, digest.hexdigest())

    async def size(self, key: str) -> int:
        """Bytes of an object. Raises `ObjectMissing`."""
        try:
            return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError as error:
            raise ObjectMissing(f"There is no object {key!r} in the object store.") from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def look(self, key: str) -> FoundObject | None:
        """What is under a key now; None where nothing is. Raises `ObjectForbidden` where we may not look."""
        try:
            found = await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise ObjectForbidden(f"The object store does not let us look at {key!r}: {error}") from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return FoundObject(found["size"], found["e_tag"], found["last_modified"])

    async def presign(self, method: Literal["GET", "PUT"], key: str, *, seconds: int) -> PresignedRequest:
        """A request for one object that needs no credentials for so long. Nobody looks whether the object is there.

        Raises `CannotPresign` where the store knows no such thing.
        """
        store = self._seen_outside
        if not isinstance(store, (S3Store, GCSStore, AzureStore)):
            raise CannotPresign
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        try:
            url = await obstore.sign_async(store, method, key, timedelta(seconds=seconds))
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        kind = {"x-ms-blob-type": "BlockBlob"} if method == "PUT" and isinstance(store, AzureStore) else {}
        return PresignedRequest(method, url, kind, expires_at)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def wipe(self, key: str) -> None:
        """Delete an object and what a writer of it left behind that was killed."""
        await self.delete(key)
        if self._folder is not None:
            await asyncio.to_thread(_delete_remains, self._folder, self._folder / key)

    async def check(self) -> None:
        """Write, read and delete a small object. Raises `ServiceUnavailable`."""
        key = f"checks/{uuid4()}"
        try:
            await obstore.put_async(self._store, key, b"penstock")
            await obstore.get_async(self._store, key)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        await self.delete(key)


def _unavailable(error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"The object store does not answer: {error}")


def _delete_remains(root: Path, path: Path) -> None:
    """A writer of obstore fills `path#1`, or the next number that is free, and renames it at the end."""
    try:
        for number in range(1, STAGED_AT_MOST + 1):
            path.with_name(f"{path.name}#{number}").unlink(missing_ok=True)
    except OSError as error:
        raise _unavailable(error) from error
    for folder in path.parents[: len(path.relative_to(root).parts) - 1]:
        try:
            folder.rmdir()
        except OSError:  # it has other objects, or is gone
            return
