"""What a passage needs to be found but does not say itself: its file, its headings, its table's columns.

A Chunk is embedded and indexed as its context, a blank line and its text; what is shown and cited is its text
alone. A row of figures is found by what its columns are called, a paragraph by the chapter it stands in.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from penstock.chunking.tokens import TokenCounter
from penstock.models import embedded_text

SHARE = 4
"""A context takes at most one in so many of a Chunk's tokens: the passage itself must stay the larger part."""
_KNOWN_CONTEXTS = 1024
_SEPARATORS = re.compile(r"[_\s]+")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class Context(NamedTuple):
    text: str
    tokens: int
    """Of the text and what parts it from the passage, by the model's tokenizer."""


NO_CONTEXT = Context("", 0)


def title_of(name: str) -> str:
    """A file's name as words: without its folders and its ending."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return _SEPARATORS.sub(" ", _ENDING.sub("", last)).strip()


class ContextMaker:
    """Makes the contexts of one file's Chunks, within a share of the tokens that the model takes."""

    def __init__(self, counter: TokenCounter, *, title: str, max_tokens: int) -> None:
        self._counter = counter
        self._title = title
        self._budget = max_tokens // SHARE
        # A tokenizer that is not additive may take another token where context and text meet.
        self._seam = 0 if counter.additive else 2
        self._known: dict[tuple[tuple[str, ...], str], Context] = {}

    def make(self, headings: tuple[str, ...], columns: str) -> Context:
        """Title, heading trail and column names, as far as they fit: what is nearest to the passage first."""
        key = (headings, columns)
        if (known := self._known.get(key)) is not None:
            return known
        if len(self._known) >= _KNOWN_CONTEXTS:
            self._known.clear()
        self._known[key] = made = self._make(headings, columns)
        return made

    def _make(self, headings: tuple[str, ...], columns: str) -> Context:
        room = self._budget - self._seam
        columns, room = self._fitted(columns, room // 2, room)
        trail = (self._title, *headings)
        kept: dict[int, str] = {}
        # By what helps most: the nearest heading, the file, then the chapters around, from the inside.
        for place in dict.fromkeys((len(headings), 0, *range(len(headings) - 1, 0, -1))):
            kept[place], room = self._fitted(trail[place], room, room)
        shown = " > ".join(filter(None, (kept[place] for place in range(len(trail)))))
        if not (text := "\n".join(filter(None, (shown, columns)))):
            return NO_CONTEXT
        return Context(text, self._counter.count(embedded_text(text, "")) + self._seam)

    def _fitted(self, piece: str, most: int, room: int) -> tuple[str, int]:
        """`piece`, cut behind a word where it has more tokens than `most`, and the room that it leaves."""
        words = piece.split()
        tokens = self._counter.count(piece) + 1  # what joins the pieces
        while words and tokens > most:
            words = words[: min(len(words) - 1, len(words) * most // tokens)]
            tokens = self._counter.count(" ".join(words)) + 1
        return (" ".join(words), room - tokens) if words else ("", room)
