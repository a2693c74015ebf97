"""What is asked, and where the answers stand."""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_run import BenchmarkError

from retrieval.spans import Span

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("PENSTOCK_CORPORA", ROOT.parent / "shared" / "corpora"))


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `answer` is not empty, its Spans do not overlap and are of one document."""

    question_id: str
    text: str
    answer: tuple[Span, ...]

    @property
    def document(self) -> str:
        return self.answer[0].document


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents that are searched together, and the questions about them."""

    name: str
    documents: Mapping[str, Path]
    """By the name that Spans call them."""
    questions: Sequence[Question]

    def text(self, document: str) -> str:
        """As the Spans count it: characters of the file as it is, line ends too."""
        return self.documents[document].read_bytes().decode("utf-8")


def chroma() -> Corpus:
    """Chroma's 231 questions on three documents, with 398 spans of answers."""
    folder = CORPORA / "ir" / "chroma"
    if not folder.is_dir():
        raise BenchmarkError(f"There are no questions in {folder}; PENSTOCK_CORPORA names another place")
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    with (folder / "spans.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            spans[row["query-id"]].append(Span(row["doc"], int(row["start_char"]), int(row["end_char"])))
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return Corpus(
        "chroma",
        {path.stem: path for path in sorted((folder / "docs").glob("*.md"))},
        [Question(query["id"], query["text"], tuple(spans[query["id"]])) for query in map(json.loads, lines)],
    )
