"""OpenDocument text, sheets and presentations (ISO 26300), as a stream of their `content.xml`."""

from __future__ import annotations

import posixpath
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.columns import Row, with_names
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.ooxml import Element, Package, attribute, children, forget, local_name, open_package
from penstock.parsing.formats.opendocument_styles import Styles
from penstock.parsing.formats.sheets import under_name

CONTENT = "/content.xml"
STYLES = "/styles.xml"
MOST_REPEATED_ROWS = 1_000
"""A row may say that it stands for a million like it; who formats an empty sheet to its end does that."""
MOST_REPEATED_CELLS = 64
MOST_OBJECTS = 1_000
"""Charts and formulas of a file."""

_MARKS = {"tab": "\t", "line-break": "\n"}
_SET_APART = frozenset({"text-box", "note", "annotation", "title", "desc", "object", "object-ole"})
"""What is anchored in a paragraph and reads as paragraphs of its own."""
_UNSHOWN = frozenset({"tracked-changes", "ruby-text", "note-citation", "sheet-name", "binary-data"})
_NOT_CONTENT = frozenset({"tracked-changes", "master-styles"})
"""Deletions; and in a document of a single file the running texts, which are read as such."""
_DECLARED = {"header-decl": Origin.HEADER, "footer-decl": Origin.FOOTER}
_UNITS = ("p", "h", "table-row", "title", "desc", "object", "object-ole", *_DECLARED)
_RUNNING = tuple(f"{{*}}{area}{pages}" for area in ("header", "footer") for pages in ("", "-left", "-first"))
_VALUES = ("string-value", "date-value", "time-value", "boolean-value", "value")
"""What a cell holds that does not say how it is shown."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A sheet or a slide; number 0 is the whole of a text."""

    number: int = 0
    name: str = ""
    is_hidden: bool = False


def open_document_reader(*, page_tag: str | None) -> Callable[..., Iterator[Block]]:
    """A reader, which takes `embedded`.

    `page_tag` is the element that begins a page: `page` of slides, `table` of sheets, None in texts.
    """
    return partial(_read, page_tag=page_tag)


def _read(path: Path, *, page_tag: str | None, embedded: EmbeddedFiles) -> Iterator[Block]:
    with _opened(path) as package:
        document = _Document(package, embedded, is_workbook=page_tag == "table")
        running = list(document.running_texts())
        for page, items in groupby(document.content(page_tag), key=lambda item: item[0]):
            blocks = _sheet(item for _, item in items)
            if page_tag == "table":
                blocks = under_name(page.name, blocks, page.number)
            for block in blocks:
                hide = page.is_hidden and block.origin is Origin.BODY
                yield replace(block, page=page.number or None, origin=Origin.HIDDEN if hide else block.origin)
        yield from running


