"""Markdown and HTML, safely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends in cells do no harm."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """`text` in backticks; nothing for an empty one."""
    shown = str(text)
    return f"`{shown}`" if shown else ""


def first_paragraph(docstring: str | None) -> str:
    """What a docstring says first, in one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())
