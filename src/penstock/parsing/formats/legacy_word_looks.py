"""What a Word file of before 2007 says of its paragraphs and characters: styles, and pages of properties."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

PAGE = 512
"""Bytes of a page of properties."""
TITLE_STYLE = 62
"""Number of the built-in style "Title" in every language."""
MOST_ANCESTORS = 16
"""Styles that a style is based on."""

# Single property modifiers: of paragraphs, then of characters.
IN_TABLE, ROW_END, OUTLINE_LEVEL, LIST_LEVEL, LIST_NUMBER = 0x2416, 0x2417, 0x2640, 0x260A, 0x460B
TABLE_DEFINITION = 0xD608
_OPERAND_SIZES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}

_UNSHOWN = frozenset({0x0800, 0x083C, 65, 92})
"""Deleted while changes were tracked, and hidden; by the codes of Word 97, then of Word 6."""
_ON = (1, 0x81)
"""Yes, and the opposite of what the style says, which is never yes here."""
_OLD_OPERAND_SIZES = {
    65: 1, 66: 1, 67: 1, 69: 2, 70: 4, 71: 1, 72: 2, 75: 1, 80: 2, 83: 0, **dict.fromkeys(range(85, 93), 1),
    93: 2, 94: 1, 95: 3, 96: 2, 97: 2, 98: 1, 99: 2, 100: 1, 101: 2, 102: 1, 104: 1,
}  # fmt: skip
"""Of the properties of characters in Word 6; what follows another one is not read."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a paragraph is: a heading, a cell, the end of a row, an item of a list."""

    style: int = 0
    outline_level: int = 9
    in_table: bool = False
    row_end: bool = False
    list_number: int = 0
    """Of the list that it is an item of; 0 for none."""
    list_level: int = 0
    is_title: bool = False

    @property
    def heading_level(self) -> int:
        """The styles 1 to 9 are the headings in every document and language."""
        if self.is_title:
            return 1
        if 1 <= self.style <= 9:
            return self.style
        return self.outline_level + 1 if self.outline_level < 9 else 0


T = TypeVar("T")


class PropertyPages(Generic[T]):
    """A table of pages, each with runs of bytes in the file and what holds for them; read as they are asked for."""

    def __init__(
        self, data: bytes, table: bytes, read: Callable[[bytes, int], T | None], *, is_old: bool, entry: int
    ) -> None:
        """`read` makes the properties of a page's bytes and the place of one run in them. `entry` is a run's size."""
        self._data = data
        self._read = read
        self._entry = entry
        number_size = 2 if is_old else 4
        count = max(len(table) - 4, 0) // (4 + number_size)
        self._starts = struct.unpack_from(f"<{count + 1}I", table) if count else ()
        self._numbers = struct.unpack_from(f"<{count}{'H' if is_old else 'I'}", table, 4 * (count + 1)) if count else ()
        self._known: dict[int, tuple[Sequence[int], list[T | None]]] = {}

    def at(self, offset: int) -> T | None:
        """What holds for the byte at `offset`; None where nothing is said."""
        place = bisect_right(self._starts, offset) - 1
        if not 0 <= place < len(self._numbers):
            return None
        starts, found = self._page(place)
        inside = bisect_right(starts, offset) - 1
        return found[inside] if 0 <= inside < len(found) else None

    def within(self, first: int, last: int) -> Iterator[tuple[int, int, T]]:
        """The runs between two offsets of which something is said, each with its start and end."""
        for place in range(max(bisect_right(self._starts, first) - 1, 0), len(self._numbers)):
            if self._starts[place] >= last:
                return
            starts, found = self._page(place)
            for at, value in enumerate(found):
                if value is not None and starts[at] < last and starts[at + 1] > first:
                    yield max(starts[at], first), min(starts[at + 1], last), value

    def _page(self, place: int) -> tuple[Sequence[int], list[T | None]]:
        number = self._numbers[place] & 0x3F_FFFF
        if number not in self._known:
            self._known[number] = self._runs(self._data[number * PAGE : (number + 1) * PAGE])
        return self._known[number]

    def _runs(self, page: bytes) -> tuple[Sequence[int], list[T | None]]:
        if len(page) < PAGE:
            return (), []
        count = page[-1]
        starts = struct.unpack_from(f"<{count + 1}I", page)
        places = [page[4 * (count + 1) + self._entry * number] * 2 for number in range(count)]
        return starts, [self._read(page, place) if place else None for place in places]