@contextmanager
def _opened(path: Path) -> Generator[Package]:
    """The parts of a document; one that is a single XML file has its content and its styles in it."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"PK"
    if is_packed:
        with open_package(path) as package:
            yield package
        return
    with tempfile.NamedTemporaryFile(prefix="penstock-") as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(path, CONTENT.lstrip("/"))
            archive.write(path, STYLES.lstrip("/"))
        packed.flush()
        with open_package(Path(packed.name)) as package:
            yield package


def _sheet(items: Iterable[Row | Block]) -> Iterator[Block]:
    """Rows where there are any, then what is beside them; a text has none on this level."""
    beside: list[Block] = []

    def rows() -> Iterator[Row]:
        for item in items:
            if isinstance(item, Row):
                yield item
            else:
                beside.append(item)

    for row, names_columns in with_names(rows()):
        yield table_row(row.texts, names_columns=names_columns)
        yield from beside
        beside.clear()
    yield from beside


@dataclass
class _Document:
    package: Package
    embedded: EmbeddedFiles
    is_workbook: bool
    styles: Styles = field(default_factory=Styles)
    objects: int = 0
    is_in_object: bool = False
    table: Element | None = None
    """The table in a text that the last row stood in."""

    def running_texts(self) -> Iterator[Block]:
        """Running headers and footers are part of the page styles, the same often of several."""
        if STYLES not in self.package:
            return
        root = self.package.parse(STYLES)
        self.styles.add(root)
        known: set[str] = set()
        for area in root.iter(*_RUNNING):
            origin = Origin.HEADER if local_name(area).startswith("header") else Origin.FOOTER
            blocks = list(self._paragraphs(area)) if attribute(area, "display") != "false" else []
            text = "\n".join(block.text for block in blocks)
            if text not in known:
                known.add(text)
                yield from (replace(block, kind=BlockKind.PAGE_FURNITURE, origin=origin) for block in blocks)

    def content(self, page_tag: str | None) -> Iterator[tuple[_Page, Row | Block]]:
        """The outermost paragraphs, headings and rows with the page they are on, each freed when it is done."""
        depth, page, row_number = 0, _Page(), 0
        tags = (*_UNITS, "automatic-styles", *([page_tag] if page_tag else []))
        for event, element in self.package.stream(CONTENT, *tags, starts=True):
            name = local_name(element)
            if name == "automatic-styles":
                if event == "end":
                    self.styles.add(element)
            elif name == page_tag:
                if event == "start" and depth == 0:
                    row_number = 0
                    is_hidden = self.styles.is_hidden(element)
                    page = _Page(page.number + 1, attribute(element, "name") or "", is_hidden)
            else:
                depth += 1 if event == "start" else -1
                if event == "end" and depth == 0:
                    is_sheet_row = name == "table-row" and page_tag == "table"
                    for item in self._sheet_rows(element, row_number) if is_sheet_row else self._unit(element):
                        yield page, item
                    row_number += _repeated(element, "number-rows-repeated")
                    forget(element)

    def _unit(self, element: Element) -> Iterator[Block]:
        around = list(element.iterancestors())
        names = {local_name(each) for each in around}
        if names & _NOT_CONTENT:
            return
        origin = _DECLARED.get(local_name(element))
        if "notes" in names:
            origin = Origin.SPEAKER_NOTES
        elif any(attribute(each, "display") == "none" for each in around):
            origin = Origin.HIDDEN
        for block in self._element(element):
            yield replace(block, kind=BlockKind.PAGE_FURNITURE, origin=origin) if origin else block

    def _element(self, element: Element) -> Iterator[Block]:
        name = local_name(element)
        if name == "table-row":
            yield from self._rows(element)
        elif name in ("p", "h"):
            yield from self._paragraph(element)
        elif name == "object":
            yield from self._object(element)
        elif name == "object-ole":
            part = posixpath.normpath(posixpath.join("/", attribute(element, "href") or ""))
            if part in self.package:
                yield from self.embedded.embedded(posixpath.basename(part), partial(self.package.read, part))
        elif any(map(str.isalnum, text := _inline_text(element))):
            yield Block(text)

    def _paragraphs(self, container: Element) -> Iterator[Block]:
        """The paragraphs, lists and tables of a text box, a note, a header."""
        for element in container:
            name = local_name(element)
            if name in _UNITS:
                yield from self._element(element)
            elif name and name not in _UNSHOWN and name != "annotation" and not self._repeats_cells(name):
                yield from self._paragraphs(element)

    def _paragraph(self, element: Element) -> Iterator[Block]:
        text = _inline_text(element)
        label = self.styles.label(element) if text else None
        shown = f"{label} {text}" if label else text
        if local_name(element) == "h":
            level = attribute(element, "outline-level") or "1"
            yield Block(shown, BlockKind.HEADING, int(level) if level.isdecimal() else 1)
        elif _is_slide_title(element) or self.styles.is_title(element):
            yield Block(text, BlockKind.HEADING, 1)
        else:
            yield Block(shown, BlockKind.PARAGRAPH if label is None else BlockKind.LIST_ITEM)
        yield from self._anchored(element)

    def _anchored(self, element: Element) -> Iterator[Block]:
        for each in element:
            name = local_name(each)
            if name == "text-box":
                yield from self._paragraphs(each)
            elif name in ("note", "annotation"):
                origin = Origin.COMMENT if name == "annotation" else _note_origin(each)
                for block in self._paragraphs(each):
                    yield Block(block.text, BlockKind.PAGE_FURNITURE, origin=origin)
            elif name in ("title", "desc", "object", "object-ole"):
                yield from self._element(each)
            else:
                yield from self._anchored(each)

    def _object(self, element: Element) -> Iterator[Block]:
        """A chart's titles, and the table of what it shows; text of other objects."""
        part = posixpath.normpath(posixpath.join("/", attribute(element, "href") or "", "content.xml"))
        if self.is_in_object or part == CONTENT or part not in self.package or self.objects >= MOST_OBJECTS:
            return
        self.objects += 1
        self.is_in_object = True
        yield from self._paragraphs(self.package.parse(part))
        self.is_in_object = False

    def _repeats_cells(self, name: str) -> bool:
        """Whether this is the table of a chart that stands on a sheet, of whose cells it is made."""
        return name == "table" and self.is_in_object and self.is_workbook

    def _rows(self, row: Element) -> Iterator[Block]:
        """A row of a table in a text as often as it stands for; what is in its cells beside their text follows."""
        table = next(row.iterancestors("{*}table"), None)
        block = table_row(_cells(row))
        is_first = table is not self.table or table is None
        for _ in range(min(_repeated(row, "number-rows-repeated"), MOST_REPEATED_ROWS) if block.text else 1):
            yield replace(block, names_columns=is_first and block.kind is BlockKind.TABLE_ROW)
            is_first = False
        if block.text:
            self.table = table
        yield from self._beside_cells(row)

    def _sheet_rows(self, row: Element, number: int) -> Iterator[Row | Block]:
        texts = list(_cells(row))
        while texts and not texts[-1]:
            texts.pop()
        for at in range(min(_repeated(row, "number-rows-repeated"), MOST_REPEATED_ROWS) if texts else 0):
            yield Row(number + at + 1, texts)
        yield from self._beside_cells(row)

    def _beside_cells(self, row: Element) -> Iterator[Block]:
        if self.is_in_object:
            return  # the cells of a chart say which cells of the sheet they repeat
        for cell in children(row, "table-cell", "covered-table-cell"):
            yield from self._anchored(cell)


