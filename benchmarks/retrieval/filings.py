"""Our own questions on three company filings: is the page with the answer among the first hits?

`filings.jsonl` has a question a line, with every page that answers it by itself, counted from 1 as a reader of the PDF
counts. Each of these pages was looked at as a picture, not as extracted text. A hit is right where its pages are, or
include, one of them.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folders import CORPORA
from penstock_run import BenchmarkError, RunningPenstock, running_penstock

from retrieval.product import AT_ONCE, MODES

QUESTIONS = Path(__file__).with_name("filings.jsonl")
FIRST = (1, 5, 10)
"""Hits that are looked at."""


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """`kind` says what makes it hard: a number in a table, few words in common with the text, ..."""

    id: str
    question: str
    file: str
    pages: list[int]
    kind: str
    answer: str
    """In our own words."""

    def is_answered_by(self, hit: dict[str, Any]) -> bool:
        if hit["name"] != self.file or hit["pages"] is None:
            return False
        first, last = hit["pages"]
        return any(first <= page <= last for page in self.pages)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question in one mode, and the place of the first right hit from 1; None where none of the ten is right."""

    question: PageQuestion
    rank: int | None
    instead: tuple[str, list[int] | None]
    """File and pages of the first hit."""


def questions() -> list[PageQuestion]:
    return [PageQuestion(**json.loads(line)) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


@contextmanager
def searchable_filings() -> Generator[RunningPenstock]:
    """A Penstock that holds the filings and nothing else."""
    paths = sorted((CORPORA / "filings").glob("*.pdf"))
    if not paths:
        raise BenchmarkError(f"There are no filings in {CORPORA}; PENSTOCK_CORPORA names another place")
    with running_penstock() as penstock:
        penstock.ingest(paths)
        yield penstock


def ask(penstock: RunningPenstock, mode: str) -> list[Asked]:
    def asked(question: PageQuestion) -> Asked:
        hits = penstock.search(question.question, k=max(FIRST), mode=mode)
        right = (rank for rank, hit in enumerate(hits, start=1) if question.is_answered_by(hit))
        return Asked(question, next(right, None), (hits[0]["name"], hits[0]["pages"]) if hits else ("", None))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(asked, questions()))


def share(asked: Sequence[Asked], *, first: int) -> float:
    """Of questions with a right hit among the first so many."""
    return sum(one.rank is not None and one.rank <= first for one in asked) / len(asked)


def measure_filings() -> dict[str, Any]:
    """Shares by mode and by kind, and what hybrid search did not find among the first five."""
    with searchable_filings() as penstock:
        by_mode = {mode: ask(penstock, mode) for mode in reversed(MODES)}
    kinds = sorted({one.question.kind for one in by_mode["hybrid"]})
    return {
        "questions": len(by_mode["hybrid"]),
        "shares": {mode: {str(first): share(asked, first=first) for first in FIRST} for mode, asked in by_mode.items()},
        "kinds": {kind: _of_kind(kind, by_mode) for kind in kinds},
        "ranks": {mode: {one.question.id: one.rank for one in asked} for mode, asked in by_mode.items()},
        "missed": [_miss(one) for one in by_mode["hybrid"] if one.rank is None or one.rank > FIRST[1]],
    }


def _of_kind(kind: str, by_mode: dict[str, list[Asked]]) -> dict[str, Any]:
    of_kind = {mode: [one for one in asked if one.question.kind == kind] for mode, asked in by_mode.items()}
    return {
        "questions": len(of_kind["hybrid"]),
        "shares": {mode: share(asked, first=FIRST[1]) for mode, asked in of_kind.items()},
    }


def _miss(one: Asked) -> dict[str, Any]:
    return {
        "id": one.question.id,
        "question": one.question.question,
        "pages": one.question.pages,
        "rank": one.rank,
        "first_hit": one.instead,
    }
