"""Other ways to cut the same documents, and vectors alone to search them: only the cutting differs from ours.

The vectors are those of Penstock's own engine, the nearest passages are found by comparing all. Of a passage that
is longer than the model takes, its beginning is embedded, as sentence-transformers does it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peers.install import SPLITTER_FOLDER, SPLITTER_REQUIREMENTS, install
from penstock_run import BenchmarkError
from tokenizers import Tokenizer

from penstock.embedding import Embedded, EmbeddingEngine
from penstock.errors import EmbeddingRefused
from retrieval.corpus import Corpus
from retrieval.spans import Span

SPLITTER = Path(__file__).parents[1] / "peers" / "semantic_splitter.py"

Passage = tuple[Span, str]
"""Where it stands in the source, and the text that is embedded."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The texts of a Corpus and the tokenizer that all sizes are counted with."""

    corpus: Corpus
    tokenizer: Tokenizer
    """Of the model, with truncation off."""
    longest: int
    """Tokens that the model takes."""

    def texts(self) -> dict[str, str]:
        return {document: self.corpus.text(document) for document in self.corpus.documents}

    def mean_tokens(self, passages: Sequence[Passage]) -> float:
        encodings = self.tokenizer.encode_batch([text for _, text in passages], add_special_tokens=False)
        return float(np.mean([len(encoding.ids) for encoding in encodings]))

    def beginning(self, text: str) -> str:
        """As much of the text as the model takes."""
        offsets: list[tuple[int, int]] = self.tokenizer.encode(text, add_special_tokens=False).offsets
        return text[: offsets[self.longest - 1][1]] if len(offsets) > self.longest else text


def fixed_windows(documents: Documents, tokens: int) -> list[Passage]:
    """Every document in windows of so many tokens, which end anywhere."""
    passages: list[Passage] = []
    for document, text in documents.texts().items():
        offsets: list[tuple[int, int]] = documents.tokenizer.encode(text, add_special_tokens=False).offsets
        for first in range(0, len(offsets), tokens):
            window = offsets[first : first + tokens]
            passages.append(_passage(document, text, window[0][0], window[-1][1]))
    return passages


class SemanticSplitter:
    """semantic-text-splitter, in an environment of its own."""

    def __init__(self, documents: Documents, *, markdown: bool) -> None:
        self._documents = documents
        self._markdown = markdown
        self._python = install(SPLITTER_FOLDER, SPLITTER_REQUIREMENTS)

    def up_to(self, capacity: int) -> list[Passage]:
        """Passages of at most so many tokens."""
        texts = self._documents.texts()
        request = {
            "tokenizer": self._documents.tokenizer.to_str(),
            "texts": list(texts.values()),
            "capacity": capacity,
            "markdown": self._markdown,
        }
        done = subprocess.run(
            [self._python, SPLITTER], input=json.dumps(request), stdout=subprocess.PIPE, text=True, check=True
        )
        return [
            _passage(document, text, start, end)
            for (document, text), ranges in zip(texts.items(), json.loads(done.stdout)["ranges"], strict=True)
            for start, end in ranges
        ]

    def of_mean(self, tokens: float) -> list[Passage]:
        """With the capacity whose passages are nearest to that mean size, which grows with it: by halving."""
        low, high = int(tokens), int(1.6 * tokens)
        best: tuple[float, list[Passage]] = float("inf"), []
        while low <= high:
            capacity = (low + high) // 2
            passages = self.up_to(capacity)
            mean = self._documents.mean_tokens(passages)
            best = min(best, (abs(mean - tokens), passages))
            low, high = (capacity + 1, high) if mean < tokens else (low, capacity - 1)
        return best[1]


async def search_by_vectors(
    engine: EmbeddingEngine, documents: Documents, passages: Sequence[Passage], *, k: int
) -> list[list[Span]]:
    """The k nearest passages of each question, nearest first."""
    embedded = await engine.embed_documents([documents.beginning(text) for _, text in passages])
    asked = np.array([await engine.embed_query(question.text) for question in documents.corpus.questions])
    nearest = np.argsort(-(asked @ _all(embedded).T), axis=1, kind="stable")[:, :k]
    return [[passages[index][0] for index in row] for row in nearest]


def _all(embedded: Sequence[Embedded]) -> NDArray[np.float32]:
    """Shape (passages, dimensions)."""
    if refused := [outcome for outcome in embedded if isinstance(outcome, EmbeddingRefused)]:
        raise BenchmarkError(f"The model does not take {len(refused)} passages: {refused[0]}")
    return np.array(embedded, dtype=np.float32)


def _passage(document: str, text: str, start: int, end: int) -> Passage:
    return Span(document, start, end), text[start:end]
