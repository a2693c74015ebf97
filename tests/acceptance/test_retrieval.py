"""Search finds the answers, through the running product. What is wanted stands in `benchmarks/retrieval/wanted.py`."""

from __future__ import annotations

import pytest
from installation import CORPORA
from penstock_run import BenchmarkError
from retrieval import wanted
from retrieval.corpus import chroma, held_out
from retrieval.filings import ask, searchable_filings, share
from retrieval.product import MODES, searchable
from retrieval.ways import scores_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="needs the corpora in ../shared/corpora"),
]


def test_hybrid_search_finds_the_spans_of_the_answers_better_than_either_of_its_halves() -> None:
    with searchable(chroma()) as penstock:
        scores = {mode: scores_of(penstock, mode, k=wanted.K) for mode in MODES}
    hybrid = scores["hybrid"]
    assert hybrid.recall >= wanted.CHROMA_RECALL, scores
    assert hybrid.iou >= wanted.CHROMA_IOU, scores
    assert hybrid.recall > max(scores["vector"].recall, scores["text"].recall), scores


def test_and_so_on_other_questions_about_other_texts() -> None:
    try:
        corpus = held_out()
    except BenchmarkError as error:
        pytest.skip(str(error))  # another Debian has other licences
    with searchable(corpus) as penstock:
        scores = {mode: scores_of(penstock, mode, k=wanted.K) for mode in MODES}
    assert scores["hybrid"].recall >= wanted.HELD_OUT_RECALL, scores
    assert scores["hybrid"].recall > max(scores["vector"].recall, scores["text"].recall), scores


def test_the_page_that_answers_a_question_about_a_filing_is_among_the_first_hits() -> None:
    with searchable_filings() as penstock:
        shares = {mode: share(ask(penstock, mode), first=wanted.K) for mode in MODES}
    assert shares["hybrid"] >= wanted.FILINGS_SHARE, shares
    assert shares["hybrid"] >= max(shares["vector"], shares["text"]), shares
