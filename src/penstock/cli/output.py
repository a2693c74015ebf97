"""What goes to the terminal: text made harmless, tables, JSON."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # each costs start-up time that `penstock --help` must not pay
    from pydantic import BaseModel
    from rich.console import Console

WIDE = 120
"""Columns of a terminal in which two ids and a sentence stand side by side."""


def harmless(text: str, *, keep: str = "") -> str:
    """`text` with control characters told, not done: a file's name must not steer the terminal.

    That covers escape codes, line breaks and the characters that turn the direction of writing;
    those in `keep` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape").decode()
        for character in text
    )  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """A Rich console that prints text as it is: no markup, no emoji codes, no highlighting in it."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


def can_redraw(stream: TextIO) -> bool:
    """Whether it is a terminal that can move its cursor back, as bars need it."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def print_json(value: object) -> None:
    """`value` as indented JSON on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_value(value: BaseModel) -> None:
    """A value as indented JSON on stdout."""
    sys.stdout.write(value.model_dump_json(indent=2) + "\n")


async def print_list(values: AsyncIterable[BaseModel]) -> None:
    """Values as one JSON list on stdout, each as soon as it comes."""
    opening = "["
    async for value in values:
        sys.stdout.write(f"{opening}\n{value.model_dump_json()}")
        opening = ","
    sys.stdout.write("[]\n" if opening == "[" else "\n]\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), spare: Sequence[str] = ()
) -> None:
    """A table on a terminal; lines with tabs between the cells, for other programs, elsewhere.

    A terminal of less than `WIDE` columns goes without the `spare` ones, or one word would stand on each line.
    """
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(harmless(cell) for cell in row) + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    terminal = console()
    left_out = spare if terminal.width < WIDE else ()
    shown = [at for at, column in enumerate(columns) if column not in left_out]
    for column in (columns[at] for at in shown):
        # An id that is broken over two lines cannot be copied.
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in ("id", "file")
        )
    for row in rows:
        table.add_row(*(Text(harmless(row[at])) for at in shown))
    terminal.print(table)


def print_note(note: str) -> None:
    """A remark for the person at the keyboard, on stderr."""
    sys.stderr.write(f"{harmless(note)}\n")
