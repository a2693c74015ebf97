"""Running headers and footers: the lines at the edges of a page that its neighbours have, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest

from penstock.parsing.formats.page_lines import Line

EDGE_LINES = 3
"""So many lines at the top and at the bottom of a page can be running headers and footers."""
SAME_HEIGHT = 6.0
"""Points that a running header may stand higher or lower than on another page."""
SHORT_DOCUMENT = 4
"""Pages; in a longer document a running header is on three pages at least."""

_PAGE_NUMBER = re.compile(
    r"(?:page\s+)?[-\u2013\u2014(]?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*[-\u2013\u2014)]?(?:\s+of\s+\d{1,4})?$", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")
_NUMBER_KEY = "#"


@dataclass(frozen=True, slots=True)
class Edges:
    """The outermost lines of a page, from the edge inwards: position and height of each by its key."""

    top: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    bottom: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])


def edges_of(lines: Sequence[Line]) -> Edges:
    """Of a short page only the outermost line, lest its body be taken for a header."""
    count = EDGE_LINES if len(lines) > 3 * EDGE_LINES else 1
    heights = [(line.base, -at) for at, line in enumerate(lines)]

    def by_key(found: list[tuple[float, int]]) -> dict[str, tuple[int, float]]:
        keyed: dict[str, tuple[int, float]] = {}
        for height, at in found:
            keyed.setdefault(_key(lines[-at]), (-at, height))
        return keyed

    return Edges(by_key(nlargest(count, heights)), by_key(nsmallest(count, heights)))


def running(page: Edges, others: Sequence[Edges]) -> tuple[list[int], list[int]]:
    """The positions of the lines that are running headers, and of those that are running footers."""
    needed = 1 if len(others) < SHORT_DOCUMENT - 1 else 2
    headers = _shared(page.top, [other.top for other in others], needed)
    footers = _shared(page.bottom, [other.bottom for other in others], needed)
    return headers, [at for at in footers if at not in headers]


def _shared(
    lines: dict[str, tuple[int, float]], others: Sequence[dict[str, tuple[int, float]]], needed: int
) -> list[int]:
    """Up to and with the last line that enough of the others have at the same height.

    A page number may stand wherever the text ends.
    """
    inner = 0
    for reach, (key, (_, height)) in enumerate(lines.items(), start=1):
        heights = [other[key][1] for other in others if key in other]
        if key != _NUMBER_KEY:
            heights = [other for other in heights if abs(other - height) <= SAME_HEIGHT]
        if len(heights) >= needed:
            inner = reach
    return sorted(at for at, _ in list(lines.values())[:inner])


def _key(line: Line) -> str:
    """The line without its numbers: a running header counts pages."""
    return _NUMBER_KEY if _PAGE_NUMBER.match(line.text) else _DIGITS.sub("#", line.text.casefold())
