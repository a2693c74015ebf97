"""Statements about Files. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from penstock.database.connection import Rows
from penstock.database.statements import statement
from penstock.database.unclaimed import CLAIM_SECONDS, came_too_late
from penstock.models import Failure, File, FileStatus

DEFAULT_OWNER = "default"


@dataclass(frozen=True, slots=True)
class NewFile:
    """What is known of a File before it is recorded."""

    file_id: UUID
    name: str
    object_key: str
    owns_object: bool
    size: int
    sha256: str | None
    media_type: str | None = None
    metadata: Mapping[str, Any] | None = None
    batch: UUID | None = None
    owner: str = DEFAULT_OWNER


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which Files to list; None does not restrict."""

    status: FileStatus | None = None
    batch: UUID | None = None
    name: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list of Files: behind the File with this time and id."""

    at: datetime
    file_id: UUID


@dataclass(frozen=True, slots=True)
class BatchSums:
    """How far the Files of one batch are."""

    files: dict[FileStatus, int]
    bytes: int
    pages: int
    chunks: int
    embedded: int


def _file(row: Mapping[str, Any]) -> File:
    values = {name: row[name] for name in File.model_fields if name != "error"}
    error = Failure(code=row["error_code"], message=row["error_message"]) if row["error_code"] else None
    return File(**values, error=error)


async def _one(rows: Rows, query: str, /, **parameters: Any) -> File | None:
    row = await (await rows.execute(statement(query), parameters)).fetchone()
    return None if row is None else _file(row)


async def insert_file(rows: Rows, new: NewFile) -> File:
    """Record a File as queued and claim its own object. Raises `ServiceUnavailable` where that is swept."""
    file = await _one(
        rows,
        "insert_file",
        file_id=new.file_id,
        owner=new.owner,
        name=new.name,
        object_key=new.object_key,
        owns_object=new.owns_object,
        media_type=new.media_type,
        size=new.size,
        sha256=new.sha256,
        metadata=Jsonb(dict(new.metadata or {})),
        batch=new.batch,
    )
    if file is None:
        raise came_too_late(new.object_key)
    return file


async def get_file(rows: Rows, file_id: UUID) -> File | None:
    return await _one(rows, "get_file", file_id=file_id)


async def list_files(rows: Rows, which: FileFilter, *, limit: int, after: Cursor | None = None) -> list[File]:
    """Newest first."""
    found = await rows.execute(
        statement("list_files"),
        {
            **_conditions(which),
            "before_created": after and after.at,
            "before_id": after and after.file_id,
            "limit": limit,
        },
    )
    return [_file(row) async for row in found]


async def list_settled_files(
    rows: Rows, which: FileFilter, *, since: datetime, limit: int, after: Cursor | None = None
) -> list[File]:
    """Those settled at or after `since`, oldest settled first."""
    found = await rows.execute(
        statement("list_settled_files"),
        {
            **_conditions(which),
            "settled_after": since,
            "after_settled": after and after.at,
            "after_id": after and after.file_id,
            "limit": limit,
        },
    )
    return [_file(row) async for row in found]


def _conditions(which: FileFilter) -> dict[str, object]:
    return {"status": which.status, "batch": which.batch, "name": which.name, "media_type": which.media_type}


async def lookup_files(
    rows: Rows, asked: Sequence[tuple[str, str]], *, owner: str = DEFAULT_OWNER
) -> list[File | None]:
    """For each (name, SHA-256 in hex) the newest File that has both and has not failed."""
    found = await rows.execute(
        statement("lookup_files"),
        {"owner": owner, "names": [name for name, _ in asked], "sha256s": [sha256 for _, sha256 in asked]},
    )
    by_position = {row["position"]: _file(row) async for row in found}
    return [by_position.get(position) for position in range(1, len(asked) + 1)]


async def sum_batch(rows: Rows, batch: UUID) -> BatchSums:
    found = await (await rows.execute(statement("sum_batch"), {"batch": batch})).fetchall()
    counts = {FileStatus(row["status"]): row["files"] for row in found}
    return BatchSums(
        files={status: counts.get(status, 0) for status in FileStatus},
        bytes=int(sum(row["bytes"] for row in found)),
        pages=int(sum(row["pages"] for row in found)),
        chunks=int(sum(row["chunks"] for row in found)),
        embedded=int(sum(row["embedded"] for row in found)),
    )


async def count_by_status(rows: Rows) -> dict[FileStatus, int]:
    found = await rows.execute(statement("count_by_status"))
    counts = {FileStatus(row["status"]): row["files"] async for row in found}
    return {status: counts.get(status, 0) for status in FileStatus}


async def delete_file(rows: Rows, file_id: UUID) -> list[str] | None:
    """Forget a File, its Chunks and embeddings; the keys that are the sweep's from here on."""
    row = await (await rows.execute(statement("delete_file"), {"file_id": file_id})).fetchone()
    return None if row is None else row["object_keys"]


