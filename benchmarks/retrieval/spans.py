"""Span scores: how much of an answer is in what was found, in characters.

As in "Evaluating Chunking Strategies for Retrieval" (Smith and Troynikov, Chroma 2024) and in its code
(brandonstarxel/chunking_evaluation, `_scores_from_dataset_and_retrievals` with `retrieve=5`): every passage found
counts in the denominators, those of the wrong document too, and twice where two passages hold the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Characters of a document, the end not among them."""

    document: str
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Scores(NamedTuple):
    """Of one question, each from 0 to 1."""

    recall: float
    """Answer's characters that were found, of all of the answer's."""
    precision: float
    """Answer's characters that were found, of all that were found."""
    iou: float
    """Answer's characters that were found, of all that were found or should have been."""


def score(answer: Sequence[Span], found: Sequence[Span]) -> Scores:
    """`answer`: where it stands, not empty; `found`: the passages that search gave, in any order."""
    hit = sum(map(_length, _merged(_overlaps(answer, found)).values()))
    wanted = sum(span.length for span in answer)
    shown = sum(span.length for span in found)
    return Scores(
        recall=hit / wanted,
        precision=hit / shown if shown else 0.0,
        iou=hit / (shown + wanted - hit),
    )


def _overlaps(answer: Iterable[Span], found: Sequence[Span]) -> Iterable[Span]:
    for wanted in answer:
        for passage in found:
            start, end = max(wanted.start, passage.start), min(wanted.end, passage.end)
            if passage.document == wanted.document and start < end:
                yield Span(wanted.document, start, end)


def _merged(spans: Iterable[Span]) -> dict[str, list[tuple[int, int]]]:
    """By document, in order, without overlaps."""
    merged: dict[str, list[tuple[int, int]]] = {}
    for document, start, end in sorted(spans):
        ranges = merged.setdefault(document, [])
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
        else:
            ranges.append((start, end))
    return merged


def _length(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in ranges)
