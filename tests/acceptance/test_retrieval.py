"""Search finds the answers, through the running product. What is wanted stands in `benchmarks/retrieval/wanted.py`."""

from __future__ import annotations

import pytest
from installation import CORPORA
from retrieval import wanted
from retrieval.corpus import chroma
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
