"""Statements about the bucket's objects. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penstock.database.connection import Rows
from penstock.database.statements import statement
from penstock.models import FileStatus


@dataclass(frozen=True, slots=True)
class KnownObject:
    """What the bucket was last seen to hold under a key."""

    revision: int
    """Grows with each look."""
    file_id: UUID | None
    """None: the object was gone."""
    etag: str | None
    modified_at: datetime | None
    status: FileStatus | None
    """Of its File; None where somebody deleted that."""


async def get_bucket_object(rows: Rows, key: str) -> KnownObject | None:
    """None: nobody looked yet, or long ago and it was gone."""
    row = await (await rows.execute(statement("get_bucket_object"), {"object_key": key})).fetchone()
    if row is None:
        return None
    status = None if row["status"] is None else FileStatus(row["status"])
    return KnownObject(row["revision"], row["file_id"], row["etag"], row["modified_at"], status)


async def note_bucket_object(
    rows: Rows,
    key: str,
    before: KnownObject | None,
    *,
    file_id: UUID | None,
    etag: str | None = None,
    modified_at: datetime | None = None,
) -> bool:
    """Record what the bucket holds now; false where somebody else has looked since `before`, and may know better."""
    noted = await rows.execute(
        statement("note_bucket_object"),
        {
            "object_key": key,
            "revision": before and before.revision,
            "file_id": file_id,
            "etag": etag,
            "modified_at": modified_at,
        },
    )
    return await noted.fetchone() is not None
