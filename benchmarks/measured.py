"""What a benchmark found: its figures, what they were measured on, and the file they are kept in.

Every benchmark of `make bench` writes `results/NAME.json` with one `Figure` for each thing it measured; the table, the
plots and `make bench-compare` read those files and nothing else.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from circumstances import circumstances

RESULTS_VARIABLE = "BENCH_RESULTS"
"""Names another folder for the results: a quick run must not pass for a measurement."""
RESULTS = Path(os.environ.get(RESULTS_VARIABLE) or Path(__file__).resolve().parent / "results")


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison, both sides measured in the same run."""

    row: int
    """In the table of targets; 0 for what has no target."""
    measure: str
    """What, in the words of the table."""
    unit: str
    """Of `ours` and `against`: chunks/s, ms, MB."""
    ours: float
    against: float | None
    """The other side, in the same unit; None where the target is an absolute one."""
    other: str
    """Names the other side."""
    value: float
    """What the target is about: the ratio of the two, or `ours` itself."""
    wanted: float
    better: Literal["higher", "lower"] = "higher"
    note: str = ""
    """What limits it, or how it was measured, in a sentence or two."""

    @property
    def reached(self) -> bool:
        return self.value >= self.wanted if self.better == "higher" else self.value <= self.wanted

    @property
    def share(self) -> float:
        """Of what is wanted: 1 where it is just reached, more where it is better."""
        above, below = (self.value, self.wanted) if self.better == "higher" else (self.wanted, self.value)
        return above / below if below else math.inf


def keep(benchmark: str, figures: Sequence[Figure], details: dict[str, Any], *, output: Path | None = None) -> Path:
    """Write the results of one benchmark, and print its figures."""
    path = output or RESULTS / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": benchmark, **circumstances(), "figures": [asdict(one) for one in figures], **details}
    path.write_text(json.dumps(content, indent=2) + "\n")
    for one in figures:
        other = "" if one.against is None else f", {one.other} {one.against:.4g}"
        sign = "≥" if one.better == "higher" else "≤"
        verdict = "reached" if one.reached else "missed"
        print(f"{one.measure}: {one.ours:.4g} {one.unit}{other}: {one.value:.3g}, {sign} {one.wanted:g} {verdict}")
    return path


@dataclass(frozen=True, slots=True)
class Measured:
    """A results file: its figures, and all of it as it was written."""

    benchmark: str
    figures: list[Figure]
    content: dict[str, Any]


def read_results(text: str) -> Measured:
    """What `keep` wrote; no figures in a file that is older than figures are."""
    content = json.loads(text)
    return Measured(content["benchmark"], [Figure(**one) for one in content.get("figures", [])], content)


def figures_of(path: Path) -> list[Figure]:
    return read_results(path.read_text()).figures
