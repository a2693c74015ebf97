"""Excel's binary workbooks (xlsb, [MS-XLSB]): the parts of an xlsx as records instead of XML."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.columns import Row, with_names
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.format_code import EPOCH, EPOCH_1904
from penstock.parsing.formats.legacy_sheets import ERRORS, unpacked_number
from penstock.parsing.formats.number_format import BUILT_IN, GENERAL, NumberFormats
from penstock.parsing.formats.ooxml import Package, open_package
from penstock.parsing.formats.sheets import WIDEST_GAP, drawing_blocks, running_text, under_name

# Record types ([MS-XLSB] 2.3.1).
ROW, STRING_ITEM, FORMAT, STYLE = 0, 19, 44, 47
BLANK, RK, ERROR, BOOLEAN, NUMBER, STRING, SHARED, RICH_STRING = 1, 2, 3, 4, 5, 6, 7, 62
FORMULA_STRING, FORMULA_NUMBER, FORMULA_BOOLEAN, FORMULA_ERROR = 8, 9, 10, 11
SHORT_BLANK, SHORT_SHARED = 12, 18
WORKBOOK_PROPERTIES, SHEET, TABLE, HEADER_FOOTER, CELL_STYLES, CELL_STYLES_END, COMMENT = (
    153,
    156,
    343,
    479,
    617,
    618,
    637,
)

_STRINGS = frozenset({STRING, FORMULA_STRING})
_NUMBERS = frozenset({NUMBER, FORMULA_NUMBER})
_BOOLEANS = frozenset({BOOLEAN, FORMULA_BOOLEAN})
_ERRORS = frozenset({ERROR, FORMULA_ERROR})
_NO_TEXT = 0xFFFFFFFF


@dataclass
class _Workbook:
    """What cells refer to."""

    sheets: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    """Relationship, name, and whether it is hidden."""
    strings: Sequence[str] = ()
    formats: NumberFormats = field(default_factory=lambda: NumberFormats(()))


def read_binary_sheets(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    """Each sheet is a page: its name as a heading, its rows, then drawings, running texts, comments, embedded files."""
    with open_package(path) as package:
        main = package.main_part
        workbook = _workbook(package, main)
        targets = {each.id: each.target for each in package.relationships(main)}
        for page, (relation, name, is_hidden) in enumerate(workbook.sheets, start=1):
            part = targets.get(relation, "")
            if part not in package:
                continue
            for block in under_name(name, _sheet(package, part, workbook, embedded, page), page):
                hide = is_hidden and block.origin is Origin.BODY
                yield replace(block, origin=Origin.HIDDEN) if hide else block


def _workbook(package: Package, main: str) -> _Workbook:
    workbook, epoch = _Workbook(), EPOCH
    for kind, data in _records(package.read(main)):
        if kind == SHEET:
            state = int.from_bytes(data[:4], "little")
            relation, at = _string(data, 8)
            workbook.sheets.append((relation, _string(data, at)[0], state != 0))
        elif kind == WORKBOOK_PROPERTIES and data[:1] and data[0] & 1:
            epoch = EPOCH_1904
    workbook.formats = NumberFormats(list(_format_codes(package, main)), epoch)
    workbook.strings = [
        _string(data, 1)[0]
        for part in package.related(main, "sharedStrings")
        for kind, data in _records(package.read(part))
        if kind == STRING_ITEM
    ]
    return workbook


def _format_codes(package: Package, main: str) -> Iterator[str]:
    """The format of each cell style, in the order by which cells name them."""
    own: dict[int, str] = {}
    is_cell_style = False
    for part in package.related(main, "styles"):
        for kind, data in _records(package.read(part)):
            if kind == FORMAT:
                own[int.from_bytes(data[:2], "little")] = _string(data, 2)[0]
            elif kind in (CELL_STYLES, CELL_STYLES_END):
                is_cell_style = kind == CELL_STYLES
            elif kind == STYLE and is_cell_style:
                number = int.from_bytes(data[2:4], "little")
                yield own.get(number) or BUILT_IN.get(number, GENERAL)


def _sheet(package: Package, part: str, workbook: _Workbook, embedded: EmbeddedFiles, page: int) -> Iterator[Block]:
    beside: list[Block] = []
    for row, names_columns in with_names(_rows(package, part, workbook, beside), _table_headers(package, part)):
        block = table_row(row.texts, page)
        yield replace(block, names_columns=True) if names_columns and block.text else block
    for drawing in package.related(part, "drawing"):
        yield from drawing_blocks(package, drawing, page)
    yield from (replace(block, page=page) for block in (*beside, *_comments(package, part)))
    yield from embedded.of_part(package, part, page)


def _rows(package: Package, part: str, workbook: _Workbook, beside: list[Block]) -> Iterator[Row]:
    """The rows; what else the sheet itself says goes into `beside`."""
    number, values, column = 0, list[str](), -1
    for kind, data in _records(package.read(part)):
        if kind == ROW:
            if values:
                yield Row(number, values)
            number, values, column = int.from_bytes(data[:4], "little") + 1, [], -1
        elif BLANK < kind <= FORMULA_ERROR or kind == RICH_STRING:
            column = int.from_bytes(data[:4], "little")
            _place(values, column, _value(kind, data[4:], workbook))
        elif SHORT_BLANK <= kind <= SHORT_SHARED:  # in the column behind the last one
            column += 1
            _place(values, column, _value(kind - SHORT_BLANK + BLANK, data, workbook))
        elif kind == HEADER_FOOTER:
            beside += _running_texts(data)
    if values:
        yield Row(number, values)


def _place(values: list[str], column: int, value: str) -> None:
    if value:
        values += [""] * min(column - len(values), WIDEST_GAP)
        values.append(value)


def _value(kind: int, data: bytes, workbook: _Workbook) -> str:
    """What a cell shows; `data` begins with three bytes for its style and one of flags."""
    style, content = int.from_bytes(data[:3], "little"), data[4:]
    value = ""
    if kind in _STRINGS:
        value, _ = _string(content, 0)
    elif kind == RICH_STRING:
        value, _ = _string(content, 1)
    elif kind == SHARED:
        at = int.from_bytes(content[:4], "little")
        value = workbook.strings[at] if at < len(workbook.strings) else ""
    elif kind in _BOOLEANS:
        value = "TRUE" if content[:1] == b"\x01" else "FALSE"
    elif kind in _ERRORS:
        value = ERRORS.get(content[0], "") if content else ""
    elif kind == RK:
        value = workbook.formats.shown(repr(unpacked_number(int.from_bytes(content[:4], "little"))), str(style))
    elif kind in _NUMBERS:
        value = workbook.formats.shown(repr(struct.unpack_from("<d", content)[0]), str(style))
    return value


def _running_texts(data: bytes) -> Iterator[Block]:
    """Header and footer of odd pages, of even ones, of the first; each once."""
    at = 2
    texts: dict[tuple[str, Origin], None] = {}
    for origin in (Origin.HEADER, Origin.FOOTER) * 3:
        if at + 4 > len(data):
            break
        text, at = _string(data, at)
        texts[text, origin] = None
    for text, origin in texts:
        yield from running_text(text, origin)


def _comments(package: Package, part: str) -> Iterator[Block]:
    for comments in package.related(part, "comments"):
        for kind, data in _records(package.read(comments)):
            if kind == COMMENT:
                yield Block(_string(data, 1)[0], BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)


def _table_headers(package: Package, part: str) -> set[int]:
    """The rows in which the sheet's tables have the names of their columns."""
    found: set[int] = set()
    for table in package.related(part, "table"):
        for kind, data in _records(package.read(table)):
            if kind == TABLE and len(data) >= 28 and any(data[24:28]):
                found.add(int.from_bytes(data[:4], "little") + 1)
    return found


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each record; the last may be shorter than it says. Both numbers have seven bits a byte."""
    at = 0
    while at < len(data):
        kind, at = _variable(data, at, longest=2)
        length, at = _variable(data, at, longest=4)
        yield kind, data[at : at + length]
        at += length


def _variable(data: bytes, at: int, *, longest: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(data[at : at + longest]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    return number, at + longest


def _string(data: bytes, at: int) -> tuple[str, int]:
    """Text behind its length in UTF-16 units, and where it ends."""
    length = int.from_bytes(data[at : at + 4], "little")
    start = at + 4
    if length == _NO_TEXT:
        return "", start
    end = start + 2 * length
    return data[start:end].decode("utf-16-le", "replace"), end
