"""What counts the words can find them missing."""

from __future__ import annotations

from fidelity.chunk_truth import flaws
from fidelity.measures import Count, Measure, is_miss
from fidelity.misses import Explanation, explanation_of
from fidelity.text_truth import html_text
from fidelity.words import Tally, added, lost

from penstock.models import NewChunk

MEASURE = Measure("x", ("text/plain",), "nobody", lambda _: "", recall=0.9, precision=0.9)


def chunk(index: int, text: str, start: int) -> NewChunk:
    span = (start, start + len(text))
    return NewChunk(index=index, text=text, token_count=1, pages=None, char_span=span, headings=[])


def test_words_are_counted_as_often_as_they_occur() -> None:
    tally = Tally.of(given="a b b x", expected="A b, c; c")
    assert (tally.common, tally.expected, tally.given) == (2, 4, 4)
    assert (tally.recall, tally.precision) == (0.5, 0.5)
    assert (lost("a b b x", "A b, c; c"), added("a b b x", "A b, c; c")) == (["c"], ["b", "x"])


def test_nothing_expected_is_nothing_lost() -> None:
    assert (Tally.of("", "").recall, Tally.of("", "a").recall) == (1.0, 0.0)


def test_a_miss_is_too_little_or_too_much() -> None:
    assert is_miss(MEASURE, Count("f", None, Tally(common=8, expected=10, given=8)))
    assert is_miss(MEASURE, Count("f", None, Tally(common=10, expected=10, given=20)))
    assert not is_miss(MEASURE, Count("f", None, Tally(common=10, expected=10, given=11)))


def test_an_explanation_covers_its_file_down_to_its_figures() -> None:
    known = [Explanation("x", "f", "because", recall=0.5)]
    assert explanation_of(MEASURE, Count("f", None, Tally(5, 10, 5)), known) is known[0]
    assert explanation_of(MEASURE, Count("f", None, Tally(4, 10, 4)), known) is None
    assert explanation_of(MEASURE, Count("f", None, Tally(5, 10, 10)), known) is None
    assert explanation_of(MEASURE, Count("g", None, Tally(5, 10, 5)), known) is None


def test_flaws_of_chunks() -> None:
    text = "one two three"
    assert flaws(text, [chunk(0, "one two", 0), chunk(1, "three", 8)]) == []
    assert flaws(text, [chunk(0, "one", 0), chunk(1, "three", 8)]) == ["before chunk 1 text is in no chunk: 'two'"]
    assert flaws(text, [chunk(0, "one two", 0), chunk(1, "two three", 4)]) == ["chunk 1 repeats 3 characters"]
    assert flaws(text, [chunk(0, "one two", 0)]) == ["text after the last chunk: 'three'"]
    assert flaws(text, [chunk(0, "one too", 0), chunk(1, "three", 8)]) == ["chunk 0 is not the text at its span 0..7"]


def test_the_other_reading_of_a_page() -> None:
    page = "<p>a<script>no</script><nav>m<nav>n</nav></nav><input aria-hidden=true>b</p>"
    assert html_text(page, menus=False).split() == ["a", "b"]
    assert html_text(page).split() == ["a", "m", "n", "b"]