def _note_origin(note: Element) -> Origin:
    return Origin.ENDNOTE if attribute(note, "note-class") == "endnote" else Origin.FOOTNOTE


def _is_slide_title(paragraph: Element) -> bool:
    """Whether the paragraph stands in the frame of a slide's title."""
    return any(attribute(each, "class") == "title" for each in paragraph.iterancestors("{*}frame"))


def _inline_text(element: Element) -> str:
    return "".join(_inline(element)).strip()


def _inline(element: Element) -> Iterator[str]:
    yield element.text or ""
    for each in element:
        name = local_name(each)
        if name == "s":
            count = attribute(each, "c") or "1"
            yield " " * min(int(count), 64) if count.isdecimal() else " "
        elif name in _MARKS:
            yield _MARKS[name]
        elif name and name not in _UNSHOWN and name not in _SET_APART:
            yield from _inline(each)
        yield each.tail or ""


def _cells(row: Element) -> Iterator[str]:
    """The cells as they are shown; of one that does not say how, what it holds."""
    for cell in children(row, "table-cell", "covered-table-cell"):
        text = " ".join(_cell_texts(cell))
        if not text and attribute(cell, "value") != "NaN":
            text = next((value for name in _VALUES if (value := attribute(cell, name))), "")
        for _ in range(min(_repeated(cell, "number-columns-repeated"), MOST_REPEATED_CELLS)):
            yield text


def _cell_texts(container: Element) -> Iterator[str]:
    """Of the paragraphs in a cell, in lists and tables inside it, too."""
    for element in container:
        name = local_name(element)
        if name in ("p", "h"):
            if text := _inline_text(element):
                yield text
        elif name and name not in _UNSHOWN and name not in _SET_APART:
            yield from _cell_texts(element)


def _repeated(element: Element, name: str) -> int:
    times = attribute(element, name) or "1"
    return int(times) if times.isdecimal() and len(times) < 10 else 1
