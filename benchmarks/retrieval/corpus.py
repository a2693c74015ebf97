"""What is asked, and where the answers stand."""

from __future__ import annotations

import csv
import hashlib
import json
import sysconfig
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from folders import CORPORA
from penstock_run import BenchmarkError

from retrieval.spans import Span

HELD_OUT = Path(__file__).with_name("heldout.jsonl")
PLACES = {
    "corpora": CORPORA,
    "common-licenses": Path("/usr/share/common-licenses"),
    "site-packages": Path(sysconfig.get_path("purelib")),
}
"""Where the held-out questions' documents are: the test corpora, Debian's licences, packages that the lock pins."""
PROCRASTINATE = "docs/procrastinate-org+procrastinate/docs"
PYDANTIC_AI = "docs/pydantic+pydantic-ai/docs"


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


def held_out() -> Corpus:
    """Questions of our own on documentation and licences, to see whether what helps Chroma's questions helps others.

    Raises `BenchmarkError` where a document is not there, or is another version than the Spans were made for.
    """
    lines = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    documents = {line["file"]: _unchanged(line["file"], line["sha256"]) for line in lines}
    return Corpus(
        "held_out",
        documents | _documentation(),
        [
            Question(line["id"], line["question"], tuple(Span(line["file"], *span) for span in line["spans"]))
            for line in lines
        ],
    )


def _unchanged(name: str, sha256: str) -> Path:
    place, _, rest = name.partition(":")
    path = PLACES[place] / rest
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise BenchmarkError(f"{path} is not there, or not the version that the held-out questions are about")
    return path


def _documentation() -> dict[str, Path]:
    """What is searched beside the documents with answers."""
    paths = [*(CORPORA / PROCRASTINATE).rglob("*.md"), *(CORPORA / PYDANTIC_AI).glob("*.md")]
    return {f"corpora:{path.relative_to(CORPORA)}": path for path in sorted(paths)}
