"""Word 6 to 2003 ([MS-DOC]): pieces of text, and beside them what each paragraph is."""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile
from penstock.parsing.compound import CompoundFile, open_compound
from penstock.parsing.formats.delimited import table_row

MAGICS = (0xA5EC, 0xA5DC)
"""Of Word 97 and of Word 6 and 95."""
FIRST_UNICODE_VERSION = 0x00C1
PAGE = 512
"""Bytes of a page of formatting."""

# What a paragraph's formatting says of it (single property modifiers).
IN_TABLE, ROW_END, OUTLINE_LEVEL, LIST_LEVEL, TABLE_DEFINITION = 0x2416, 0x2417, 0x2640, 0x260A, 0xD608
_OPERAND_SIZES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}

_PARAGRAPH_ENDS = re.compile("[\r\x07\x0c]")
_FIELD = re.compile("\x13[^\x13\x14\x15]*(?:\x14([^\x13\x15]*))?\x15")
_SPECIAL = str.maketrans({"\x0b": "\n", "\x1e": "-", "\x1f": "", "\xa0": " ", "\x0e": "\n"})


@dataclass(frozen=True, slots=True)
class _Look:
    """What a paragraph is: its style number, and whether it is a cell, the end of a row, an item of a list."""

    style: int = 0
    outline_level: int = 9
    in_table: bool = False
    row_end: bool = False
    in_list: bool = False

    @property
    def heading_level(self) -> int:
        """The styles 1 to 9 are the headings in every document and language."""
        if 1 <= self.style <= 9:
            return self.style
        return self.outline_level + 1 if self.outline_level < 9 else 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters from `start` up to `end`, which lie at `offset` in the file."""

    start: int
    end: int
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the header says that things are: that is all in which Word 6 and Word 97 differ."""

    lengths: int
    """Of the stories: body, footnotes, headers, macros, comments, endnotes, text boxes, boxes in headers."""
    stories: int
    pieces: int
    looks: int


_WORD_97 = _Layout(lengths=0x4C, stories=8, pieces=0x1A2, looks=0x102)
_WORD_6 = _Layout(lengths=0x34, stories=8, pieces=0x160, looks=0xC0)


def read_legacy_word(path: Path) -> Iterator[Block]:
    """The body, then footnotes, headers, comments and text boxes."""
    container = open_compound(path)
    try:
        document = _Document(container)
        body, *others = document.stories()
        yield from _blocks(document, *body)
        for story in others:
            for block in _blocks(document, *story):
                yield Block(block.text, BlockKind.PAGE_FURNITURE)
    except (struct.error, IndexError) as error:
        raise CorruptFile("The document is damaged: its text cannot be found.") from error


class _Document:
    """The text of the file by character position, and the look of each paragraph."""

    def __init__(self, container: CompoundFile) -> None:
        self._data = container.read("WordDocument")
        magic, self._version = struct.unpack_from("<HH", self._data)
        if magic not in MAGICS:
            raise CorruptFile("The document is damaged: it has no header.")
        self._is_old = self._version < FIRST_UNICODE_VERSION
        self._layout = _WORD_6 if self._is_old else _WORD_97
        (flags,) = struct.unpack_from("<H", self._data, 0x0A)
        self._table = self._data if self._is_old else container.read("1Table" if flags & 0x0200 else "0Table")
        self._pieces = list(self._read_pieces()) or [self._whole()]
        self._looks = _Looks(self._data, self._slice(self._layout.looks), is_old=self._is_old)

    def stories(self) -> list[tuple[int, int]]:
        """First and last character position of each story, the body first."""
        lengths = struct.unpack_from(f"<{self._layout.stories}i", self._data, self._layout.lengths)
        found: list[tuple[int, int]] = []
        at = 0
        for length in lengths:
            found.append((at, at + max(length, 0)))
            at += max(length, 0)
        return found

    def text(self, start: int, end: int) -> str:
        return "".join(self._characters(piece, start, end) for piece in self._pieces)

    def look(self, position: int) -> _Look:
        """Of the paragraph that the character at `position` ends."""
        piece = self._pieces[max(bisect_right(self._pieces, position, key=attrgetter("start")) - 1, 0)]
        return self._looks.at(piece.offset + (position - piece.start) * piece.width)

    def _characters(self, piece: _Piece, start: int, end: int) -> str:
        first, last = max(start, piece.start), min(end, piece.end)
        if first >= last:
            return ""
        at = piece.offset + (first - piece.start) * piece.width
        data = self._data[at : at + (last - first) * piece.width]
        return data.decode("utf-16-le" if piece.width == 2 else "cp1252", "replace")

    def _slice(self, pair: int) -> bytes:
        """What the header's pair of offset and length at `pair` refers to."""
        offset, length = struct.unpack_from("<II", self._data, pair)
        return self._table[offset : offset + length]

    def _read_pieces(self) -> Iterator[_Piece]:
        table = _piece_table(self._slice(self._layout.pieces))
        count = max(len(table) - 4, 0) // 12
        positions = struct.unpack_from(f"<{count + 1}I", table) if count else ()
        for number in range(count):
            (offset,) = struct.unpack_from("<I", table, 4 * (count + 1) + 8 * number + 2)
            wide = not self._is_old and not offset & 0x4000_0000
            if not self._is_old and not wide:
                offset = (offset & 0x3FFF_FFFF) // 2
            yield _Piece(positions[number], positions[number + 1], offset, 2 if wide else 1)

    def _whole(self) -> _Piece:
        """A file that was saved at once has its text in one piece."""
        first, last = struct.unpack_from("<II", self._data, 0x18)
        return _Piece(0, max(last - first, 0), first, 1)


