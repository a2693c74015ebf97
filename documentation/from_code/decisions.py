"""The decisions, in the order of their numbers."""

from __future__ import annotations

import re
from pathlib import Path

from from_code.marks import table

HEADING = re.compile(r"# (?:\d+[.:] )?(.+)")
INDEX = "decisions/index.md"
HEAD = """# Decisions

What was decided, why, and what it costs: half a page each, in the order in which they were taken. A later one may have
changed an earlier one, and then says so.

"""


def index(folder: Path) -> str:
    """A page with all of them."""
    rows = [(number(path), f"[{title(path)}]({path.name})") for path in sorted(folder.glob("[0-9]*.md"))]
    return HEAD + table(("", "decision"), rows)


def number(path: Path) -> str:
    return path.name[:4].lstrip("0")


def title(path: Path) -> str:
    """The heading without its number. Raises `ValueError` for a file that does not begin with a heading."""
    heading = HEADING.match(path.read_text())
    if heading is None:
        raise ValueError(f"{path.name} does not begin with its title")
    return heading[1]
