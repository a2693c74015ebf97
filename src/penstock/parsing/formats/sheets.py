"""Excel workbooks (xlsx, xlsm), row by row straight from their XML: a sheet of a million rows is never held whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.drawing import chart_blocks, paragraphs_of
from penstock.parsing.formats.number_format import NumberFormats
from penstock.parsing.formats.ooxml import (
    Element,
    Package,
    attribute,
    child,
    children,
    forget,
    local_name,
    open_package,
)

WIDEST_GAP = 8
"""Empty cells in a row that are kept for counting columns; a single value far to the right is not worth thousands."""

_COLUMN = re.compile(r"[A-Za-z]{1,3}")
_SHEET_KINDS = ("worksheet", "chartsheet", "dialogsheet", "xlMacrosheet")


@dataclass(frozen=True, slots=True)
class _Workbook:
    """What cells refer to."""

    strings: Sequence[str]
    formats: NumberFormats


def read_sheets(path: Path) -> Iterator[Block]:
    """Each sheet is a page: its name as a heading, its rows, then drawings and comments."""
    with open_package(path) as package:
        main = package.main_part
        workbook = _Workbook(_shared_strings(package, main), NumberFormats.read(package, main))
        for page, (name, part) in enumerate(_sheets_in_order(package, main), start=1):
            yield from under_name(name, _sheet(package, part, workbook, page), page)


def under_name(name: str, blocks: Iterable[Block], page: int) -> Iterator[Block]:
    """A sheet's name as a heading above its content; nothing for an empty sheet, whose name says nothing."""
    is_named = False
    for block in blocks:
        if block.text and not is_named:
            is_named = True
            yield Block(name, BlockKind.HEADING, 1, page)
        yield block


def _sheet(package: Package, part: str, workbook: _Workbook, page: int) -> Iterator[Block]:
    for _, row in package.stream(part, "row"):
        yield table_row(_cells(row, workbook), page)
        forget(row)
    yield from _beside_cells(package, part, page)


def _sheets_in_order(package: Package, main: str) -> Iterator[tuple[str, str]]:
    """Name and part of each sheet, hidden ones too."""
    targets = {each.id: each.target for each in package.relationships(main) if each.kind in _SHEET_KINDS}
    for sheet in package.parse(main).iter("{*}sheet"):
        part = targets.get(attribute(sheet, "id") or "", "")
        if part in package:
            yield sheet.get("name", ""), part


def _shared_strings(package: Package, main: str) -> list[str]:
    strings: list[str] = []
    for part in package.related(main, "sharedStrings"):
        for _, item in package.stream(part, "si"):
            strings.append(_rich_text(item))
            forget(item)
    return strings


def _rich_text(element: Element) -> str:
    """The text of a string item; phonetic guides (`rPh`) repeat it in another script."""
    if len(element) == 1 and local_name(element[0]) == "t":
        return element[0].text or ""
    runs = (run if local_name(run) == "t" else child(run, "t") for run in children(element, "t", "r"))
    return "".join(run.text or "" for run in runs if run is not None)


def _cells(row: Element, workbook: _Workbook) -> list[str]:
    """The row's values, each in its column."""
    values: list[str] = []
    for cell in row:
        column = _column(cell.get("r"), len(values))
        values += [""] * min(column - len(values), WIDEST_GAP)
        values.append(_value(cell, workbook))
    return values


def _column(reference: str | None, following: int) -> int:
    """Column number from 0 of a cell `BC12`; cells without a reference follow one another."""
    letters = _COLUMN.match(reference or "")
    if not letters:
        return following
    number = 0
    for letter in letters[0].upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: Element, workbook: _Workbook) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = child(cell, "is")
        return _rich_text(inline) if inline is not None else ""
    value = ""
    for each in cell:
        if str(each.tag).endswith("}v"):
            value = each.text or ""
    if kind == "s":
        at = int(value) if value.isdecimal() else -1
        return workbook.strings[at] if 0 <= at < len(workbook.strings) else ""
    if kind == "b":
        return "TRUE" if value == "1" else "FALSE" if value else ""
    if kind == "n" and value:
        return workbook.formats.shown(value, cell.get("s"))
    return value


def _beside_cells(package: Package, part: str, page: int) -> Iterator[Block]:
    """Comments, text boxes and charts of a sheet."""
    for drawing in package.related(part, "drawing"):
        for text, _ in paragraphs_of(package.parse(drawing)):
            yield Block(text, page=page)
        for chart in package.related(drawing, "chart"):
            yield from chart_blocks(package, chart, page)
    for comments in package.related(part, "comments"):
        for text in package.parse(comments).iter("{*}text"):
            yield Block(_rich_text(text), BlockKind.PAGE_FURNITURE, page=page)
    for comments in package.related(part, "threadedComment"):
        for text in package.parse(comments).iter("{*}text"):
            yield Block(text.text or "", BlockKind.PAGE_FURNITURE, page=page)
