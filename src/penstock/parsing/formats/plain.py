"""Plain text: paragraphs are set apart by blank lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.chunking.document import Block
from penstock.parsing.encoding import lines

LONGEST_PARAGRAPH = 32 * 1024
"""Characters; a log file has no blank line, and no Block may grow with the file."""


def read_plain(path: Path) -> Iterator[Block]:
    return paragraphs(lines(path))


def paragraphs(source: Iterable[str]) -> Iterator[Block]:
    """Blocks of the lines between blank ones; line ends inside a paragraph are kept."""
    held: list[str] = []
    size = 0
    for line in source:
        if held and (not line.strip() or size + len(line) > LONGEST_PARAGRAPH):
            yield Block("".join(held))
            held, size = [], 0
        held.append(line)
        size += len(line)
    yield Block("".join(held))
