"""Ways to search one Corpus, beside each other: Penstock's three modes, and other cuttings with vectors alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.embedding import open_engine
from penstock.embedding.model import load_tokenizer, locate_model
from penstock.settings import EmbeddingSettings
from retrieval.corpus import Corpus
from retrieval.cuttings import Documents, Passage, SemanticSplitter, fixed_windows, search_by_vectors
from retrieval.product import MODES, Searchable, searchable
from retrieval.spans import Scores, Span, score

HYBRID, VECTOR, TEXT = "Penstock, hybrid", "Penstock, vector", "Penstock, text"
OURS = "Penstock's Chunks, nothing else"
RESAMPLES = 10_000
SEED = 20_240_703


@dataclass(frozen=True, slots=True)
class Way:
    """What one way found."""

    name: str
    passages: int
    mean_tokens: float
    scores: NDArray[np.float64]
    """Shape (questions, 3): see `Scores`."""


Cuttings = Callable[[Documents, float], Mapping[str, list[Passage]]]
"""Other ways to cut the documents, by name, given the mean size of our Chunks in tokens."""


async def measure(corpus: Corpus, cuttings: Cuttings, *, k: int) -> dict[str, Any]:
    """Penstock's modes and the cuttings on the same questions, and by how much they differ."""
    settings = EmbeddingSettings()
    model = locate_model(settings)
    documents = Documents(corpus, load_tokenizer(model.tokenizer_file), model.max_tokens)
    with searchable(corpus) as penstock:
        found = {mode: penstock.ask(mode, k=k) for mode in MODES}
        ours = penstock.passages()
    size = documents.mean_tokens(ours)
    ways = [_way(f"Penstock, {mode}", documents, ours, found[mode]) for mode in reversed(MODES)]
    engine = await open_engine(settings)
    try:
        for name, passages in {OURS: ours, **cuttings(documents, size)}.items():
            ways.append(_way(name, documents, passages, await search_by_vectors(engine, documents, passages, k=k)))
    finally:
        await engine.close()
    return {
        "questions": len(corpus.questions),
        "longest": documents.longest,
        "aligned": {document: alignment.of_extracted for document, alignment in penstock.alignments.items()},
        "kept": {document: alignment.of_source for document, alignment in penstock.alignments.items()},
        "ways": [_summary(way, corpus) for way in ways],
        "differences": _differences(ways),
    }


def scores_of(penstock: Searchable, mode: str, *, k: int) -> Scores:
    """Mean over the questions."""
    return Scores(*_scores(penstock.corpus, penstock.ask(mode, k=k)).mean(axis=0))


def all_cuttings(documents: Documents, size: float) -> dict[str, list[Passage]]:
    by_text, by_markdown = (SemanticSplitter(documents, markdown=markdown) for markdown in (False, True))
    return {
        "fixed windows of 200 tokens": fixed_windows(documents, 200),
        "fixed windows of 250 tokens": fixed_windows(documents, 250),
        "fixed windows, equal mean size": fixed_windows(documents, round(size)),
        "semantic-text-splitter, equal mean size": by_text.of_mean(size),
        "semantic-text-splitter, equal budget": by_text.up_to(documents.longest),
        "semantic-text-splitter for Markdown, equal mean size": by_markdown.of_mean(size),
    }


def two_cuttings(documents: Documents, size: float) -> dict[str, list[Passage]]:
    """Those that take little time."""
    return {
        "fixed windows, equal mean size": fixed_windows(documents, round(size)),
        "semantic-text-splitter, equal budget": SemanticSplitter(documents, markdown=False).up_to(documents.longest),
    }


def _way(name: str, documents: Documents, passages: Sequence[Passage], found: Sequence[Sequence[Span]]) -> Way:
    return Way(name, len(passages), documents.mean_tokens(passages), _scores(documents.corpus, found))


def _scores(corpus: Corpus, found: Sequence[Sequence[Span]]) -> NDArray[np.float64]:
    return np.array([score(question.answer, spans) for question, spans in zip(corpus.questions, found, strict=True)])


def _summary(way: Way, corpus: Corpus) -> dict[str, Any]:
    asked_of = np.array([question.document for question in corpus.questions])
    return {
        "name": way.name,
        "passages": way.passages,
        "mean_tokens": way.mean_tokens,
        **_means(way.scores),
        "by_document": {document: _means(way.scores[asked_of == document]) for document in sorted(set(asked_of))},
    }


def _means(scores: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(Scores._fields, scores.mean(axis=0).tolist(), strict=True))


def _differences(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """Hybrid search against all others, and our Chunks against other cuttings, vectors alone."""
    named = {way.name: way for way in ways}
    others = [way for way in ways if way.name not in (HYBRID, VECTOR, TEXT, OURS)]
    pairs = [(named[HYBRID], way) for way in ways if way.name != HYBRID] + [(named[OURS], way) for way in others]
    return [_difference(one, other) for one, other in pairs]


def _difference(one: Way, other: Way) -> dict[str, Any]:
    """Mean over the questions, and the 95 % interval of a paired bootstrap over them."""
    by_question = one.scores - other.scores
    picked = np.random.default_rng(SEED).integers(len(by_question), size=(RESAMPLES, len(by_question)))
    low, high = np.percentile(by_question[picked].mean(axis=1), [2.5, 97.5], axis=0)
    means = by_question.mean(axis=0)
    intervals = zip(means.tolist(), low.tolist(), high.tolist(), strict=True)
    return {"of": one.name, "over": other.name, **dict(zip(Scores._fields, intervals, strict=True))}