def _piece_table(data: bytes) -> bytes:
    """Behind any number of property lists."""
    at = 0
    while data[at : at + 1] == b"\x01":
        at += 3 + int.from_bytes(data[at + 1 : at + 3], "little")
    return data[at + 5 :] if data[at : at + 1] == b"\x02" else b""


class _Looks:
    """The pages of paragraph formatting, read as they are asked for."""

    def __init__(self, data: bytes, table: bytes, *, is_old: bool) -> None:
        self._data = data
        self._is_old = is_old
        number_size = 2 if is_old else 4
        count = max(len(table) - 4, 0) // (4 + number_size)
        self._starts = struct.unpack_from(f"<{count + 1}I", table) if count else ()
        self._numbers = struct.unpack_from(f"<{count}{'H' if is_old else 'I'}", table, 4 * (count + 1)) if count else ()
        self._known: dict[int, tuple[Sequence[int], list[_Look]]] = {}

    def at(self, offset: int) -> _Look:
        """Of the paragraph around the byte at `offset`."""
        place = bisect_right(self._starts, offset) - 1
        if not 0 <= place < len(self._numbers):
            return _Look()
        number = self._numbers[place] & 0x3F_FFFF
        if number not in self._known:
            self._known[number] = self._page(self._data[number * PAGE : (number + 1) * PAGE])
        starts, looks = self._known[number]
        inside = bisect_right(starts, offset) - 1
        return looks[inside] if 0 <= inside < len(looks) else _Look()

    def _page(self, page: bytes) -> tuple[Sequence[int], list[_Look]]:
        if len(page) < PAGE:
            return (), []
        count, entry = page[-1], 7 if self._is_old else 13
        starts = struct.unpack_from(f"<{count + 1}I", page)
        places = [page[4 * (count + 1) + entry * number] * 2 for number in range(count)]
        return starts, [self._look(page, place) if place else _Look() for place in places]

    def _look(self, page: bytes, place: int) -> _Look:
        if self._is_old:
            size, place = page[place] * 2, place + 1
            return _old_look(page[place], page[place + 1 : place + size])
        size, place = page[place] * 2 - 1, place + 1
        if size < 0:
            size, place = page[place] * 2, place + 1
        (style,) = struct.unpack_from("<H", page, place)
        return _with_properties(style, page[place + 2 : place + size])


def _old_look(style: int, properties: bytes) -> _Look:
    """Codes of Word 6: 24 in a table, 25 the end of a row. Other codes are passed over by searching for these two."""
    return _Look(style=style, in_table=b"\x18\x01" in properties, row_end=b"\x19\x01" in properties)


def _with_properties(style: int, properties: bytes) -> _Look:
    values: dict[int, int] = {}
    at = 0
    while at + 2 < len(properties):
        (code,) = struct.unpack_from("<H", properties, at)
        values[code] = properties[at + 2]
        if code == TABLE_DEFINITION:
            size = int.from_bytes(properties[at + 2 : at + 4], "little") + 1
        else:
            size = _OPERAND_SIZES.get(code >> 13, properties[at + 2] + 1)
        at += 2 + size
    return _Look(
        style=style,
        outline_level=values.get(OUTLINE_LEVEL, 9),
        in_table=bool(values.get(IN_TABLE)),
        row_end=bool(values.get(ROW_END)),
        in_list=LIST_LEVEL in values,
    )


def _blocks(document: _Document, start: int, end: int) -> Iterator[Block]:
    """The paragraphs of a story, with table rows put together."""
    cells: list[str] = []
    cell: list[str] = []
    for text, mark, look in _paragraphs(document, start, end):
        if mark != "\x07" and not look.in_table:
            if cell or cells:
                yield table_row([*cells, " ".join(cell)])
                cells, cell = [], []
            yield _block(text, look)
        elif mark != "\x07":
            cell.append(text)
        elif look.row_end:
            yield _row(cells)
            cells, cell = [], []
        else:
            cells.append(" ".join([*cell, text]).strip())
            cell = []
    if cell or cells:
        yield table_row([*cells, " ".join(cell)])


def _row(cells: list[str]) -> Block:
    """A row with a single filled cell is layout."""
    filled = [text for text in cells if text]
    return Block(filled[0]) if len(filled) == 1 else table_row(cells)


def _block(text: str, look: _Look) -> Block:
    if level := look.heading_level:
        return Block(" ".join(text.split()), BlockKind.HEADING, level)
    return Block(text, BlockKind.LIST_ITEM if look.in_list else BlockKind.PARAGRAPH)


def _paragraphs(document: _Document, start: int, end: int) -> Iterator[tuple[str, str, _Look]]:
    """Text, end mark and look of each paragraph. Codes of fields are left out, their results are kept."""
    text = document.text(start, end)
    at = 0
    for mark in _PARAGRAPH_ENDS.finditer(text):
        yield _shown(text[at : mark.start()]), mark[0], document.look(start + mark.start())
        at = mark.end()
    yield _shown(text[at:]), "", _Look()


def _shown(text: str) -> str:
    while (resolved := _FIELD.sub(lambda found: found[1] or "", text)) != text:
        text = resolved
    return text.translate(_SPECIAL).strip()
