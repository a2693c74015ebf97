"""Where a Word file of before 2007 keeps its text: pieces, and the stories that they make ([MS-DOC] 2.4)."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from penstock.chunking.document import Origin
from penstock.errors import CorruptFile
from penstock.parsing.compound import CompoundFile

MAGICS = (0xA5EC, 0xA5DC)
"""Of Word 97 and of Word 6 and 95."""
FIRST_UNICODE_VERSION = 0x00C1
_SEPARATORS = 6
"""Header stories before the first header: the lines between text and notes."""
_HEADERS = (Origin.HEADER, Origin.HEADER, Origin.FOOTER, Origin.FOOTER, Origin.HEADER, Origin.FOOTER)
"""Of each section: for even and odd pages, then for the first."""


@dataclass(frozen=True, slots=True)
class Story:
    """A run of character positions with text of one kind."""

    start: int
    end: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters from `start` up to `end`, which lie at `offset` in the file, each `width` bytes wide."""

    start: int
    end: int
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the header says that things are: that is nearly all in which Word 6 and Word 97 differ."""

    lengths: int
    """Of the stories: body, footnotes, headers, macros, comments, endnotes, text boxes, boxes in headers."""
    pieces: int
    styles: int
    paragraphs: int
    characters: int
    headers: int


_WORD_97 = Layout(lengths=0x4C, pieces=0x1A2, styles=0xA2, paragraphs=0x102, characters=0xFA, headers=0xF2)
_WORD_6 = Layout(lengths=0x34, pieces=0x160, styles=0x60, paragraphs=0xC0, characters=0xB8, headers=0xB0)
LISTS, LIST_OVERRIDES = 0x2E2, 0x2EA
"""Of Word 97 and later."""


class WordFile:
    """The text of the file by character position, and the tables that its header points to."""

    def __init__(self, container: CompoundFile) -> None:
        """Raises `CorruptFile`, `struct.error`, `IndexError` where the header makes no sense."""
        self.data = container.read("WordDocument")
        magic, version = struct.unpack_from("<HH", self.data)
        if magic not in MAGICS:
            raise CorruptFile("The document is damaged: it has no header.")
        self.is_old = version < FIRST_UNICODE_VERSION
        self.layout = _WORD_6 if self.is_old else _WORD_97
        (flags,) = struct.unpack_from("<H", self.data, 0x0A)
        self._table = self.data if self.is_old else container.read("1Table" if flags & 0x0200 else "0Table")
        self.pieces = list(self._read_pieces()) or [self._whole()]

    def table(self, pair: int) -> bytes:
        """What the header's pair of offset and length at `pair` refers to."""
        offset, length = struct.unpack_from("<II", self.data, pair)
        return self._table[offset : offset + length]

    def table_from(self, pair: int) -> bytes:
        """The same with all that follows: some tables go on behind the length that the header tells."""
        (offset,) = struct.unpack_from("<I", self.data, pair)
        return self._table[offset:]

    def stories(self) -> Iterator[Story]:
        """The body, then what is beside it."""
        body, notes, headers, macros, comments, end_notes, boxes, header_boxes = self._lengths()
        ends = [0, body, notes, headers, macros, comments, end_notes, boxes, header_boxes]
        for at in range(1, len(ends)):
            ends[at] += ends[at - 1]
        yield Story(0, body, Origin.BODY)
        yield Story(ends[6], ends[7], Origin.BODY)
        yield Story(ends[1], ends[2], Origin.FOOTNOTE)
        yield Story(ends[5], ends[6], Origin.ENDNOTE)
        yield Story(ends[4], ends[5], Origin.COMMENT)
        yield from self._headers(ends[2], ends[3])
        yield Story(ends[7], ends[8], Origin.HEADER)

    def text(self, start: int, end: int) -> str:
        return "".join(self._characters(piece, start, end) for piece in self.pieces)

    def offset(self, position: int) -> int:
        """Where in the file the character at `position` lies."""
        piece = self.pieces[max(bisect_right(self.pieces, position, key=attrgetter("start")) - 1, 0)]
        return piece.offset + (position - piece.start) * piece.width

    def _lengths(self) -> list[int]:
        return [max(length, 0) for length in struct.unpack_from("<8i", self.data, self.layout.lengths)]

    def _headers(self, start: int, end: int) -> Iterator[Story]:
        """A section without one of its own repeats that of the section before; its story is empty."""
        table = self.table(self.layout.headers)
        places = struct.unpack_from(f"<{len(table) // 4}I", table)
        if not places:
            yield Story(start, end, Origin.HEADER)
        for at, (first, last) in enumerate(zip(places[_SEPARATORS:], places[_SEPARATORS + 1 :], strict=False)):
            if first < last <= end - start:
                yield Story(start + first, start + last, _HEADERS[at % len(_HEADERS)])

    def _characters(self, piece: Piece, start: int, end: int) -> str:
        first, last = max(start, piece.start), min(end, piece.end)
        if first >= last:
            return ""
        at = piece.offset + (first - piece.start) * piece.width
        data = self.data[at : at + (last - first) * piece.width]
        return data.decode("utf-16-le" if piece.width == 2 else "cp1252", "replace")

    def _read_pieces(self) -> Iterator[Piece]:
        table = _piece_table(self.table(self.layout.pieces))
        count = max(len(table) - 4, 0) // 12
        positions = struct.unpack_from(f"<{count + 1}I", table) if count else ()
        for number in range(count):
            (offset,) = struct.unpack_from("<I", table, 4 * (count + 1) + 8 * number + 2)
            wide = not self.is_old and not offset & 0x4000_0000
            if not self.is_old and not wide:
                offset = (offset & 0x3FFF_FFFF) // 2
            yield Piece(positions[number], positions[number + 1], offset, 2 if wide else 1)

    def _whole(self) -> Piece:
        """A file that was saved at once has its text in one piece."""
        first, last = struct.unpack_from("<II", self.data, 0x18)
        return Piece(0, max(last - first, 0), first, 1)


def _piece_table(data: bytes) -> bytes:
    """Behind any number of property lists."""
    at = 0
    while data[at : at + 1] == b"\x01":
        at += 3 + int.from_bytes(data[at + 1 : at + 3], "little")
    return data[at + 5 :] if data[at : at + 1] == b"\x02" else b""
