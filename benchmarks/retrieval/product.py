"""The questions, asked of a running Penstock over HTTP."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penstock_run import BenchmarkError, RunningPenstock, running_penstock

from retrieval.alignment import Alignment
from retrieval.corpus import Corpus, Question
from retrieval.spans import Span

MODES = ("vector", "text", "hybrid")
ALIGNED = 0.999
"""Share of the extracted text that must be found in its source, or Spans mean nothing."""
AT_ONCE = 4
"""Questions under way."""


@dataclass(frozen=True, slots=True)
class Searchable:
    """A Penstock that holds a Corpus and nothing else."""

    penstock: RunningPenstock
    corpus: Corpus
    document_of: Mapping[str, str]
    """The Corpus' name of a document by File id."""
    alignments: Mapping[str, Alignment]
    """By the Corpus' name of the document."""

    def ask(self, mode: str, *, k: int) -> list[list[Span]]:
        """The passages found for each question, in the source's characters, best first."""

        def found(question: Question) -> list[Span]:
            return self._spans(self.penstock.search(question.text, k=k, mode=mode))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(found, self.corpus.questions))

    def passages(self) -> list[tuple[Span, str]]:
        """Every Chunk: where it stands in the source, and its text."""
        return [
            (span, hit["text"])
            for file_id in self.document_of
            for hit in self.penstock.chunks(file_id)
            for span in self._spans([hit])
        ]

    def _spans(self, hits: list[dict[str, Any]]) -> list[Span]:
        found: list[Span] = []
        for hit in hits:
            document = self.document_of[hit["file_id"]]
            if place := self.alignments[document].in_source(*hit["char_span"]):
                found.append(Span(document, *place))
        return found


@contextmanager
def searchable(corpus: Corpus) -> Generator[Searchable]:
    """A Penstock of its own for the block. Raises `BenchmarkError` where a text is not that of its file."""
    with running_penstock() as penstock:
        by_path = {path: name for name, path in corpus.documents.items()}
        files = penstock.ingest(list(by_path)).files
        document_of = {file["file_id"]: name for file, name in zip(files, by_path.values(), strict=True)}
        alignments = {
            document: Alignment(penstock.text(file_id), corpus.text(document))
            for file_id, document in document_of.items()
        }
        for document, alignment in alignments.items():
            if alignment.of_extracted < ALIGNED:
                raise BenchmarkError(
                    f"{alignment.of_extracted:.2%} of what was extracted from {document} stands in it: "
                    f"{ALIGNED:.1%} is the least that spans can be compared by"
                )
        yield Searchable(penstock, corpus, document_of, alignments)
