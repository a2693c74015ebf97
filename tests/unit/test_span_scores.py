"""The measure itself, by hand, and where extracted text stands in its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retrieval.alignment import Alignment
from retrieval.spans import Span, score


def test_half_of_an_answer_in_ten_times_its_length() -> None:
    scores = score([Span("a", 100, 200)], [Span("a", 150, 650), Span("b", 0, 500)])
    assert scores == (pytest.approx(0.5), pytest.approx(50 / 1000), pytest.approx(50 / 1050))


def test_the_same_passage_twice_finds_no_more_and_costs_twice() -> None:
    answer, passage = [Span("a", 0, 10), Span("a", 30, 40)], Span("a", 5, 35)
    once, twice = score(answer, [passage]), score(answer, [passage, passage])
    assert once == (pytest.approx(0.5), pytest.approx(10 / 30), pytest.approx(10 / 40))
    assert twice == (pytest.approx(0.5), pytest.approx(10 / 60), pytest.approx(10 / 70))


def test_the_right_place_in_the_wrong_document_finds_nothing() -> None:
    assert score([Span("a", 0, 10)], [Span("b", 0, 10)]) == (0, 0, 0)
    assert score([Span("a", 0, 10)], []) == (0, 0, 0)


def test_marks_that_a_reader_leaves_out_are_stepped_over() -> None:
    source = """# A heading

- first item
- second item

| gauge | kind |
|-------|------|
| intake | pressure |

And a paragraph behind the table.
"""
    extracted = """A heading

first item
second item

gauge | kind
intake | pressure

And a paragraph behind the table."""
    alignment = Alignment(extracted, source)
    assert alignment.of_extracted == 1
    for piece in ("heading", "first item", "second item", "intake | pressure"):
        start = extracted.index(piece)
        place = alignment.in_source(start, start + len(piece))
        assert place is not None
        assert source[slice(*place)] == piece


def test_text_that_is_not_in_the_source_is_counted() -> None:
    alignment = Alignment(
        "a word that was made up stands here, and then it goes on", "a word stands here, and then it goes on"
    )
    assert 0.6 < alignment.of_extracted < 0.8
    assert alignment.of_source == 1


@given(st.lists(st.tuples(st.text("abc \n", min_size=1, max_size=30), st.booleans()), max_size=20))
def test_what_is_cut_out_of_a_source_is_found_in_its_order(pieces: list[tuple[str, bool]]) -> None:
    source = "".join(text for text, _ in pieces)
    extracted = "".join(text for text, kept in pieces if kept)
    alignment = Alignment(extracted, source)
    places = [alignment.in_source(at, at + 1) for at in range(len(extracted))]
    found = [(extracted[at], place) for at, place in enumerate(places) if place]
    assert all(source[slice(*place)] == character for character, place in found)
    starts = [place[0] for _, place in found]
    assert starts == sorted(set(starts))