class Styles:
    """The style sheet of Word 97 and later: what paragraphs of each style are."""

    def __init__(self, table: bytes) -> None:
        self._looks: dict[int, Look] = {}
        self._styles = dict(_styles(table))

    def look(self, style: int) -> Look:
        """Of a paragraph of this style that says no more of itself."""
        if style not in self._looks:
            self._looks[style] = replace(self._inherited(style), style=style)
        return self._looks[style]

    def _inherited(self, style: int) -> Look:
        chain: list[bytes] = []
        is_title = False
        while style in self._styles and len(chain) < MOST_ANCESTORS:
            kind, base, properties = self._styles[style]
            chain.append(properties)
            is_title = is_title or kind == TITLE_STYLE
            style = base
        look = Look(is_title=is_title)
        for properties in reversed(chain):
            look = with_properties(look, properties)
        return look


def _styles(table: bytes) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
    """By number: built-in kind, number of the style it is based on, properties of paragraphs."""
    if len(table) < 6:
        return
    header, count, base_size = struct.unpack_from("<3H", table)
    at = 2 + header
    for number in range(count):
        if at + 2 > len(table):
            return
        (size,) = struct.unpack_from("<H", table, at)
        style = table[at + 2 : at + 2 + size]
        at += 2 + size + size % 2
        if size > base_size + 2 and len(style) == size:
            kind, base = struct.unpack_from("<2H", style)
            yield number, (kind & 0xFFF, base >> 4, _paragraph_properties(style, base_size) if base & 0xF == 1 else b"")


def _paragraph_properties(style: bytes, base_size: int) -> bytes:
    """They stand behind the style's name, in a list that begins with their size and the style's number."""
    at = base_size + 2 + 2 * int.from_bytes(style[base_size : base_size + 2], "little") + 2
    at += at % 2
    size = int.from_bytes(style[at : at + 2], "little")
    return style[at + 4 : at + 2 + size]


def paragraph_reader(styles: Styles | None) -> Callable[[bytes, int], Look]:
    """Reads the properties of a paragraph; without styles, those of Word 6."""

    def read(page: bytes, place: int) -> Look:
        if styles is None:
            size, place = page[place] * 2, place + 1
            return _old_look(page[place], page[place + 1 : place + size])
        size, place = page[place] * 2 - 1, place + 1
        if size < 0:
            size, place = page[place] * 2, place + 1
        (style,) = struct.unpack_from("<H", page, place)
        return with_properties(styles.look(style), page[place + 2 : place + size])

    return read


def character_reader(*, is_old: bool) -> Callable[[bytes, int], bool | None]:
    """Reads of characters whether they are not shown; None for those that are."""

    def read(page: bytes, place: int) -> bool | None:
        properties = page[place + 1 : place + 1 + page[place]]
        values = _old_properties(properties) if is_old else _properties(properties)
        return any(code in _UNSHOWN and value in _ON for code, value in values) or None

    return read


def _old_look(style: int, properties: bytes) -> Look:
    """Codes of Word 6: 24 in a table, 25 the end of a row. Other codes are passed over by searching for these two."""
    return Look(style=style, in_table=b"\x18\x01" in properties, row_end=b"\x19\x01" in properties)


def with_properties(look: Look, properties: bytes) -> Look:
    """`look` as these properties change it."""
    values = dict(_properties(properties))
    return replace(
        look,
        outline_level=values.get(OUTLINE_LEVEL, look.outline_level),
        in_table=bool(values.get(IN_TABLE, look.in_table)),
        row_end=bool(values.get(ROW_END, look.row_end)),
        list_number=values.get(LIST_NUMBER, look.list_number),
        list_level=values.get(LIST_LEVEL, look.list_level),
    )


def _properties(data: bytes) -> Iterator[tuple[int, int]]:
    """Code and value of each property; of a value that is longer than two bytes, the first byte."""
    at = 0
    while at + 2 < len(data):
        (code,) = struct.unpack_from("<H", data, at)
        if code == TABLE_DEFINITION:
            size = int.from_bytes(data[at + 2 : at + 4], "little") + 1
        else:
            size = _OPERAND_SIZES.get(code >> 13, data[at + 2] + 1)
        yield code, int.from_bytes(data[at + 2 : at + 2 + size], "little") if size <= 2 else data[at + 2]
        at += 2 + size


def _old_properties(data: bytes, sizes: Mapping[int, int] = _OLD_OPERAND_SIZES) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 1 < len(data) and data[at] in sizes:
        yield data[at], data[at + 1]
        at += 1 + sizes[data[at]]
