"""Excel 5 to 2003 ([MS-XLS]): a stream of records, read cell by cell."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, PasswordProtected
from penstock.parsing.compound import open_compound
from penstock.parsing.encoding import code_page
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.columns import Row, with_names
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.format_code import EPOCH, EPOCH_1904, is_moment_or_share
from penstock.parsing.formats.number_format import BUILT_IN, GENERAL, NumberFormats
from penstock.parsing.formats.sheets import WIDEST_GAP, running_text, under_name

# Record types.
BOF, EOF, FILE_PASS, CODE_PAGE, DATE_MODE = 0x0809, 0x000A, 0x002F, 0x0042, 0x0022
FORMAT, XF, BOUND_SHEET, SST, CONTINUE, TXO = 0x041E, 0x00E0, 0x0085, 0x00FC, 0x003C, 0x01B6
LABEL_SST, LABEL, RSTRING, NUMBER, RK, MUL_RK = 0x00FD, 0x0204, 0x00D6, 0x0203, 0x027E, 0x00BD
FORMULA, STRING, BOOL_ERR = 0x0006, 0x0207, 0x0205
HEADER, FOOTER, VALIDATION, OBJECT, NOTE, CHART_TEXT = 0x0014, 0x0015, 0x01BE, 0x005D, 0x001C, 0x100D

BIFF8 = 0x0600
COMMENT_OBJECT = 0x19
"""Kind of the object that holds the text of a comment."""
FORMULA_STRING, FORMULA_BOOL, FORMULA_ERROR = 0, 1, 2
ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}

_BOOLEANS = ("FALSE", "TRUE")


@dataclass(frozen=True, slots=True)
class _Record:
    """A record with those that continue it. `parts` are the bytes of each."""

    kind: int
    parts: tuple[bytes, ...]
    depth: int
    """1 for those of the sheet itself, more for those of a chart on it."""

    @property
    def data(self) -> bytes:
        return self.parts[0]


@dataclass(frozen=True, slots=True)
class _Sheet:
    start: int
    """Where in the stream it begins."""
    name: str
    is_hidden: bool


@dataclass
class _Workbook:
    """What cells refer to, as the globals at the start of the stream say it."""

    version: int = BIFF8
    codec: str = "cp1252"
    sheets: list[_Sheet] = field(default_factory=list[_Sheet])
    strings: Sequence[str] = ()
    own_formats: dict[int, str] = field(default_factory=dict[int, str])
    styles: list[int] = field(default_factory=list[int])
    from_1904: bool = False

    @property
    def formats(self) -> NumberFormats:
        """Dates, times and percentages are shown as such; other numbers with all the digits that are stored.

        So does `xls2csv`, by which this reader is measured; what Excel rounds away would count as lost.
        """
        codes = [self.own_formats.get(each) or BUILT_IN.get(each, GENERAL) for each in self.styles]
        codes = [code if is_moment_or_share(code) else GENERAL for code in codes]
        return NumberFormats(codes, EPOCH_1904 if self.from_1904 else EPOCH)


def read_legacy_sheets(path: Path) -> Iterator[Block]:
    """Each sheet is a page: its name as a heading, its rows, then what is beside them."""
    container = open_compound(path)
    stream = container.read("Workbook" if "Workbook" in container else "Book")
    try:
        workbook = _globals(stream)
        for page, sheet in enumerate(workbook.sheets, start=1):
            for block in under_name(sheet.name, _sheet(stream, sheet.start, workbook, page), page):
                hide = sheet.is_hidden and block.origin is Origin.BODY
                yield replace(block, origin=Origin.HIDDEN) if hide else block
    except (struct.error, IndexError) as error:
        raise CorruptFile("The workbook is damaged: its records cannot be read to their end.") from error


def _globals(stream: bytes) -> _Workbook:
    workbook = _Workbook()
    for record in _records(stream, 0):
        data = record.data
        if record.kind == BOF:
            (workbook.version,) = struct.unpack_from("<H", data)
        elif record.kind == FILE_PASS:
            raise PasswordProtected
        elif record.kind == CODE_PAGE:
            workbook.codec = code_page(struct.unpack_from("<H", data)[0]) or "cp1252"
        elif record.kind == DATE_MODE:
            workbook.from_1904 = data[:1] == b"\x01"
        elif record.kind == FORMAT:
            workbook.own_formats[struct.unpack_from("<H", data)[0]] = _string(data[2:], workbook)
        elif record.kind == XF:
            workbook.styles.append(struct.unpack_from("<H", data, 2)[0])
        elif record.kind == BOUND_SHEET:
            start, state = struct.unpack_from("<IB", data)
            workbook.sheets.append(_Sheet(start, _short_string(data[6:], workbook), is_hidden=state & 3 != 0))
        elif record.kind == SST:
            workbook.strings = list(_Strings(record.parts).read())
    return workbook


def _sheet(stream: bytes, start: int, workbook: _Workbook, page: int) -> Iterator[Block]:
    """Cells come row by row; what floats above them, and what is printed around them, comes after."""
    beside: list[Block] = []
    cells = groupby(_cells(stream, start, workbook, beside), key=itemgetter(0))
    rows = (Row(number + 1, _in_columns((column, value) for _, column, value in row)) for number, row in cells)
    for row, names_columns in with_names(rows):
        block = table_row(row.texts, page)
        yield replace(block, names_columns=True) if names_columns and block.text else block
    yield from (replace(block, page=page) for block in beside)


def _in_columns(cells: Iterator[tuple[int, str]]) -> list[str]:
    values: list[str] = []
    for column, value in sorted(cells, key=itemgetter(0)):
        values += [""] * min(column - len(values), WIDEST_GAP)
        values.append(value)
    return values


def _cells(stream: bytes, start: int, workbook: _Workbook, beside: list[Block]) -> Iterator[tuple[int, int, str]]:
    """Row, column and shown value of each cell; what is no cell goes to `beside`."""
    formats = workbook.formats
    waiting: tuple[int, int] | None = None
    object_kind = 0
    for record in _records(stream, start):
        data = record.data
        if record.kind == OBJECT:
            object_kind = int.from_bytes(data[4:6], "little")
        elif record.kind in _BESIDE:
            beside += _beside(record, workbook, is_comment=object_kind == COMMENT_OBJECT)
        elif record.depth > 1:
            continue  # a chart repeats the cells that it shows
        elif record.kind == STRING and waiting:
            yield *waiting, _string(data, workbook)
            waiting = None
        elif record.kind == FORMULA and data[12:14] == b"\xff\xff" and data[6] == FORMULA_STRING:
            waiting = struct.unpack_from("<HH", data)
        elif record.kind in _VALUES or record.kind in (MUL_RK, FORMULA):
            yield from _values(record, workbook, formats)


def _beside(record: _Record, workbook: _Workbook, *, is_comment: bool) -> Iterator[Block]:
    """Text boxes, comments, titles of charts, headers and footers, and what a cell says to who fills it in."""
    data = record.data
    if record.kind == TXO:
        origin = Origin.COMMENT if is_comment else Origin.BODY
        yield Block(_box_text(record), BlockKind.PAGE_FURNITURE if is_comment else BlockKind.PARAGRAPH, origin=origin)
    elif record.kind == NOTE and workbook.version < BIFF8:
        text = data[6 : 6 + int.from_bytes(data[4:6], "little")].decode(workbook.codec, "penstock")
        yield Block(text, BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)
    elif record.kind == CHART_TEXT:
        yield Block(one_line(_short_string(data[2:], workbook)))
    elif record.kind in (HEADER, FOOTER) and data:
        text = _string(data, workbook) if workbook.version >= BIFF8 else _short_string(data, workbook)
        yield from running_text(text, Origin.HEADER if record.kind == HEADER else Origin.FOOTER)
    elif record.kind == VALIDATION:
        yield from _prompts(data, workbook)


def _prompts(data: bytes, workbook: _Workbook) -> Iterator[Block]:
    """Titles of prompt and error message, then the two themselves."""
    at = 4
    texts: list[str] = []
    for _ in range(4):
        length, flags = struct.unpack_from("<HB", data, at)
        texts.append(one_line(_string(data[at:], workbook).replace("\0", "")))
        at += 3 + length * (2 if flags & 1 else 1)
    for said in zip(texts[:2], texts[2:], strict=True):
        yield Block(": ".join(filter(None, said)), BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)


_BESIDE = frozenset({TXO, NOTE, CHART_TEXT, HEADER, FOOTER, VALIDATION})


def _values(record: _Record, workbook: _Workbook, formats: NumberFormats) -> Iterator[tuple[int, int, str]]:
    row, column, style = struct.unpack_from("<HHH", record.data)
    data = record.data[6:]
    if record.kind == MUL_RK:
        for at in range(4, len(record.data) - 5, 6):
            style, packed = struct.unpack_from("<HI", record.data, at)
            yield row, column + (at - 4) // 6, formats.shown(repr(unpacked_number(packed)), str(style))
        return
    if record.kind == LABEL_SST:
        at = int.from_bytes(data[:4], "little")
        value = workbook.strings[at] if at < len(workbook.strings) else ""
    elif record.kind in (LABEL, RSTRING):
        value = _string(data, workbook)
    elif record.kind == BOOL_ERR:
        value = _bool_or_error(data[0], is_error=data[1] == 1)
    elif record.kind == RK:
        value = formats.shown(repr(unpacked_number(int.from_bytes(data[:4], "little"))), str(style))
    elif record.kind == FORMULA and data[6:8] == b"\xff\xff":
        value = _bool_or_error(data[2], is_error=data[0] == FORMULA_ERROR) if data[0] in (1, 2) else ""
    else:
        value = formats.shown(repr(struct.unpack_from("<d", data)[0]), str(style))
    yield row, column, value


_VALUES = frozenset({LABEL_SST, LABEL, RSTRING, NUMBER, RK, BOOL_ERR})


def _bool_or_error(value: int, *, is_error: bool) -> str:
    return ERRORS.get(value, "#ERROR") if is_error else _BOOLEANS[value & 1]


def unpacked_number(packed: int) -> float:
    """A number in four bytes: an integer or the upper half of a float, perhaps in hundredths (2.5.217)."""
    if packed & 2:
        number = float((packed ^ 0x8000_0000) // 4 - 0x2000_0000)
    else:
        (number,) = struct.unpack("<d", struct.pack("<II", 0, packed & 0xFFFF_FFFC))
    return number / 100 if packed & 1 else number


def _records(stream: bytes, at: int) -> Iterator[_Record]:
    """The records of a substream, up to its end; embedded charts (substreams within) are passed through."""
    depth = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        parts = [stream[at + 4 : at + 4 + length]]
        at += 4 + length
        while stream[at : at + 2] == b"\x3c\x00" and kind != CONTINUE:
            (length,) = struct.unpack_from("<H", stream, at + 2)
            parts.append(stream[at + 4 : at + 4 + length])
            at += 4 + length
        depth += (kind == BOF) - (kind == EOF)
        if depth <= 0:
            return
        yield _Record(kind, tuple(parts), depth)


def _string(data: bytes, workbook: _Workbook) -> str:
    """A string behind a length of two bytes."""
    (length,) = struct.unpack_from("<H", data)
    return _characters(data[2:], length, workbook)


def _short_string(data: bytes, workbook: _Workbook) -> str:
    """A string behind a length of one byte."""
    return _characters(data[1:], data[0], workbook)


def _characters(data: bytes, length: int, workbook: _Workbook) -> str:
    if workbook.version < BIFF8:
        return data[:length].decode(workbook.codec, "penstock")
    wide = data[:1] != b"" and data[0] & 1
    return data[1 : 1 + length * 2].decode("utf-16-le", "replace") if wide else data[1 : 1 + length].decode("latin-1")


def _box_text(record: _Record) -> str:
    """The text of a comment or a text box stands in the first record that continues it."""
    if len(record.parts) < 2 or not record.parts[1]:
        return ""
    length = int.from_bytes(record.data[10:12], "little")
    flags, text = record.parts[1][0], record.parts[1][1:]
    return text[: length * 2].decode("utf-16-le", "replace") if flags & 1 else text[:length].decode("latin-1")


@dataclass
class _Strings:
    """The table of shared strings. One that goes on in the next part says there anew how wide its characters are."""

    parts: Sequence[bytes]
    part: int = 0
    at: int = 8

    def read(self) -> Iterator[str]:
        (count,) = struct.unpack_from("<4xI", self.parts[0])
        for _ in range(count):
            if self._left == 0 and self.part + 1 >= len(self.parts):
                return
            yield self._one()

    @property
    def _left(self) -> int:
        return len(self.parts[self.part]) - self.at

    def _one(self) -> str:
        length, flags = struct.unpack("<HB", self._bytes(3))
        runs = int.from_bytes(self._bytes(2), "little") if flags & 8 else 0
        phonetic = int.from_bytes(self._bytes(4), "little") if flags & 4 else 0
        text = self._text(length, wide=bool(flags & 1))
        self._bytes(4 * runs + phonetic)
        return text

    def _bytes(self, count: int) -> bytes:
        """The next bytes, over the parts' ends. Raises `IndexError` at the end of all."""
        taken = b""
        while len(taken) < count:
            if self._left == 0:
                self._next_part()
            piece = self.parts[self.part][self.at : self.at + count - len(taken)]
            self.at += len(piece)
            taken += piece
        return taken

    def _text(self, length: int, *, wide: bool) -> str:
        text: list[str] = []
        left = length
        while left:
            if self._left == 0:
                self._next_part()
                wide = bool(self._bytes(1)[0] & 1)
            width = 2 if wide else 1
            count = min(left, self._left // width)
            if count == 0:
                raise IndexError
            data = self._bytes(count * width)
            # A character beyond the first 65,536 counts as two, and may be cut in two by the part's end.
            text.append(data.decode("utf-16-le", "surrogatepass") if wide else data.decode("latin-1"))
            left -= count
        return "".join(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _next_part(self) -> None:
        self.part += 1
        self.at = 0
        if self.part >= len(self.parts):
            raise IndexError
