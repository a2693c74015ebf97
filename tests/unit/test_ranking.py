"""Ranking: pure rules over what the database measured."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from penstock.database.search import Evidence, Terms
from penstock.pipeline.ranking import bm25, fuse

FILE, OTHER = UUID(int=100), UUID(int=200)
TERMS = Terms(weights={"english": {"gate": 2.0, "intak": 3.0, "fast": 1.0}}, mean_length=100)


def chunk(
    number: int,
    similarity: float = 0.5,
    *,
    file_id: UUID = FILE,
    index: int | None = None,
    headings: tuple[str, ...] = (),
    tokens: int = 100,
    language: str = "english",
    **frequencies: int,
) -> Evidence:
    """Without an index far from all others."""
    place = 10 * number if index is None else index
    return Evidence(UUID(int=number), file_id, place, headings, language, tokens, similarity, frequencies)


def order(candidates: Sequence[int], evidence: Sequence[Evidence], terms: Terms = TERMS) -> list[int]:
    return [scored.chunk_id.int for scored in fuse([UUID(int=each) for each in candidates], evidence, terms)]


def test_bm25_is_that_of_the_literature() -> None:
    # idf 2, tf 3, length equal to the mean: 2 * 3 * 2.2 / (3 + 1.2)
    assert bm25(chunk(1, gate=3), TERMS) == pytest.approx(2 * 3 * 2.2 / 4.2)
    assert bm25(chunk(1), TERMS) == 0
    assert bm25(chunk(1, tokens=300, gate=3), TERMS) == pytest.approx(2 * 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 3)))
    assert bm25(chunk(1, language="german", gate=3), TERMS) == 0, "a word of another language"


def test_rarer_words_count_more() -> None:
    assert order([1, 5, 9], [chunk(1, gate=1), chunk(5, intak=1), chunk(9, fast=1)]) == [5, 1, 9]


def test_a_passage_that_covers_the_question_beats_one_that_repeats_a_word() -> None:
    evidence = [chunk(1, intak=9), chunk(2, gate=1, intak=1, fast=1), chunk(3)]
    assert order([1, 2, 3], evidence) == [2, 1, 3]


def test_scores_are_standardised_and_added() -> None:
    evidence = [chunk(1, 0.9), chunk(2, 0.8, gate=3, intak=3, fast=3), chunk(3, 0.1)]
    fused = fuse([each.chunk_id for each in evidence], evidence, TERMS)
    assert [scored.chunk_id.int for scored in fused] == [2, 1, 3]
    assert sum(scored.score for scored in fused) == pytest.approx(0)


def test_of_equal_passages_the_one_between_near_ones_wins() -> None:
    alone = [chunk(1, index=10, file_id=OTHER), *(chunk(n, 0.1, index=n, file_id=OTHER) for n in (9, 11))]
    between = [chunk(4, index=20), *(chunk(n, 0.9, index=n) for n in (19, 21))]
    assert order([1, 4], [*alone, *between]) == [4, 1], "and only candidates are found"


def test_of_equal_passages_the_one_between_matches_wins() -> None:
    alone = [chunk(1, index=10, file_id=OTHER, gate=1), *(chunk(n, index=n, file_id=OTHER) for n in (9, 11))]
    between = [chunk(4, index=20, gate=1), *(chunk(n, index=n, fast=3) for n in (19, 21))]
    assert order([1, 4], [*alone, *between]) == [4, 1]


def test_neighbours_of_another_section_do_not_count() -> None:
    same = [chunk(1, index=10, headings=("A",)), chunk(9, 0.9, index=9, headings=("A",), gate=3)]
    other = [chunk(4, index=20, headings=("B",)), chunk(19, 0.9, index=19, headings=("A",), gate=3)]
    assert order([4, 1], [*same, *other]) == [1, 4]


def test_a_note_of_one_passage_is_not_outdone_by_chapters_for_want_of_neighbours() -> None:
    chapter = [chunk(number, 0.55, index=number) for number in (10, 11, 12, 13)]
    assert order([1, 10, 11, 12, 13], [chunk(1, 0.60, index=0, file_id=OTHER), *chapter])[0] == 1


def test_equal_scores_come_in_a_fixed_order() -> None:
    assert order([5, 2, 9], [chunk(5), chunk(2), chunk(9)]) == [2, 5, 9]


def test_nothing_found_is_nothing() -> None:
    assert fuse([], [], TERMS) == []
    assert fuse([], [], Terms()) == []


def test_a_chunk_that_was_deleted_meanwhile_is_left_out() -> None:
    assert order([1, 77], [chunk(1, gate=1)]) == [1]
    assert order([1], [chunk(1)], Terms()) == [1]
