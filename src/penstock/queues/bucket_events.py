"""What S3 says of a bucket: its own notification, the same in an envelope of SNS, or an event of EventBridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from penstock.errors import EventUnusable

SHOWN_CHARACTERS = 300
"""Of a message that cannot be read."""
EXPIRED = "Lifecycle Expiration"
"""As EventBridge calls it; a notification of S3 has a name of its own for that."""


_OBJECT = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something happened to an object. What is there now the bucket knows better."""

    bucket: str
    key: str
    removed: bool
    """By somebody, not by a rule of the bucket."""


class _Named(BaseModel):
    name: str


class _Keyed(BaseModel):
    key: str


class _Place(BaseModel):
    bucket: _Named
    object: _Keyed


class _Record(BaseModel):
    name: str = Field(alias="eventName")
    place: _Place = Field(alias="s3")


class _Notification(BaseModel):
    records: list[_Record] = Field(alias="Records")


class _Detail(_Place):
    reason: str = ""


class _Event(BaseModel):
    kind: str = Field(alias="detail-type")
    detail: _Detail


def read_events(body: str) -> list[ObjectEvent]:
    """The objects that were made or removed, in the order told; none where something else is told.

    Raises `EventUnusable` for what is no message about a bucket.
    """
    try:
        message = _OBJECT.validate_json(body)
        if "TopicArn" in message:
            message = _OBJECT.validate_json(str(message.get("Message")))
        return _events(message)
    except ValidationError as error:
        raise _unusable(body) from error


def _events(message: dict[str, Any]) -> list[ObjectEvent]:
    if message.get("Event") == "s3:TestEvent":
        return []
    if "detail-type" in message:
        event = _Event.model_validate(message)
        place = event.detail
        if event.kind == "Object Created":
            return [ObjectEvent(place.bucket.name, place.object.key, removed=False)]
        if event.kind == "Object Deleted" and place.reason != EXPIRED:
            return [ObjectEvent(place.bucket.name, place.object.key, removed=True)]
        return []
    return [
        ObjectEvent(record.place.bucket.name, unquote_plus(record.place.object.key), removed=removed)
        for record in _Notification.model_validate(message).records
        if (removed := _is_removal(record.name)) is not None
    ]


def _is_removal(name: str) -> bool | None:
    """None: neither made nor removed."""
    kind = name.removeprefix("s3:").partition(":")[0]
    return {"ObjectCreated": False, "ObjectRemoved": True}.get(kind)


def _unusable(body: str) -> EventUnusable:
    return EventUnusable(f"A message is no event of a bucket: {body[:SHOWN_CHARACTERS]}")
