"""What may be in a request, and what the database could not hold."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError

from penstock.api.cursors import Page, pack, pack_index, pack_time, page_of, unpack, unpack_index, unpack_time
from penstock.api.fields import Metadata, Moment, Name, ObjectKey, Query, Text, parse_metadata
from penstock.errors import InvalidRequest


class Everything(BaseModel):
    text: Text = "x"
    name: Name = "x"
    query: Query = "x"
    object_key: ObjectKey = "x"
    metadata: Metadata = {}
    moment: Moment = datetime.now(UTC)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "a\x00b"},
        {"text": "a\ud800b"},
        {"text": "x" * 1025},
        {"query": ""},
        {"query": " \n\t"},
        {"query": "a\x00"},
        {"query": "x" * 10_001},
        {"name": "\x00\x1f "},
        {"name": "x" * 1025},
        {"object_key": ""},
        {"object_key": "/abs"},
        {"object_key": "a/../b"},
        {"object_key": "a//b"},
        {"object_key": "a/"},
        {"object_key": "a\nb"},
        {"metadata": []},
        {"metadata": {"a": "\x00"}},
        {"metadata": {"\x00": 1}},
        {"metadata": {"a": [{"b": "\ud800"}]}},
        {"metadata": {"a": float("inf")}},
        {"metadata": {"a": [float("nan")]}},
        {"metadata": {"a": "x" * 70_000}},
        {"metadata": nested(200)},
    ],
)
def test_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Everything(**wrong)


def test_taken() -> None:
    taken = Everything(
        name=" a\x00b\u200d😀 ", object_key="ü/a b.pdf", metadata={"a": [1, 2.5, None, True, {"ü": "😀"}]}
    )
    assert taken.name == "ab\u200d😀"
    assert taken.metadata == {"a": [1, 2.5, None, True, {"ü": "😀"}]}


def test_a_moment_without_a_zone_is_in_utc() -> None:
    assert Everything(moment=datetime(2026, 1, 2)).moment == datetime(2026, 1, 2, tzinfo=UTC)  # noqa: DTZ001
    east = datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert Everything(moment=east).moment == east


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "1", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\u0000"}', '{"a": ' * 300 + "1" + "}" * 300]
)
def test_metadata_that_is_no_storable_object(text: str) -> None:
    with pytest.raises(InvalidRequest, match="metadata"):
        parse_metadata(text)


def test_a_cursor_comes_back_as_it_went() -> None:
    at, file_id = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), uuid4()
    place = unpack_time(pack_time("newest", at, file_id), "newest")
    assert place is not None
    assert (place.at, place.file_id) == (at, file_id)
    assert unpack_index(pack_index("chunks", file_id, 123), "chunks", file_id) == 123
    assert unpack_time(None, "newest") is None
    assert unpack_index(None, "chunks", file_id) == -1


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "zz", "====", "ü", "\x00"),
        *(encoded(1), encoded(["newest", "x"]), encoded(["newest", "x", "y"])),
        encoded(["newest", "2026-01-01T00:00:00", str(UUID(int=1))]),
        pack_time("settled", datetime.now(UTC), UUID(int=1)),
    ],
)
def test_a_cursor_that_is_not_ours(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        unpack_time(cursor, "newest")


@pytest.mark.parametrize("index", ["-1", "1.5", "", "9" * 30, "x", "²"])
def test_an_index_that_is_not_ours(index: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        unpack_index(pack("chunks", UUID(int=1), index), "chunks", UUID(int=1))


def test_a_cursor_of_another_file() -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        unpack_index(pack_index("chunks", UUID(int=1), 1), "chunks", UUID(int=2))


def test_a_page_says_whether_the_list_goes_on() -> None:
    assert page_of([1, 2, 3], 2, lambda item: pack("numbers", item, "")) == Page(
        items=[1, 2], next=pack("numbers", 2, "")
    )
    assert page_of([1, 2], 2, str) == Page(items=[1, 2], next=None)
    assert page_of([], 2, str) == Page(items=[], next=None)
    assert unpack(pack("numbers", 2, ""), "numbers") == ("2", "")
