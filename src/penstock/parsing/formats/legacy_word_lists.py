"""The numbers that Word shows before items of lists, of files of before 2007 ([MS-DOC] 2.9.147 and following)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace

from penstock.parsing.formats.word_lists import ListLabels, ListLevel, NumberedList

LEVELS = 9
MOST_LISTS = 4_096
_STYLES = {
    1: "upperRoman",
    2: "lowerRoman",
    3: "upperLetter",
    4: "lowerLetter",
    22: "decimalZero",
    23: "bullet",
    255: "none",
}
"""By number format; every other one is near enough to plain numbers."""


def list_labels(lists: bytes, overrides: bytes) -> ListLabels:
    """From the table of lists with what follows it, and the table of their uses, by whose number items name them."""
    return ListLabels(dict(_uses(overrides, dict(_lists(lists)))))


def _lists(table: bytes) -> Iterator[tuple[int, dict[int, ListLevel]]]:
    """The levels of each list by its number. They stand behind the heads of all lists."""
    (count,) = struct.unpack_from("<H", table) if len(table) >= 2 else (0,)
    count = min(count, MOST_LISTS)
    at = 2 + 28 * count
    for number in range(count):
        (key,) = struct.unpack_from("<I", table, 2 + 28 * number)
        levels: dict[int, ListLevel] = {}
        for depth in range(1 if table[2 + 28 * number + 26] & 1 else LEVELS):
            levels[depth], at = _level(table, at)
        yield key, levels


def _level(table: bytes, at: int) -> tuple[ListLevel, int]:
    """A level and where it ends. Its text has the numbers 0 to 8 where the counts of the levels stand."""
    start, style = struct.unpack_from("<iB", table, at)
    character_size, paragraph_size = table[at + 24], table[at + 25]
    at += 28 + character_size + paragraph_size
    (length,) = struct.unpack_from("<H", table, at)
    text = table[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
    pattern = "".join(f"%{ord(letter) + 1}" if ord(letter) < LEVELS else letter for letter in text)
    return ListLevel(start, _STYLES.get(style, "decimal"), pattern), at + 2 + 2 * length


def _uses(table: bytes, lists: Mapping[int, dict[int, ListLevel]]) -> Iterator[tuple[str, NumberedList]]:
    """By number from 1. A use that starts anew at some number counts for itself."""
    (count,) = struct.unpack_from("<I", table) if len(table) >= 4 else (0,)
    count = min(count, MOST_LISTS)
    at = 4 + 16 * count
    for number in range(count):
        (key,) = struct.unpack_from("<I", table, 4 + 16 * number)
        levels = dict(lists.get(key, {}))
        changes = table[4 + 16 * number + 12]
        at += 4
        starts: dict[int, int] = {}
        for _ in range(min(changes, LEVELS)):
            start, flags = struct.unpack_from("<iI", table, at)
            at += 8
            depth = flags & 0xF
            if flags & 0x20:
                levels[depth], at = _level(table, at)
            elif flags & 0x10:
                starts[depth] = start
        levels |= {depth: replace(levels[depth], start=start) for depth, start in starts.items() if depth in levels}
        yield str(number + 1), NumberedList(f"{key}/{number}" if changes else str(key), levels)
