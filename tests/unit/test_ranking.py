"""Ranking: pure rules over what the database measured."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from penstock.database.search import Evidence, Nearness, Terms
from penstock.pipeline.ranking import bm25, coverage, fuse, with_neighbours

FILE, OTHER = UUID(int=100), UUID(int=200)
TERMS = Terms(weights={"english": {"gate": 2.0, "intak": 3.0, "fast": 1.0}}, match="", mean_length=100)


def says(number: int, **frequencies: int) -> Evidence:
    return Evidence(UUID(int=number), "english", 100, frequencies)


def near(number: int, similarity: float, index: int, *, file_id: UUID = FILE) -> Nearness:
    return Nearness(UUID(int=number), file_id, index, similarity)


def alike(*numbers: int) -> list[Nearness]:
    """Far from each other, and equally near to the query."""
    return [near(number, 0.5, 10 * number) for number in numbers]


def order(nearness: Sequence[Nearness], evidence: Sequence[Evidence], terms: Terms = TERMS) -> list[int]:
    return [scored.chunk_id.int for scored in fuse(nearness, evidence, terms)]


def test_bm25_is_that_of_the_literature() -> None:
    # idf 2, tf 3, length equal to the mean: 2 * 3 * 2.2 / (3 + 1.2)
    assert bm25(says(1, gate=3), TERMS) == pytest.approx(2 * 3 * 2.2 / 4.2)
    assert bm25(says(1), TERMS) == 0
    long = Evidence(UUID(int=1), "english", 300, {"gate": 3})
    assert bm25(long, TERMS) == pytest.approx(2 * 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 3)))


def test_coverage_is_the_share_of_the_weight() -> None:
    assert coverage(says(1, gate=1, fast=7), TERMS) == pytest.approx(3 / 6)
    assert coverage(says(1, gate=1, intak=1, fast=1), TERMS) == 1
    assert coverage(says(1, gate=1), Terms()) == 0
    assert coverage(Evidence(UUID(int=1), "german", 100, {"gate": 1}), TERMS) == 0, "a word of another language"


def test_rarer_words_count_more() -> None:
    assert order(alike(1, 5, 9), [says(1, gate=1), says(5, intak=1), says(9, fast=1)]) == [5, 1, 9]


def test_a_passage_that_covers_the_question_beats_one_that_repeats_a_word() -> None:
    assert order(alike(1, 2, 3), [says(1, intak=9), says(2, gate=1, intak=1, fast=1), says(3)]) == [2, 1, 3]


def test_scores_are_standardised_and_added() -> None:
    nearness = [near(1, 0.9, 0), near(2, 0.8, 10), near(3, 0.1, 20)]
    fused = fuse(nearness, [says(1), says(2, gate=3, intak=3, fast=3), says(3)], TERMS)
    assert [scored.chunk_id.int for scored in fused] == [2, 1, 3]
    assert sum(scored.score for scored in fused) == pytest.approx(0)


def test_of_equal_passages_the_one_between_near_ones_wins() -> None:
    between = [near(4, 0.5, 10), near(5, 0.9, 9), near(6, 0.9, 11)]
    alone = [near(1, 0.5, 10, file_id=OTHER), near(2, 0.1, 9, file_id=OTHER), near(3, 0.1, 11, file_id=OTHER)]
    assert order([*alone, *between], [says(1), says(4)]) == [4, 1], "and only candidates are found"


def test_a_note_of_one_passage_is_not_outdone_by_chapters_for_want_of_neighbours() -> None:
    chapter = [near(number, 0.55, number) for number in (10, 11, 12, 13)]
    nearness = [near(1, 0.60, 0, file_id=OTHER), *chapter]
    assert max(with_neighbours(nearness).items(), key=lambda item: item[1])[0].int == 1


def test_equal_scores_come_in_a_fixed_order() -> None:
    assert order(alike(5, 2, 9), [says(5), says(2), says(9)]) == [2, 5, 9]


def test_nothing_found_is_nothing() -> None:
    assert fuse([], [], TERMS) == []
    assert fuse([], [], Terms()) == []


def test_a_chunk_that_lost_its_vector_meanwhile_is_left_out() -> None:
    assert order(alike(1), [says(1, gate=1), says(77, gate=1)]) == [1]
