"""`docs/performance.md` and its plots, from `results/*.json`: `python benchmarks/page.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from measured import RESULTS, Figure, Measured, read_results
from plot import draw_all
from targets import BENCHMARKS, FOLDER, TARGETS, Target

DOCS = FOLDER.parent / "docs"

HEAD = """\
# How fast

Made by `make bench` from `benchmarks/results/*.json`; not written by hand. Both sides of a comparison are measured in
the same run, on the same machine and in turns, so that the ratio means something on other machines as well;
seconds do not. Nothing else of weight ran on the machine meanwhile.
"""

PLOT_LINES = {
    "performance-targets.svg": "What is measured as a share of what is wanted. Times and memory, where less is "
    "better, are turned round, so that more is always better.",
    "end-to-end.svg": "Company filings from upload to searchable. *Parts alone* is what our own parsing, chunking and "
    "embedding take in one process, without queue, database and index, spread over the cores.",
    "embedders.svg": "Embedders that wait for a remote engine. The straight line is what as many times one would be.",
}
"""In the order in which they are shown."""

REPEAT = """
## Repeat it

    make bench                                # all, about half an hour; wants the machine to itself
    make bench ONLY="idle flow"               # some; the page is written anew with what is there
    make bench-compare BASE=v0.1.0            # ratios to the results of another commit, or of another folder

Each line of the table comes from the script of its name in `benchmarks/`, which says in its first lines what it does.
Peers are installed into `.bench-venv` and `.splitter-venv`, never beside Penstock. The filings and the documentation
are looked for in `../shared/corpora`; `PENSTOCK_CORPORA` names another place.
"""


def write_page(results: Path, docs: Path) -> Path:
    """Write `performance.md` and the plots that the results give into `docs`; the page's path."""
    docs.mkdir(parents=True, exist_ok=True)
    measured = read_all(results)
    plots = draw_all(measured, docs)
    page = docs / "performance.md"
    page.write_text(text_of(measured, plots))
    return page


def read_all(results: Path) -> dict[str, Measured]:
    """By name, in the order of the list, those that have a result."""
    paths = {benchmark.name: results / f"{benchmark.name}.json" for benchmark in BENCHMARKS}
    return {name: read_results(path.read_text()) for name, path in paths.items() if path.is_file()}


def text_of(measured: dict[str, Measured], plots: Sequence[str]) -> str:
    found = [figure for one in measured.values() for figure in one.figures]
    shown = [name for name in PLOT_LINES if name in plots]
    parts = [
        HEAD,
        _counted(found),
        "## Targets\n",
        _targets(found),
        *(f"\n![{name.removesuffix('.svg')}]({name})\n\n{PLOT_LINES[name]}" for name in shown),
        "\n## What limits it\n",
        _notes(found),
        "\n## Measured on\n",
        _circumstances(measured),
        REPEAT,
    ]
    return "\n".join(parts)


def _counted(found: Sequence[Figure]) -> str:
    rows = [figure.row for figure in found if figure.row]
    reached = [row for row in set(rows) if all(figure.reached for figure in found if figure.row == row)]
    missing = [str(target.row) for target in TARGETS if target.row not in rows]
    line = f"**{len(reached)} of {len(TARGETS)} targets reached**"
    return f"{line}; not measured: row {', '.join(missing)}.\n" if missing else f"{line}.\n"


def _targets(found: Sequence[Figure]) -> str:
    lines = [line for target in TARGETS for line in _lines_of(target, found)]
    lines += [_line("", figure) for figure in found if not figure.row]
    return _table(("", "measure", "ours", "against", "value", "target", ""), lines)


def _lines_of(target: Target, found: Sequence[Figure]) -> list[Sequence[str]]:
    figures = [figure for figure in found if figure.row == target.row]
    if not figures:
        return [(str(target.row), target.measure, "", "", "", target.wanted, "**not measured**")]
    return [_line(str(target.row), figure) for figure in figures]


def _line(row: str, figure: Figure) -> Sequence[str]:
    against = figure.other if figure.against is None else f"{figure.other}: {number(figure.against)} {figure.unit}"
    sign = "≥" if figure.better == "higher" else "≤"
    verdict = "reached" if figure.reached else "**missed**"
    ours, value = f"{number(figure.ours)} {figure.unit}", number(figure.value)
    return (row, figure.measure, ours.strip(), against, value, f"{sign} {number(figure.wanted)}", verdict)


def number(value: float) -> str:
    """Three digits that say something; a cosine keeps those behind its nines."""
    if 0.99 < abs(value) < 1:
        return f"{value:.5f}".rstrip("0")
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _notes(found: Iterable[Figure]) -> str:
    said = [(figure.row, figure.measure, figure.note) for figure in sorted(found, key=lambda figure: figure.row or 99)]
    return "\n".join(f"- {row or 'Also'}. *{measure}*: {note}" for row, measure, note in said if note)


def _circumstances(measured: dict[str, Measured]) -> str:
    facts = {name: one.content for name, one in measured.items()}
    lines = [
        (
            name,
            content["measured_at"][:16].replace("T", " "),
            (content["commit"] or "")[:9],
            str(content["cores"]),
            f"{content['memory_gib']} GiB",
            content.get("processor", content["architecture"]),
            ", ".join(f"{package} {version}" for package, version in content["versions"].items()),
        )
        for name, content in facts.items()
    ]
    return _table(("benchmark", "when (UTC)", "commit", "cores", "memory", "processor", "versions"), lines)


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


if __name__ == "__main__":
    print(write_page(RESULTS, Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS))
