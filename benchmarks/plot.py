"""Draw `results/end_to_end.json` as bars: `python benchmarks/plot.py [docs/end-to-end.svg]`."""

# matplotlib leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "end_to_end.json"
PICTURE = ROOT / "docs" / "end-to-end.svg"
OURS = "#1f6f8b"
STAGES = {"read": "#8f9aa0", "split": "#6f7b82", "embed": "#b9c2c7"}
INK = "#55626a"
"""Grey enough to be read on a white page and on a dark one."""


def draw(result: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(7.6, 2.3), layout="constrained")
    axes = figure.add_subplot()
    draw_ours(axes, result["penstock"])
    draw_peer(axes, result["llama_index"])
    pages = result["penstock"]["rounds"][-1]["pages"]
    axes.set_title(
        f"{pages} pages of company filings, from upload to searchable, {result['cores']} cores: "
        f"{result['ratio']:.1f} times as fast",
        loc="left",
        fontsize=10,
        color=INK,
    )
    axes.set_xlabel("seconds, median; less is better", color=INK, fontsize=9)
    axes.set_yticks([1, 0], ["Penstock\nstored, indexed", "LlamaIndex\nin memory"], color=INK, fontsize=9)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    axes.margins(x=0.12)
    return figure


def draw_ours(axes: Axes, side: dict[str, Any]) -> None:
    seconds = side["median_seconds"]
    axes.barh(1, seconds, height=0.6, color=OURS)
    label_end(axes, seconds, 1)


def draw_peer(axes: Axes, side: dict[str, Any]) -> None:
    left = 0.0
    for stage, colour in STAGES.items():
        seconds = median(one["stages"][stage]["seconds"] for one in side["rounds"])
        axes.barh(0, seconds, left=left, height=0.6, color=colour)
        if seconds > side["median_seconds"] / 20:
            axes.text(left + seconds / 2, 0, stage, ha="center", va="center", fontsize=8, color="#22292d")
        left += seconds
    label_end(axes, left, 0)


def label_end(axes: Axes, seconds: float, row: int) -> None:
    axes.text(seconds, row, f"  {seconds:.1f} s", va="center", fontsize=9, color=INK)


def main() -> None:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    mpl.rcParams["svg.hashsalt"] = "penstock"  # the same figures give the same file
    draw(json.loads(RESULT.read_text())).savefig(picture, transparent=True, metadata={"Date": None})
    print(picture)


if __name__ == "__main__":
    main()
