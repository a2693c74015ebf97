"""Boxes and arrows as SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]
LINE = 15.0
BELOW_MIDDLE = 4.0
"""From the middle of a line of text to its base; not every reader of SVG knows `dominant-baseline`."""
HEAD = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/>'


class Drawing:
    """A picture of so many pixels; what is drawn later lies above."""

    def __init__(self, name: str, width: float, height: float) -> None:
        """`name` tells its arrow heads from those of another picture on the same page."""
        self._head = f"head-of-{name}"
        self._size = (width, height)
        self._shapes: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, *lines: str, kind: str = "") -> None:
        """A box, its name in bold; lines below it that begin with a backtick are code."""
        self._shapes.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>')
        first = y + height / 2 - (len(lines) - 1) * LINE / 2
        for number, line in enumerate(lines):
            style = "name" if number == 0 else "code" if line.startswith("`") else "small"
            self._text(x + width / 2, first + number * LINE, line.strip("`"), style, anchor="middle")

    def arrow(self, points: Sequence[Point], label: str = "", *, at: Point = (0, 0), anchor: str = "middle") -> None:
        """A line with a head at its last point, and what goes along it."""
        way = " L".join(f"{x:g} {y:g}" for x, y in points)
        self._shapes.append(f'<path d="M{way}" marker-end="url(#{self._head})"/>')
        if label:
            self._text(*at, label, "small", anchor=anchor)

    def _text(self, x: float, y: float, text: str, style: str, *, anchor: str) -> None:
        self._shapes.append(
            f'<text class="{style}" x="{x:g}" y="{y + BELOW_MIDDLE:g}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def figure(self, title: str) -> str:
        """The picture, to stand in a page. In one line: Markdown ends HTML at an empty one."""
        width, height = self._size
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">'
        head = f'<title>{escape(title)}</title><defs><marker id="{self._head}" {HEAD}</marker></defs>'
        return f'<div class="picture">{opening}{head}{"".join(self._shapes)}</svg></div>'
