"""What `docs/fidelity.md` promises, held: every word, the right page, Chunks that are the text."""

from __future__ import annotations

import asyncio

import pytest
from fidelity.chunk_truth import Chunked, chunk_files, words_elsewhere
from fidelity.corpus import GOOD, HOSTILE, Reading, corpus_files, read_files
from fidelity.figures import Measured
from fidelity.measures import MEASURES, Measure, counts
from fidelity.misses import explanations, unexplained
from fidelity.oracles import Vector, vectors
from fidelity.program_truth import is_installed
from folders import CORPORA

from penstock.embedding.chunk_recipe import recipe
from penstock.parsing.media_type import PDF
from penstock.settings import load_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not at ../shared/corpora"),
]


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    return read_files(corpus_files(*GOOD))


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_no_word_is_lost_without_a_reason(measure: Measure, readings: dict[str, Reading]) -> None:
    if measure.program and not is_installed(measure.program):
        pytest.skip(f"{measure.program[0]} is not installed")
    counted = counts(measure, readings)
    total = Measured(measure, counted).total
    assert counted
    assert unexplained(measure, counted) == []
    assert total.recall >= measure.recall
    assert total.precision >= (measure.precision or 0.0)


def test_every_explanation_names_a_measure_and_a_file() -> None:
    names = {measure.name for measure in MEASURES}
    assert [each for each in explanations() if each.measure not in names or not (CORPORA / each.file).is_file()] == []


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.file)
def test_strings_of_markitdown(vector: Vector, readings: dict[str, Reading]) -> None:
    reading = readings[vector.file]
    if reading.code in ("unsupported_format", "no_text"):
        pytest.skip(f"not read here: {reading.code}")
    assert reading.code == "ok"
    assert vector.missing(reading.text) == []
    assert vector.unwanted(reading.text) == []


@pytest.fixture(scope="module")
def chunked() -> list[Chunked]:
    """Every file through the parser pool, hostile ones too."""
    return asyncio.run(chunk_files(corpus_files(*GOOD, *HOSTILE), recipe(load_settings())))


def test_chunks_are_the_text_and_all_of_it(chunked: list[Chunked]) -> None:
    assert sum(len(each.chunks) for each in chunked) > 1_000
    assert {each.name: each.flaws for each in chunked if each.flaws} == {}


def test_chunks_name_the_pages_that_they_are_on(chunked: list[Chunked]) -> None:
    documents = [each for each in chunked if each.media_type == PDF]
    assert any(each.name.startswith("filings/") for each in documents)
    assert {each.name: found for each in documents if (found := words_elsewhere(each))} == {}
