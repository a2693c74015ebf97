"""The body of `POST /files`: what it says of the File, and the File's bytes, as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from penstock.api.fields import parse_metadata, parse_name
from penstock.api.multipart import Event, Multipart, PartBegin, PartData, PartEnd, header_parameters
from penstock.errors import InvalidRequest, TooLarge
from penstock.pipeline.submit import Description

FILE_PART = "file"
FIELDS = ("name", "batch", "metadata")
"""What a form may say in parts before the file; the query has precedence."""
_ALLOWED = ", ".join(f"`{name}`" for name in FIELDS)
MAX_FIELD_BYTES = 128 * 1024
"""Of all fields of a form together."""
MAX_FRAMING_BYTES = 256 * 1024
"""By how much a form may be longer than its file."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A File about to be handed in. Reading `content` raises `InvalidRequest` where the form is broken."""

    described: Description
    content: AsyncIterator[bytes]


def refuse_too_large(content_length: str | None, *, max_bytes: int) -> None:
    """Raise `TooLarge` where the request's own header says that its file cannot fit."""
    if content_length and content_length.isdecimal() and int(content_length) > max_bytes + MAX_FRAMING_BYTES:
        raise TooLarge(f"The upload is larger than the limit of {max_bytes / 2**20:,.0f} MiB.")


async def read_upload(body: AsyncIterator[bytes], content_type: str, query: Mapping[str, str]) -> Upload:
    """Read up to where the file's bytes begin. `query` may tell any of `FIELDS`.

    A form has its file in the part `file`; any other content type is the file itself. Raises `InvalidRequest`.
    """
    if unknown := query.keys() - set(FIELDS):
        raise InvalidRequest(f"The query has {min(unknown)!r}; it may have {_ALLOWED}.")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        return Upload(_describe(query), body)
    boundary = header_parameters(content_type).get("boundary")
    if not boundary:
        raise InvalidRequest("The Content-Type multipart/form-data lacks its `boundary`.")
    events = _events(body, Multipart(boundary.encode("latin-1", "replace")))
    fields, filename = await _read_fields(events)
    named = {"name": filename} if filename else {}
    return Upload(_describe({**named, **fields, **query}), _file_content(events))


async def _events(body: AsyncIterator[bytes], form: Multipart) -> AsyncGenerator[Event]:
    """Every event of the form; a form that ends early is an error, or half a file would pass for one."""
    async for piece in body:
        for event in form.feed(piece):
            yield event
        if form.finished:
            return
    raise InvalidRequest("The form ends before its last boundary; it was cut short.")


async def _read_fields(events: AsyncIterator[Event]) -> tuple[dict[str, str], str | None]:
    """The fields before the file, and the file's name as the form tells it."""
    fields: dict[str, str] = {}
    name, value, size = "", b"", 0
    async for event in events:
        match event:
            case PartBegin(name=part, filename=filename):
                if part == FILE_PART:
                    return fields, filename
                _check_field(part, fields)
                name, value = part, b""
            case PartData(data=data):
                size += len(data)
                if size > MAX_FIELD_BYTES:
                    raise InvalidRequest(f"The form's fields are longer than {MAX_FIELD_BYTES // 1024} KiB.")
                value += data
            case PartEnd():
                fields[name] = _text(name, value)
    raise InvalidRequest("The form has no part `file`.")


def _check_field(name: str, fields: Mapping[str, str]) -> None:
    if name not in FIELDS:
        raise InvalidRequest(f"The form has a part {name!r}; it may have {_ALLOWED} and, after those, `file`.")
    if name in fields:
        raise InvalidRequest(f"The form has the field `{name}` twice.")


async def _file_content(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The file's bytes; then makes sure that the form ends there, before they count as stored."""
    async for event in events:
        if isinstance(event, PartEnd):
            break
        if isinstance(event, PartData):
            yield event.data
    async for event in events:
        if isinstance(event, PartBegin) and event.name == FILE_PART:
            raise InvalidRequest("The form has two files; hand in each with a request of its own.")
        if isinstance(event, PartBegin):
            raise InvalidRequest(f"The part {event.name!r} comes after the file; fields go before it, or in the query.")


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The field `{name}` is not UTF-8.") from error


def _describe(told: Mapping[str, str]) -> Description:
    """What the query and the form say of the File. Raises `InvalidRequest`."""
    return Description(
        name=parse_name(told.get("name", "")),
        metadata=parse_metadata(told["metadata"]) if told.get("metadata") else {},
        batch=_batch(told["batch"]) if told.get("batch") else None,
    )


def _batch(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest("`batch` is not a UUID.") from error
