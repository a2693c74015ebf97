"""Does search by our vectors find as much as by the float32 vectors of sentence-transformers?

    .venv/bin/python benchmarks/vectors.py [--quick]

Chroma's questions with the exact spans of their answers (`retrieval/`), Penstock's Chunks with their contexts, all
vectors compared: only who made the vectors differs. With `--quick`: the first 20 questions.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from measured import Figure, keep
from numpy.typing import NDArray
from peer_run import reference_vectors
from penstock_run import BenchmarkError
from retrieval.corpus import Corpus, chroma
from retrieval.product import searchable
from retrieval.spans import Span, score
from retrieval.wanted import K

from penstock.embedding import Embedded, open_engine
from penstock.embedding.model_files import DEFAULT_MODEL, find_model_folder
from penstock.errors import EmbeddingRefused
from penstock.models import embedded_text
from penstock.settings import EmbeddingSettings

QUICK_QUESTIONS = 20
WANTED_DIFFERENCE = 0.005

Vectors = NDArray[np.float32]


def passages_of(corpus: Corpus) -> tuple[list[Span], list[str]]:
    """Where each Chunk stands in its source, and what is embedded of it."""
    spans: list[Span] = []
    texts: list[str] = []
    with searchable(corpus) as held:
        for file_id, document in held.document_of.items():
            for chunk in held.penstock.chunks(file_id):
                if place := held.alignments[document].in_source(*chunk["char_span"]):
                    spans.append(Span(document, *place))
                    texts.append(embedded_text(chunk["context"], chunk["text"]))
    return spans, texts


async def our_vectors(texts: list[str], questions: list[str]) -> tuple[Vectors, Vectors]:
    """Of the passages and of the questions, shape (texts, dimensions) each, by the engine as it runs in the product."""
    engine = await open_engine(EmbeddingSettings())
    try:
        asked = np.array([await engine.embed_query(question) for question in questions], np.float32)
        return _all(await engine.embed_documents(texts)), asked
    finally:
        await engine.close()


def _all(embedded: Sequence[Embedded]) -> Vectors:
    if refused := [one for one in embedded if isinstance(one, EmbeddingRefused)]:
        raise BenchmarkError(f"The engine refused {len(refused)} passages: {refused[0]}")
    return np.array(embedded, np.float32)


def recall(corpus: Corpus, spans: Sequence[Span], vectors: Vectors, asked: Vectors) -> float:
    """Mean share of the answers' characters that are in the K nearest passages."""
    nearest: list[list[int]] = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :K].tolist()
    scores = [
        score(question.answer, [spans[index] for index in row]).recall
        for question, row in zip(corpus.questions, nearest, strict=True)
    ]
    return float(np.mean(scores))


def measure(corpus: Corpus) -> list[Figure]:
    spans, texts = passages_of(corpus)
    questions = [question.text for question in corpus.questions]
    vectors, asked = asyncio.run(our_vectors(texts, questions))
    reference = reference_vectors(find_model_folder(DEFAULT_MODEL), [*texts, *questions])
    ours = recall(corpus, spans, vectors, asked)
    theirs = recall(corpus, spans, reference[: len(texts)], reference[len(texts) :])
    return [
        Figure(
            row=0,
            measure=f"span recall of {len(questions)} questions by vectors alone, first {K} passages",
            unit="",
            ours=ours,
            against=theirs,
            other="float32 vectors of sentence-transformers",
            value=abs(ours - theirs),
            wanted=WANTED_DIFFERENCE,
            better="lower",
            note=f"{len(texts):,} passages; the value is the difference of the two.",
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few questions")
    arguments = parser.parse_args()
    try:
        corpus = chroma()
        if arguments.quick:
            corpus = replace(corpus, questions=corpus.questions[:QUICK_QUESTIONS])
        keep("vectors", measure(corpus), {})
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
