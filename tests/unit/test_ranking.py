"""Ranking: pure rules over what the database measured."""

from __future__ import annotations

from uuid import UUID

import pytest

from penstock.database.search import Evidence, Terms
from penstock.pipeline.ranking import bm25, by_meaning_and_words, by_words

FILE, OTHER = UUID(int=100), UUID(int=200)
TERMS = Terms(weights={"english": {"gate": 2.0, "intak": 3.0, "fast": 1.0}}, match="", mean_length=100)


def chunk(number: int, *, file_id: UUID = FILE, index: int | None = None, **frequencies: int) -> Evidence:
    return Evidence(UUID(int=number), file_id, number if index is None else index, "english", 100, frequencies)


def order(candidates: list[int], evidence: list[Evidence]) -> list[int]:
    ids = [UUID(int=number) for number in candidates]
    return [scored.chunk_id.int for scored in by_words(ids, evidence, TERMS)]


def test_bm25_is_that_of_the_literature() -> None:
    # idf 2, tf 3, length equal to the mean: 2 * 3 * 2.2 / (3 + 1.2)
    assert bm25(chunk(1, gate=3), TERMS) == pytest.approx(2 * 3 * 2.2 / 4.2)
    assert bm25(chunk(1), TERMS) == 0
    long = Evidence(UUID(int=1), FILE, 0, "english", 300, {"gate": 3})
    assert bm25(long, TERMS) == pytest.approx(2 * 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 3)))


def test_rarer_words_count_more() -> None:
    evidence = [chunk(1, index=0, gate=1), chunk(5, index=5, intak=1), chunk(9, index=9, fast=1)]
    assert order([1, 5, 9], evidence) == [5, 1, 9]


def test_of_equal_passages_the_one_between_matches_wins() -> None:
    evidence = [
        chunk(1, file_id=OTHER, index=10, gate=1),
        chunk(2, file_id=OTHER, index=9), chunk(3, file_id=OTHER, index=11),
        chunk(4, index=10, gate=1), chunk(5, index=9, fast=1), chunk(6, index=11, fast=1),
    ]  # fmt: skip
    assert order([1, 4], evidence) == [4, 1]


def test_only_candidates_are_found_though_neighbours_were_measured() -> None:
    assert order([4], [chunk(4, gate=1), chunk(5, gate=9), chunk(3)]) == [4]


def test_a_note_of_one_passage_is_not_outdone_by_chapters_for_want_of_neighbours() -> None:
    note = chunk(1, file_id=OTHER, index=0)
    chapter = [chunk(number) for number in (10, 11, 12, 13)]
    similarities = {note.chunk_id: 0.60, **{each.chunk_id: 0.55 for each in chapter}}
    candidates = [note.chunk_id, *(each.chunk_id for each in chapter)]
    best, *_ = by_meaning_and_words(similarities, candidates, [note, *chapter], TERMS)
    assert best.chunk_id == note.chunk_id


def test_fusion_adds_standardised_scores() -> None:
    a, b, c = chunk(1, index=0), chunk(2, index=10, gate=3, intak=3, fast=3), chunk(3, index=20)
    similarities = {a.chunk_id: 0.9, b.chunk_id: 0.8, c.chunk_id: 0.1}
    fused = by_meaning_and_words(similarities, list(similarities), [a, b, c], TERMS)
    assert [scored.chunk_id for scored in fused] == [b.chunk_id, a.chunk_id, c.chunk_id]
    assert sum(scored.score for scored in fused) == pytest.approx(0)


def test_beside_the_vectors_a_passage_that_covers_the_question_beats_one_that_repeats_a_word() -> None:
    repeats, covers = chunk(1, index=0, intak=9), chunk(2, index=10, gate=1, intak=1, fast=1)
    other = chunk(3, index=20)
    alike = {each.chunk_id: 0.5 for each in (repeats, covers, other)}
    best, *_ = by_meaning_and_words(alike, list(alike), [repeats, covers, other], TERMS)
    assert best.chunk_id == covers.chunk_id


def test_a_word_that_a_neighbour_says_covers_by_half() -> None:
    beside = [chunk(1, index=0, gate=1), chunk(2, index=1, intak=1)]
    alone = [chunk(3, file_id=OTHER, index=0, gate=1), chunk(4, file_id=OTHER, index=1)]
    alike = {each.chunk_id: 0.5 for each in (*beside, *alone)}
    ranked = by_meaning_and_words(alike, [UUID(int=1), UUID(int=3)], [*beside, *alone], TERMS)
    assert [scored.chunk_id.int for scored in ranked] == [1, 3]


def test_equal_scores_come_in_a_fixed_order() -> None:
    evidence = [chunk(number, index=10 * number) for number in (5, 2, 9)]
    alike = {each.chunk_id: 1.0 for each in evidence}
    assert [scored.chunk_id.int for scored in by_meaning_and_words(alike, list(alike), evidence, TERMS)] == [2, 5, 9]


def test_nothing_found_is_nothing() -> None:
    assert by_words([], [], TERMS) == []
    assert by_meaning_and_words({}, [], [], Terms()) == []


def test_a_chunk_that_was_deleted_meanwhile_is_left_out() -> None:
    here = chunk(1, gate=1)
    assert order([1, 77], [here]) == [1]
    assert [scored.chunk_id.int for scored in by_meaning_and_words({}, [here.chunk_id], [here], TERMS)] == []
