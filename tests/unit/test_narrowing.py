"""Which Chunks are scored by their words: those whose words weigh enough, and not many more than asked for."""

from __future__ import annotations

import math
from itertools import combinations
from random import Random

import pytest

from penstock.database.search import QueryWord, Terms
from penstock.pipeline.narrowing import MOST_WORDS, narrowed, threshold

CHUNKS = 100_000


def word(spelling: str, chunks: float, *, everywhere: bool = True, **lexemes: str) -> QueryWord:
    """A word with its weight as BM25 has it."""
    weight = math.log(1 + (CHUNKS - chunks + 0.5) / (chunks + 0.5))
    return QueryWord(spelling, lexemes or {spelling: f"'{spelling}'"}, chunks, weight, everywhere)


def terms(*words: QueryWord) -> Terms:
    return Terms({"english": {one.spelling: one.weight for one in words}}, words, 100.0, CHUNKS)


def satisfied(tsquery: str, said: set[str]) -> bool:
    """Whether a text of these lexemes satisfies it."""
    rule = "".join(
        {"&": " and ", "|": " or ", "(": "(", ")": ")"}.get(part, f" {part[1:-1] in said} ")
        for part in tsquery.replace("(", " ( ").replace(")", " ) ").split()
    )
    return bool(eval(rule))  # `and`, `or`, parentheses, True and False


RARE, COMMON, USUAL = word("dredger", 30), word("contract", 9_000), word("company", 30_000)


def test_where_few_chunks_have_any_of_the_words_all_of_them_are_scored() -> None:
    match = narrowed(terms(RARE, word("pump", 100)), [], most=2_000)
    assert match.everything
    assert all(satisfied(match.tsquery, {said}) for said in ("dredger", "pump"))


def test_where_many_have_a_common_word_it_alone_is_not_enough() -> None:
    match = narrowed(terms(COMMON, RARE, USUAL), [], most=2_000)
    assert not match.everything
    assert satisfied(match.tsquery, {"dredger"})
    assert not satisfied(match.tsquery, {"contract"})
    assert not satisfied(match.tsquery, {"company"})
    assert satisfied(match.tsquery, {"contract", "company", "dredger"})


def test_the_more_may_be_scored_the_fewer_words_are_enough() -> None:
    words = terms(COMMON, RARE, USUAL)
    assert satisfied(narrowed(words, [], most=20_000).tsquery, {"contract"})
    assert narrowed(words, [], most=math.inf).everything


def test_words_of_a_phrase_must_be_there_except_where_a_language_leaves_them_out() -> None:
    stop_word = word("die", 500, everywhere=False, die="'die'")
    match = narrowed(terms(RARE, word("pump", 100), stop_word), ["pump", "die"], most=2_000)
    assert satisfied(match.tsquery, {"pump"})
    assert not satisfied(match.tsquery, {"dredger", "die"})


def test_a_word_is_found_by_its_lexeme_in_each_language() -> None:
    both = word("contracts", 100, contract="'contract'", contracts="'contracts'")
    match = narrowed(terms(both, USUAL), [], most=2_000)
    assert satisfied(match.tsquery, {"contract"})
    assert satisfied(match.tsquery, {"contracts"})


def test_two_spellings_of_one_lexeme_count_once() -> None:
    twice = [word("run", 3_000, run="'run'"), word("running", 3_000, run="'run'")]
    match = narrowed(terms(*twice, word("dredger", 1_500)), [], most=2_000)
    assert satisfied(match.tsquery, {"dredger"}), "with `run` counted twice only this word and both would weigh enough"


@pytest.mark.parametrize("seed", range(20))
def test_exactly_the_texts_whose_words_reach_the_threshold_satisfy_the_query(seed: int) -> None:
    random = Random(seed)
    words = [word(f"w{n}", 10 ** random.uniform(1, 4.9)) for n in range(random.randint(1, MOST_WORDS))]
    most = random.choice([200, 2_000, 20_000])
    match = narrowed(terms(*words), [], most=most)
    if match.everything:
        return
    least = threshold(sorted(words, key=lambda one: -one.weight), CHUNKS, most=most)
    for size in range(len(words) + 1):
        for said in combinations(words, size):
            weight = sum(one.weight for one in said)
            if abs(weight - least) > 1e-3:  # else rounding decides
                assert satisfied(match.tsquery, {one.spelling for one in said}) == (weight > least)


def test_of_many_words_the_heaviest_decide() -> None:
    many = [word(f"w{n}", 1_000 + n) for n in range(200)]
    match = narrowed(terms(*many), [], most=2_000)
    assert len(match.tsquery) < 20_000
    assert not satisfied(match.tsquery, {"w199"})
    assert satisfied(match.tsquery, {f"w{n}" for n in range(MOST_WORDS)})
