"""The misses that are explained, and those that are not."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fidelity.measures import Count, Measure, is_miss

EXPLAINED = Path(__file__).with_name("explained.toml")
TOLERANCE = 0.005
"""How far a figure may be below the explained one: other programs' versions differ a little."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a file is below what is promised, and down to where that explains it."""

    measure: str
    file: str
    reason: str
    recall: float = 1.0
    precision: float = 1.0
    other_is_wrong: bool = False
    """Whether the other reading is what is wrong, so that the file says nothing of ours and is in no total."""

    def covers(self, measure: Measure, count: Count) -> bool:
        """Whether this file's figures are no worse than explained. A side that is within the promise needs none."""
        tally = count.tally
        lowest_recall = min(self.recall, measure.recall)
        lowest_precision = min(self.precision, measure.precision or 0.0)
        return (
            (self.measure, self.file) == (measure.name, count.file)
            and tally.recall >= lowest_recall - TOLERANCE
            and tally.precision >= lowest_precision - TOLERANCE
        )

    def is_needed(self, measure: Measure, counted: Iterable[Count]) -> bool:
        """Whether its file is still below the promise."""
        here = (each for each in counted if each.file == self.file)
        return measure.name == self.measure and any(is_miss(measure, each) for each in here)


def explanations() -> list[Explanation]:
    return [Explanation(**each) for each in tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["miss"]]


def explanation_of(measure: Measure, count: Count, known: Iterable[Explanation]) -> Explanation | None:
    return next((each for each in known if each.covers(measure, count)), None)


def unexplained(measure: Measure, counted: Iterable[Count]) -> list[Count]:
    """The files, or pages, below the promise without a reason."""
    known = explanations()
    return [each for each in counted if is_miss(measure, each) and not explanation_of(measure, each, known)]
