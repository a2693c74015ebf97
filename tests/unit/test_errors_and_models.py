"""The error tree and the values: codes that never change, ids that are always the same."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from pydantic import ValidationError

from penstock import errors
from penstock.models import EmbedRequest, IngestRequest, NewChunk, chunk_id, page_ranges


def all_errors() -> list[type[errors.PenstockError]]:
    found = [errors.PenstockError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__ == errors.__name__]


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\w+)$", errors.__doc__ or "", re.MULTILINE))
    leaves = [kind for kind in all_errors() if not kind.__subclasses__() and kind.__name__ in drawn]
    assert {kind.__name__: kind.code for kind in leaves}.items() <= drawn.items()
    missing = {kind.__name__ for kind in all_errors() if kind.__name__ not in (errors.__doc__ or "")}
    assert missing == set()


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in all_errors()]
    assert len(set(codes)) == len(codes)


def test_an_error_keeps_its_kind_across_processes() -> None:
    for kind in all_errors():
        again = errors.error_with_code(kind.code, "why")
        assert type(again) is kind
        assert again.message == "why"
    assert isinstance(errors.error_with_code("from_the_future", "why"), errors.GaveUp)


def test_the_default_message_is_a_sentence() -> None:
    for kind in all_errors():
        assert kind().message.endswith("."), kind


def test_chunk_ids_are_deterministic_and_distinct() -> None:
    file_id, digest = UUID(int=7), bytes(32)
    same = chunk_id(file_id, 1, 0, digest)
    assert same == chunk_id(file_id, 1, 0, digest)
    assert same.version == 8
    others = {
        chunk_id(UUID(int=8), 1, 0, digest),
        chunk_id(file_id, 2, 0, digest),
        chunk_id(file_id, 1, 1, digest),
        chunk_id(file_id, 1, 0, b"\1" * 32),
    }
    assert len(others | {same}) == 5


def test_equal_texts_have_equal_hashes() -> None:
    def chunk(index: int) -> NewChunk:
        return NewChunk(index=index, text="same", token_count=1, pages=None, char_span=(0, 4), headings=[])

    assert chunk(0).text_hash == chunk(9).text_hash


def test_messages_of_another_version_are_refused() -> None:
    """Trap: contract drift between two services' message types (redbox PR 113)."""
    for odd in ({"version": 2}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            IngestRequest.model_validate({"file_id": str(UUID(int=1)), "generation": 1, **odd})
    with pytest.raises(ValidationError):
        EmbedRequest(file_id=UUID(int=1), generation=1, chunk_ids=())


@pytest.mark.parametrize(
    ("pages", "written"), [([], ""), ([3], "3"), ([3, 7, 8, 9], "3, 7-9"), ([1, 2, 4, 6, 7], "1-2, 4, 6-7")]
)
def test_pages_are_told_in_ranges(pages: list[int], written: str) -> None:
    assert page_ranges(pages) == written