async def start_generation(rows: Rows, file_id: UUID) -> File | None:
    """Queue a new parse of a File, and forget what search never saw of the ones before."""
    file = await _one(rows, "start_generation", file_id=file_id)
    if file is not None:
        await rows.execute(statement("delete_unseen_generations"), {"file_id": file_id})
    return file


async def replace_content(rows: Rows, file_id: UUID, *, size: int) -> None:
    """A File that was just queued anew has other bytes than before."""
    await rows.execute(statement("replace_content"), {"file_id": file_id, "size": size})


async def get_text_key(rows: Rows, file_id: UUID) -> str | None:
    """Where the text is that search sees; None before there is one."""
    row = await (await rows.execute(statement("get_text_key"), {"file_id": file_id})).fetchone()
    return None if row is None else row["active_text_key"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One attempt at reading a generation of a File; who begins another one takes its place."""

    file: File
    attempt: int


async def begin_ingest(rows: Rows, file_id: UUID, generation: int, *, text_key: str) -> Reading | None:
    """Mark as `ingesting` and reserve `text_key`; None where the generation is deleted, superseded or past this step.

    What an attempt before recorded early is deleted.
    """
    given = {"file_id": file_id, "generation": generation, "text_key": text_key, "seconds": CLAIM_SECONDS}
    row = await (await rows.execute(statement("begin_ingest"), given)).fetchone()
    return None if row is None else Reading(_file(row), row["ingest_attempt"])


async def fail_file(rows: Rows, file_id: UUID, generation: int, failure: Failure) -> File | None:
    """Mark an unfinished generation as failed; None where it is settled or superseded.

    The Chunks of one that was not read to its end are deleted.
    """
    which = {"file_id": file_id, "generation": generation}
    how = {"code": failure.code, "message": failure.message}
    row = await (await rows.execute(statement("fail_file"), which | how)).fetchone()
    if row is not None and row["left_behind"]:
        await rows.execute(statement("delete_early_chunks"), which)
    return None if row is None else _file(row)


async def revive_file(rows: Rows, file_id: UUID, generation: int, status: FileStatus) -> File | None:
    """Let a failed generation wait again at `status`; None where it is not failed."""
    return await _one(rows, "revive_file", file_id=file_id, generation=generation, status=status)


async def wait_again(
    rows: Rows,
    statuses: Sequence[FileStatus],
    *,
    on_queue: Iterable[UUID],
    older_than_seconds: float,
    extend_seconds: float,
    silent_seconds: float,
) -> list[File]:
    """Let Files wait for their turn again that were announced longer ago and are none of those `on_queue`.

    Nor one that is being read: its reader extends the reservation of its text every `extend_seconds`, and is dead when
    it has not done so for `silent_seconds`.
    """
    found = await rows.execute(
        statement("wait_again"),
        {
            "statuses": [status.value for status in statuses],
            "on_queue": list(on_queue),
            "older_than_seconds": older_than_seconds,
            "extend_seconds": extend_seconds,
            "alive_due_seconds": CLAIM_SECONDS - silent_seconds,
        },
    )
    return [_file(row) async for row in found]


async def try_lead(rows: Rows, key: int) -> bool:
    """Whether this transaction is the one leader for `key`."""
    row = await (await rows.execute(statement("try_lead"), {"key": key})).fetchone()
    return bool(row and row["leads"])
