"""What may be in a request: types that refuse what the database cannot hold, before it has to."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from penstock.errors import InvalidRequest
from penstock.objects import checked_key

MAX_NAME_CHARACTERS = 1024
MAX_METADATA_BYTES = 64 * 1024
MAX_METADATA_DEPTH = 100
MAX_QUERY_CHARACTERS = 10_000


class Body(BaseModel):
    """A JSON body. Unknown fields are an error: a filter with a typing error must not find everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def storable_text(text: str) -> str:
    """PostgreSQL stores no NUL, and nothing encodes half a surrogate pair."""
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be valid Unicode")
    return text


def storable_json(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object that fits `jsonb`: every text storable, every number finite, not too deep or too long."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_METADATA_DEPTH:
            raise ValueError(f"must not be nested more than {MAX_METADATA_DEPTH} deep")
        pending.extend((inner, depth + 1) for inner in _checked_inside(item))
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise ValueError(f"must not be longer than {MAX_METADATA_BYTES // 1024} KiB")
    return value


def _checked_inside(item: Any) -> list[Any]:
    """What `item` holds, after a look at itself."""
    if isinstance(item, str):
        storable_text(item)
    if isinstance(item, float) and not math.isfinite(item):
        raise ValueError("must not contain numbers that are not finite")
    if isinstance(item, dict):
        held = cast("dict[str, Any]", item)
        return [*held.keys(), *held.values()]
    return cast("list[Any]", item) if isinstance(item, list) else []


def clean_name(name: str) -> str:
    """A File's name as it is kept: without control characters. Raises `ValueError` if nothing or too much is left."""
    kept = "".join(character for character in name if unicodedata.category(character) not in ("Cc", "Cs")).strip()
    if not kept:
        raise ValueError("must not be empty")
    if len(kept) > MAX_NAME_CHARACTERS:
        raise ValueError(f"must not be longer than {MAX_NAME_CHARACTERS:,} characters")
    return kept


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def with_zone(moment: datetime) -> datetime:
    """A time without a zone is in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Text = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(storable_text)]
Name = Annotated[str, AfterValidator(clean_name)]
Query = Annotated[str, Field(max_length=MAX_QUERY_CHARACTERS), AfterValidator(storable_text), AfterValidator(not_blank)]
ObjectKey = Annotated[str, Field(max_length=1024), AfterValidator(checked_key)]
Metadata = Annotated[dict[str, Any], AfterValidator(storable_json)]
Moment = Annotated[datetime, AfterValidator(with_zone)]

_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)


def parse_metadata(text: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises `InvalidRequest`."""
    try:
        return _METADATA.validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"`metadata` is not a JSON object that can be kept: {problem}.") from error


def parse_name(name: str) -> str:
    """`clean_name` for what came in a form. Raises `InvalidRequest`."""
    try:
        return clean_name(name)
    except ValueError as error:
        raise InvalidRequest(f"The file's name {error}; give it with `?name=`.") from error
