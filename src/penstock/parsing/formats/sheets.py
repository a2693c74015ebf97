"""Excel workbooks (xlsx, xlsm), row by row straight from their XML: a sheet of a million rows is never held whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.columns import Row, with_names
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.drawing import POINTERS, RelatedText, description_of, text_of
from penstock.parsing.formats.embedded import EmbeddedFiles
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
    shown,
)

WIDEST_GAP = 8
"""Empty cells in a row that are kept for counting columns; a single value far to the right is not worth thousands."""

_COLUMN = re.compile(r"[A-Za-z]{1,3}")
_ROW = re.compile(r"\d{1,7}")
_CODE = re.compile(r'&(?:"[^"]*"|K(?:[0-9A-Fa-f]{6}|\d\d[+-]\d{3})|\d{1,3}|.)', re.DOTALL)
"""Fonts, colours, sizes, and letters for what changes from page to page (ECMA-376, 18.3.1.46)."""
_CODES = {"&&": "&", "&L": "\0", "&C": "\0", "&R": "\0"}
"""The sign itself, and where the left, the middle and the right part begin."""
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_THREAD = "tc="
"""How the author of a comment starts that stands in for a thread."""
_SHEET_KINDS = ("worksheet", "chartsheet", "dialogsheet", "xlMacrosheet")


@dataclass(frozen=True, slots=True)
class _Workbook:
    """What cells refer to."""

    strings: Sequence[str]
    formats: NumberFormats


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    part: str
    is_hidden: bool


def read_sheets(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    """Each sheet is a page: its name as a heading, its rows, then drawings, running texts, comments, embedded files."""
    with open_package(path) as package:
        main = package.main_part
        workbook = _Workbook(_shared_strings(package, main), NumberFormats.read(package, main))
        for page, sheet in enumerate(sheets_in_order(package, main), start=1):
            blocks = chain(_sheet(package, sheet.part, workbook, page), embedded.of_part(package, sheet.part, page))
            for block in under_name(sheet.name, blocks, page):
                hide = sheet.is_hidden and block.origin is Origin.BODY
                yield replace(block, origin=Origin.HIDDEN) if hide else block


def under_name(name: str, blocks: Iterable[Block], page: int) -> Iterator[Block]:
    """A sheet's name as a heading above its content; nothing for an empty sheet, whose name says nothing."""
    is_named = False
    for block in blocks:
        if block.text and not is_named:
            is_named = True
            yield Block(name, BlockKind.HEADING, 1, page)
        yield block


def sheets_in_order(package: Package, main: str) -> Iterator[Sheet]:
    """The sheets in the order of their tabs, hidden ones too."""
    targets = {each.id: each.target for each in package.relationships(main) if each.kind in _SHEET_KINDS}
    for sheet in package.parse(main).iter("{*}sheet"):
        part = targets.get(attribute(sheet, "id") or "", "")
        if part in package:
            yield Sheet(sheet.get("name", ""), part, is_hidden=sheet.get("state") in ("hidden", "veryHidden"))


def _sheet(package: Package, part: str, workbook: _Workbook, page: int) -> Iterator[Block]:
    beside: list[Block] = []
    for row, names_columns in with_names(_rows(package, part, workbook, beside), _table_headers(package, part)):
        block = table_row(row.texts, page)
        yield replace(block, names_columns=True) if names_columns and block.text else block
    yield from _beside_cells(package, part, page)
    yield from (replace(block, page=page) for block in beside)


def _rows(package: Package, part: str, workbook: _Workbook, beside: list[Block]) -> Iterator[Row]:
    """The rows; what else the sheet itself says goes into `beside`."""
    number = 0
    for _, element in package.stream(part, "row", "headerFooter", "dataValidation"):
        name = local_name(element)
        if name == "row":
            given = element.get("r", "")
            number = int(given) if given.isdecimal() else number + 1
            yield Row(number, _cells(element, workbook))
            forget(element)
        else:
            beside += running_texts(element) if name == "headerFooter" else _prompts(element)


def _table_headers(package: Package, part: str) -> set[int]:
    """The rows in which the sheet's tables have the names of their columns."""
    found: set[int] = set()
    for table in package.related(part, "table"):
        root = package.parse(table)
        first_row = _ROW.search(root.get("ref", "").partition(":")[0])
        if first_row and root.get("headerRowCount") != "0":
            found.add(int(first_row[0]))
    return found


def running_texts(element: Element) -> Iterator[Block]:
    """The texts of a `headerFooter`."""
    texts = dict.fromkeys((local_name(each)[-6:].lower(), each.text or "") for each in element)
    for place, text in texts:
        yield from running_text(text, Origin.HEADER if place == "header" else Origin.FOOTER)


def running_text(text: str, origin: Origin) -> Iterator[Block]:
    """The parts of a header or footer, which stand between codes: `&L&"Arial,Bold"Draft&RPage &P of &N`."""
    for part in _CODE.sub(lambda code: _CODES.get(code[0], " "), text).split("\0"):
        if any(map(str.isalnum, part)):
            yield Block(one_line(part), BlockKind.PAGE_FURNITURE, origin=origin)


def _prompts(validation: Element) -> Iterator[Block]:
    """What a sheet says to who selects a cell or fills in what it does not take."""
    for title, text in (("promptTitle", "prompt"), ("errorTitle", "error")):
        said = ": ".join(filter(None, (_unescaped(validation.get(name, "")) for name in (title, text))))
        yield Block(one_line(said), BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)


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
        return _unescaped(element[0].text or "")
    runs = (run if local_name(run) == "t" else child(run, "t") for run in children(element, "t", "r"))
    return _unescaped("".join(run.text or "" for run in runs if run is not None))


def _unescaped(text: str) -> str:
    """Characters that XML cannot hold are written as `_x000D_` (ECMA-376, 22.9.2.19)."""
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), text) if "_x" in text else text


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
    """Text boxes, charts, diagrams and comments of a sheet."""
    for drawing in package.related(part, "drawing"):
        yield from drawing_blocks(package, drawing, page)
    threads = package.related(part, "threadedComment")
    for comments in package.related(part, "comments"):
        for text in _comment_texts(package.parse(comments), has_threads=bool(threads)):
            yield Block(text, BlockKind.PAGE_FURNITURE, page=page, origin=Origin.COMMENT)
    for comments in threads:
        for text in package.parse(comments).iter("{*}text"):
            yield Block(text.text or "", BlockKind.PAGE_FURNITURE, page=page, origin=Origin.COMMENT)


def drawing_blocks(package: Package, part: str, page: int) -> Iterator[Block]:
    """What stands on a drawing above the cells, and descriptions of its pictures."""
    root = package.parse(part)
    related = RelatedText(package, part, page)
    for each in shown(root, "cNvPr", "p", *POINTERS):
        name = local_name(each)
        if name == "cNvPr":
            yield Block(description_of(each), page=page)
        elif name == "p":
            yield Block(text_of(each), page=page)
        else:
            yield from related.at(each)
    yield from related.rest()


def _comment_texts(root: Element, *, has_threads: bool) -> Iterator[str]:
    """The comments; a thread repeats in a comment for older programs, below a sentence that says so."""
    authors = [author.text or "" for author in root.iter("{*}author")]
    for comment in root.iter("{*}comment"):
        number = comment.get("authorId", "")
        author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
        text = child(comment, "text")
        if text is not None and not (has_threads and author.startswith(_THREAD)):
            yield _rich_text(text)
