"""Ratios of the figures now to those of a base: `python benchmarks/compare.py BASE` or `make bench-compare BASE=…`.

BASE is a folder of results, or a commit, branch or tag whose results are in git. For each figure there are two
ratios: of what was measured (chunks/s, ms), which means something on one machine only, and of the value that the
target is about, mostly itself a ratio to another program. The latter is turned round where less is better: more than 1
is always a gain.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from measured import RESULTS, Figure, read_results
from page import number
from rich.console import Console
from rich.table import Table
from targets import BENCHMARKS, FOLDER

ROOT = FOLDER.parent
Results = dict[tuple[str, str], Figure]
"""By benchmark and measure."""


class NoBase(Exception):
    """There is nothing to compare with; the sentence says what was looked for."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure, now and then; None where it was not measured."""

    benchmark: str
    measure: str
    now: Figure | None
    base: Figure | None

    @property
    def ratio(self) -> float | None:
        """Of `ours`, now to base, whichever is better."""
        if self.now is None or self.base is None or not self.base.ours:
            return None
        return self.now.ours / self.base.ours

    @property
    def gain(self) -> float | None:
        """Of `value`, which the target is about: more than 1 is better than the base."""
        if self.now is None or self.base is None or not self.base.share:
            return None
        return self.now.share / replace(self.base, wanted=self.now.wanted, better=self.now.better).share


def results_in(folder: Path) -> Results:
    """The figures of a folder of results files. Raises `NoBase` where there are none."""
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.json"))}
    return _figures(texts, f"in {folder}")


def results_at(reference: str) -> Results:
    """The figures as they were committed. Raises `NoBase` where git knows no such commit, or it has none."""
    known = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if known.returncode:
        raise NoBase(f"{reference} is neither a folder nor a commit.")
    commit = known.stdout.strip()
    texts: dict[str, str] = {}
    for benchmark in BENCHMARKS:
        shown = subprocess.run(
            ["git", "-C", ROOT, "show", f"{commit}:benchmarks/results/{benchmark.name}.json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if not shown.returncode:
            texts[benchmark.name] = shown.stdout
    return _figures(texts, f"at {reference}")


def _figures(texts: dict[str, str], where: str) -> Results:
    names = {benchmark.name for benchmark in BENCHMARKS}
    found = {
        (name, figure.measure): figure
        for name, text in texts.items()
        if name in names
        for figure in read_results(text).figures
    }
    if not found:
        raise NoBase(f"There are no figures {where}.")
    return found


def compared(now: Results, base: Results) -> Iterator[Compared]:
    """Each figure of either, in the order of the benchmarks."""
    order = [benchmark.name for benchmark in BENCHMARKS]
    for key in sorted({**now, **base}, key=lambda key: order.index(key[0])):
        yield Compared(*key, now.get(key), base.get(key))


def table(comparisons: list[Compared]) -> Table:
    drawn = Table("benchmark", "measure", title="Results now beside the base", title_justify="left")
    for column in ("now", "base", "now / base", "value now", "value base", "gain"):
        drawn.add_column(column, justify="right")
    for one in comparisons:
        drawn.add_row(
            one.benchmark,
            one.measure,
            *(_amount(figure) for figure in (one.now, one.base)),
            _told(one.ratio),
            *("" if figure is None else number(figure.value) for figure in (one.now, one.base)),
            _told(one.gain),
        )
    return drawn


def _amount(figure: Figure | None) -> str:
    return "not measured" if figure is None else f"{number(figure.ours)} {figure.unit}"


def _told(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def main() -> None:
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("Say what to compare with: make bench-compare BASE=<folder of results, or a commit>")
    base = sys.argv[1]
    try:
        then = results_in(Path(base)) if Path(base).is_dir() else results_at(base)
        comparisons = list(compared(results_in(RESULTS), then))
    except NoBase as error:
        sys.exit(str(error))
    Console(width=None if sys.stdout.isatty() else 200).print(table(comparisons))


if __name__ == "__main__":
    main()
