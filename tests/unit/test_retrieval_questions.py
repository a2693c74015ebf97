"""The questions themselves: well formed, on files that are there, with answers that stand where they are said to."""

from __future__ import annotations

import itertools
from collections import Counter

import pypdfium2 as pdfium  # pyright: ignore[reportMissingTypeStubs] - it has none
import pytest
from penstock_run import BenchmarkError
from retrieval.corpus import CORPORA, Corpus, chroma, held_out
from retrieval.filings import questions

needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="needs the corpora in ../shared/corpora")


def test_there_are_enough_questions_on_the_filings_and_of_every_kind() -> None:
    kinds = Counter(question.kind for question in questions())
    assert kinds.total() >= 60
    assert set(kinds) == {"prose", "table", "definition", "name", "topic", "footnote", "paraphrase", "exact"}
    assert min(kinds.values()) >= 4
    assert len({question.id for question in questions()}) == kinds.total()


@needs_corpora
def test_every_page_named_is_a_page_of_its_filing() -> None:
    sizes: dict[str, int] = {}
    for question in questions():
        if question.file not in sizes:
            with pdfium.PdfDocument(CORPORA / "filings" / question.file) as pdf:
                sizes[question.file] = len(pdf)
        assert question.pages, question
        assert all(1 <= page <= sizes[question.file] for page in question.pages), question


@pytest.fixture(params=[chroma, held_out])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    try:
        return request.param()
    except BenchmarkError as error:
        pytest.skip(str(error))


@needs_corpora
def test_every_answer_stands_in_its_document(corpus: Corpus) -> None:
    texts = {document: corpus.text(document) for document in corpus.documents}
    assert len({question.question_id for question in corpus.questions}) == len(corpus.questions)
    for question in corpus.questions:
        assert {span.document for span in question.answer} == {question.document}, question
        ordered = sorted(question.answer)
        assert all(one.end <= next_one.start for one, next_one in itertools.pairwise(ordered)), question
        for span in question.answer:
            assert texts[span.document][span.start : span.end].strip(), question
