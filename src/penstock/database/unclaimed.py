"""Statements about objects that belong to no File. Each function takes `rows`, a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from penstock.database.connection import Rows
from penstock.database.statements import statement
from penstock.errors import ServiceUnavailable

CLAIM_SECONDS = 3600.0
"""How long after its writer was last heard of an object may still be claimed."""


@dataclass(frozen=True, slots=True)
class DueObject:
    """An object that nobody claimed in time."""

    object_key: str
    referenced: bool
    """Whether a user handed it in by its key: then it is the user's."""


async def reserve_object(rows: Rows, key: str) -> None:
    """Name an object that is about to be written."""
    await rows.execute(statement("reserve_object"), {"object_key": key, "seconds": CLAIM_SECONDS})


async def reserve_upload(rows: Rows, key: str, upload: Mapping[str, Any], *, seconds: float) -> None:
    """Name an object that a client may write and hand in for so long; `upload` says what is to become of it."""
    await rows.execute(
        statement("reserve_upload"), {"object_key": key, "upload": Jsonb(dict(upload)), "seconds": seconds}
    )


async def get_upload(rows: Rows, key: str) -> dict[str, Any] | None:
    """What was said of an object that a client may still hand in."""
    row = await (await rows.execute(statement("get_upload"), {"object_key": key})).fetchone()
    return None if row is None else row["upload"]


async def extend_object(rows: Rows, key: str) -> None:
    """Its writer is alive. What is due already stays due: the sweep may have begun with it."""
    await rows.execute(statement("extend_object"), {"object_key": key, "seconds": CLAIM_SECONDS})


async def release_object(rows: Rows, key: str) -> None:
    """Nobody will claim it any more; nothing happens where it is claimed."""
    await rows.execute(statement("release_object"), {"object_key": key})


async def due_objects(rows: Rows, *, after: str, keys: Sequence[str] | None, limit: int) -> list[DueObject]:
    """Those due, with a key above `after` and among `keys`, by key; locked until the transaction ends."""
    found = await rows.execute(
        statement("due_objects"), {"after": after, "keys": None if keys is None else list(keys), "limit": limit}
    )
    return [DueObject(row["object_key"], row["referenced"]) async for row in found]


async def forget_objects(rows: Rows, keys: Sequence[str]) -> None:
    """They are gone from the store."""
    await rows.execute(statement("forget_objects"), {"keys": list(keys)})


def came_too_late(key: str) -> ServiceUnavailable:
    """What to raise where a claim finds no row."""
    return ServiceUnavailable(f"Storing {key} took too long and what was stored is deleted again; try again.")
