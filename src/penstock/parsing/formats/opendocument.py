"""OpenDocument text, sheets and presentations (ISO 26300), as a stream of their `content.xml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.ooxml import Element, Package, attribute, children, forget, local_name, open_package

CONTENT = "/content.xml"
STYLES = "/styles.xml"
MOST_REPEATED_ROWS = 1_000
"""A row may say that it stands for a million like it; who formats an empty sheet to its end does that."""
MOST_REPEATED_CELLS = 64

_MARKS = {"tab": "\t", "line-break": "\n"}
_SET_APART = frozenset({"text-box", "note", "annotation"})
"""What is anchored in a paragraph and reads as paragraphs of its own."""
_UNSHOWN = frozenset({"tracked-changes", "title", "desc", "ruby-text", "note-citation"})


def open_document_reader(*, page_tag: str | None) -> Callable[[Path], Iterator[Block]]:
    """A reader; `page_tag` is the element that begins a page: `page` of slides, `table` of sheets, None in texts."""
    return partial(_read, page_tag=page_tag)


def _read(path: Path, *, page_tag: str | None) -> Iterator[Block]:
    with open_package(path) as package:
        yield from _page_styles(package)
        yield from _content(package, page_tag)


def _page_styles(package: Package) -> Iterator[Block]:
    """Running headers and footers are part of the page styles."""
    if STYLES not in package:
        return
    for area in package.parse(STYLES).iter("{*}header", "{*}footer"):
        for block in _paragraphs(area):
            yield Block(block.text, BlockKind.PAGE_FURNITURE)


def _content(package: Package, page_tag: str | None) -> Iterator[Block]:
    """The outermost paragraphs, headings and table rows, each freed when it is done."""
    depth, page = 0, 0
    tags = ("p", "h", "table-row", *([page_tag] if page_tag else []))
    for event, element in package.stream(CONTENT, *tags, starts=True):
        if local_name(element) == page_tag:
            if event == "start" and depth == 0:
                page += 1
                if page_tag == "table":
                    yield Block(attribute(element, "name") or "", BlockKind.HEADING, 1, page)
            continue
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 0:
            for block in _unit_blocks(element):
                yield Block(block.text, block.kind, block.level, page or None)
            forget(element)


def _unit_blocks(element: Element) -> Iterator[Block]:
    around = {local_name(each) for each in element.iterancestors()}
    if "tracked-changes" in around:
        return
    blocks = _rows(element) if local_name(element) == "table-row" else _paragraph(element)
    for block in blocks:
        yield Block(block.text, BlockKind.PAGE_FURNITURE) if "notes" in around else block


def _paragraphs(container: Element) -> Iterator[Block]:
    """The paragraphs, lists and tables of a text box, a note, a header."""
    for element in container:
        if local_name(element) in ("p", "h"):
            yield from _paragraph(element)
        elif local_name(element) == "table-row":
            yield from _rows(element)
        elif local_name(element) not in _UNSHOWN:
            yield from _paragraphs(element)


def _paragraph(element: Element) -> Iterator[Block]:
    text = "".join(_inline(element)).strip()
    if local_name(element) == "h":
        level = attribute(element, "outline-level") or "1"
        yield Block(text, BlockKind.HEADING, int(level) if level.isdecimal() else 1)
    elif _is_title(element):
        yield Block(text, BlockKind.HEADING, 1)
    else:
        parent = element.getparent()
        in_list = parent is not None and local_name(parent) in ("list-item", "list-header")
        yield Block(text, BlockKind.LIST_ITEM if in_list else BlockKind.PARAGRAPH)
    yield from _anchored(element)


def _is_title(paragraph: Element) -> bool:
    """Whether the paragraph stands in the frame of a slide's title."""
    return any(attribute(each, "class") == "title" for each in paragraph.iterancestors("{*}frame"))


def _anchored(element: Element) -> Iterator[Block]:
    for each in element:
        name = local_name(each)
        if name == "text-box":
            yield from _paragraphs(each)
        elif name in _SET_APART:
            for block in _paragraphs(each):
                yield Block(block.text, BlockKind.PAGE_FURNITURE)
        else:
            yield from _anchored(each)


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


def _rows(row: Element) -> Iterator[Block]:
    """A row as often as it stands for; nested tables follow their row."""
    block = table_row(_cells(row))
    times = attribute(row, "number-rows-repeated") or "1"
    for _ in range(min(int(times), MOST_REPEATED_ROWS) if times.isdecimal() and block.text else 1):
        yield block


def _cells(row: Element) -> Iterator[str]:
    for cell in children(row, "table-cell", "covered-table-cell"):
        text = " ".join(block.text for block in _paragraphs(cell) if block.text)
        times = attribute(cell, "number-columns-repeated") or "1"
        for _ in range(min(int(times), MOST_REPEATED_CELLS) if times.isdecimal() else 1):
            yield text
