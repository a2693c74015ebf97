"""Draw the results into `docs/`, for `page.py`.

What is wanted and reached as bars, the filings end to end by stage, and Embedders on a remote engine as a curve.
"""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from measured import Figure, Measured

OURS = "#1f6f8b"
MISSED = "#b5651d"
OUR_STAGES = {"parse": "#7fb0c0", "chunk": "#4f8fa4", "embed": "#a9cbd6"}
STAGES = {"read": "#8f9aa0", "split": "#6f7b82", "embed": "#b9c2c7"}
INK = "#55626a"
"""Grey enough to be read on a white page and on a dark one."""
MOST_SHOWN = 3.0
"""Of what is wanted: a bar that is longer would leave the others no room, and has its number all the same."""


def draw_all(measured: Mapping[str, Measured], folder: Path) -> list[str]:
    """Every plot that the results give; the names of the files."""
    mpl.rcParams["svg.hashsalt"] = "penstock"  # the same figures give the same file
    drawings: dict[str, Drawing] = {}
    if figures := [figure for one in measured.values() for figure in one.figures]:
        drawings["performance-targets.svg"] = draw_targets(figures)
    for name, plot, draw in (
        ("end_to_end", "end-to-end.svg", draw_end_to_end),
        ("embedders", "embedders.svg", draw_embedders),
    ):
        if name in measured and (drawing := draw(measured[name].content)):
            drawings[plot] = drawing
    for name, drawing in drawings.items():
        drawing.savefig(folder / name, transparent=True, metadata={"Date": None})
    return list(drawings)


def draw_targets(figures: Sequence[Figure]) -> Drawing:
    """A bar for each figure: its value as a share of what is wanted, which is the line at 1."""
    shown = sorted((figure for figure in figures if figure.row), key=lambda figure: -figure.row)
    drawing, axes = _axes(height=0.9 + 0.3 * len(shown))
    for place, figure in enumerate(shown):
        length = min(figure.share, MOST_SHOWN)
        axes.barh(place, length, height=0.62, color=OURS if figure.reached else MISSED)
        axes.text(length, place, f"  {figure.share:.2f}", va="center", fontsize=8, color=INK)
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(shown)), [_label(figure) for figure in shown], color=INK, fontsize=8)
    axes.set_title("Value as a share of the target (dashed); more is better", loc="left", fontsize=10, color=INK)
    axes.set_xlim(0, MOST_SHOWN * 1.08)
    return drawing


def _label(figure: Figure) -> str:
    short = figure.measure if len(figure.measure) <= 60 else f"{figure.measure[:59]}…"
    return f"{short}  {figure.row}"


def draw_end_to_end(result: dict[str, Any]) -> Drawing:
    """LlamaIndex by stage, Penstock, and its parts alone by stage."""
    drawing, axes = _axes(height=2.9)
    ours, peer, alone = result["penstock"], result["llama_index"], result.get("alone")
    _draw_stages(axes, 2, _medians(peer), STAGES)
    axes.barh(1, ours["median_seconds"], height=0.6, color=OURS)
    _label_end(axes, ours["median_seconds"], 1)
    labels = {2: "LlamaIndex\nin memory", 1: "Penstock\nstored, indexed"}
    if alone:
        _draw_stages(axes, 0, alone["seconds_spread"], OUR_STAGES)
        labels[0] = "Penstock's\nparts alone"
    pages = ours["rounds"][-1]["pages"]
    axes.set_title(
        f"{pages} pages of company filings, from upload to searchable, {result['cores']} cores: "
        f"{result['ratio']:.1f} times as fast",
        loc="left",
        fontsize=10,
        color=INK,
    )
    axes.set_xlabel("seconds, median; less is better", color=INK, fontsize=9)
    axes.set_yticks(list(labels), list(labels.values()), color=INK, fontsize=9)
    axes.margins(x=0.12)
    return drawing


def _medians(side: dict[str, Any]) -> dict[str, float]:
    return {stage: median(one["stages"][stage]["seconds"] for one in side["rounds"]) for stage in STAGES}


def _draw_stages(axes: Axes, row: int, seconds: Mapping[str, float], colours: Mapping[str, str]) -> None:
    left, whole = 0.0, sum(seconds.values())
    for stage, colour in colours.items():
        axes.barh(row, seconds[stage], left=left, height=0.6, color=colour)
        if seconds[stage] > whole / 20:
            axes.text(left + seconds[stage] / 2, row, stage, ha="center", va="center", fontsize=8, color="#22292d")
        left += seconds[stage]
    _label_end(axes, left, row)


def _label_end(axes: Axes, seconds: float, row: int) -> None:
    axes.text(seconds, row, f"  {seconds:.1f} s", va="center", fontsize=9, color=INK)


def draw_embedders(result: dict[str, Any]) -> Drawing | None:
    """Chunks a second by number of Embedders, beside as many times those of one; None where there is no curve."""
    curve = {int(point["embedders"]): float(point["chunks_per_second"]) for point in result.get("curve", [])}
    if not curve:
        return None
    counts = sorted(curve)
    drawing, axes = _axes(height=3.2)
    linear = [curve[counts[0]] * count / counts[0] for count in counts]
    axes.plot(counts, linear, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(counts, [curve[count] for count in counts], color=OURS, marker="o", linewidth=2)
    axes.set_xticks(counts)
    axes.set_xlabel("Embedders", color=INK, fontsize=9)
    axes.set_title("Chunks a second on a remote engine of 100 ms latency", loc="left", fontsize=10, color=INK)
    axes.set_ylim(bottom=0)
    return drawing


def _axes(*, height: float) -> tuple[Drawing, Axes]:
    drawing = Drawing(figsize=(7.6, height), layout="constrained")
    axes = drawing.add_subplot()
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    return drawing, axes
