"""Where a list goes on: the last item's place in its order, opaque to the client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from penstock.api.fields import Body
from penstock.database.files import Cursor as Place
from penstock.errors import InvalidRequest

Item = TypeVar("Item")

_KEY = TypeAdapter(tuple[str, str, str])


class PageQuery(Body):
    """Which piece of a list."""

    limit: int = Field(default=100, ge=1, le=1000, description="Most items of one piece.")
    cursor: str | None = Field(default=None, max_length=1000, description="`next` of the piece before.")


class Page(BaseModel, Generic[Item]):
    """A piece of a list."""

    items: list[Item]
    next: str | None = Field(description="The `cursor` of the next piece; null at the end.")


def page_of(found: Sequence[Item], limit: int, cursor_of: Callable[[Item], str]) -> Page[Item]:
    """The first `limit` of the items, of which one more was asked for to know whether the list goes on."""
    items = list(found[:limit])
    return Page(items=items, next=cursor_of(items[-1]) if len(found) > limit else None)


def pack(order: str, first: object, second: object) -> str:
    """A cursor behind the item whose sort key in `order` is (first, second)."""
    key = json.dumps([order, str(first), str(second)], separators=(",", ":"))
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def unpack(cursor: str, order: str) -> tuple[str, str]:
    """The sort key in a cursor of the same `order`. Raises `InvalidRequest` for any other text."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found, first, second = _KEY.validate_json(packed)
    except (ValueError, ValidationError) as error:
        raise _not_ours() from error
    if found != order:
        raise _not_ours()
    return first, second


def pack_time(order: str, at: datetime, file_id: UUID) -> str:
    return pack(order, at.isoformat(), file_id)


def unpack_time(cursor: str | None, order: str) -> Place | None:
    """A place in a list of Files. Raises `InvalidRequest`."""
    if cursor is None:
        return None
    at, file_id = unpack(cursor, order)
    try:
        place = Place(datetime.fromisoformat(at), UUID(file_id))
    except ValueError as error:
        raise _not_ours() from error
    if place.at.tzinfo is None:
        raise _not_ours()
    return place


def pack_index(order: str, file_id: UUID, index: int) -> str:
    return pack(order, file_id, index)


def unpack_index(cursor: str | None, order: str, file_id: UUID) -> int:
    """A place in the Chunks of a File; -1 without a cursor. Raises `InvalidRequest`."""
    if cursor is None:
        return -1
    owner, index = unpack(cursor, order)
    if owner != str(file_id) or not index.isascii() or not index.isdigit() or len(index) > 9:
        raise _not_ours()
    return int(index)


def _not_ours() -> InvalidRequest:
    return InvalidRequest("The cursor is not one of this list; take it from the page before, unchanged.")
