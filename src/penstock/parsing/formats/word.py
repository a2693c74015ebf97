"""Word documents (docx), straight from their XML: no text run is lost on the way through a document model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.drawing import chart_blocks, diagram_blocks
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
from penstock.parsing.formats.word_lists import ListLabels

_UNSHOWN = frozenset(
    {
        "del", "moveFrom",  # text that tracked changes took away
        "instrText", "delText", "delInstrText", "fldData",  # field codes; their results are ordinary runs
        "txbxContent",  # text boxes: Blocks of their own
        "pPr", "rPr", "tblPr", "tcPr", "sdtPr", "Fallback", "rt",
    }
)  # fmt: skip
_MARKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BEFORE = ("header",)
_AFTER = ("footer", "footnotes", "endnotes", "comments")
_CONTAINERS = frozenset(
    {"body", "sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "AlternateContent", "Choice"},
)


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str | None
    level: int | None
    numbering: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class _Document:
    """What a paragraph is read by."""

    styles: Mapping[str, _Style]
    labels: ListLabels


def read_word(path: Path) -> Iterator[Block]:
    """Headers, the body as a stream, then footers, notes, comments, charts and diagrams."""
    with open_package(path) as package:
        main = package.main_part
        document = _Document(_styles(package, main), ListLabels.read(package, main))
        for part in package.related(main, *_BEFORE):
            yield from _furniture(package, part, document)
        yield from _body(package, main, document)
        for part in package.related(main, *_AFTER):
            yield from _furniture(package, part, document)
        for part in package.related(main, "chart"):
            yield from chart_blocks(package, part)
        for part in package.related(main, "diagramData"):
            yield from diagram_blocks(package, part)


def _body(package: Package, main: str, document: _Document) -> Iterator[Block]:
    """Top-level paragraphs and tables, each freed when it is done."""
    depth = 0
    for event, element in package.stream(main, "p", "tbl", starts=True):
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 0:
            yield from _element_blocks(element, document)
            forget(element)


def _furniture(package: Package, part: str, document: _Document) -> Iterator[Block]:
    for block in _blocks(package.parse(part), document):
        yield Block(block.text, BlockKind.PAGE_FURNITURE)


def _blocks(container: Element, document: _Document) -> Iterator[Block]:
    for element in container:
        yield from _element_blocks(element, document)


def _element_blocks(element: Element, document: _Document) -> Iterator[Block]:
    name = local_name(element)
    if name == "p":
        yield _paragraph(element, document)
        for box in _text_boxes(element):
            yield from _blocks(box, document)
    elif name == "tbl":
        yield from _table(element, document)
    elif name not in _UNSHOWN:
        yield from _blocks(element, document)


def _paragraph(element: Element, document: _Document) -> Block:
    text = "".join(_inline(element)).strip()
    style = _style_chain(document.styles, attribute_of(element, "val", "pPr", "pStyle"))
    level = _heading_level(element, style)
    label = document.labels.next_label(_numbering(element, style)) if text else None
    if level:
        return Block(f"{label} {text}" if label else text, BlockKind.HEADING, level)
    if label is not None:
        return Block(f"{label} {text}".strip(), BlockKind.LIST_ITEM)
    return Block(text)


def _inline(element: Element) -> Iterator[str]:
    """The text of runs, in order; the depth of XML is bounded by the parser, so that recursion is safe."""
    for each in element:
        name = local_name(each)
        if name == "t":
            yield each.text or ""
        elif name in _MARKS:
            yield _MARKS[name]
        elif name == "sym":
            yield _symbol(each)
        elif name == "docPr":
            yield _description(each)
        elif name == "AlternateContent":
            yield from _inline(_alternative(each))
        elif name not in _UNSHOWN:
            yield from _inline(each)


def _alternative(element: Element) -> Element:
    """The variant to read: the same content stands in each, for readers of different age."""
    variants = list(children(element, "Choice", "Fallback"))
    for variant in variants:
        if any(each.text for each in variant.iter("{*}t")):
            return variant
    return variants[0] if variants else element


def _text_boxes(paragraph: Element) -> Iterator[Element]:
    """The outermost text boxes anchored in a paragraph, each in one of its variants."""
    pending = [paragraph]
    while pending:
        element = pending.pop()
        if local_name(element) == "txbxContent":
            yield element
        elif local_name(element) == "AlternateContent":
            pending.append(_alternative(element)) if len(element) else None
        elif local_name(element) not in ("del", "moveFrom"):
            pending += reversed(element)


def _table(table: Element, document: _Document) -> Iterator[Block]:
    """One Block a row. A row with a single filled cell is layout: its content is read as if there were no table."""
    for row in _table_rows(table):
        cells = [list(_visible(_blocks(cell, document))) for cell in _row_cells(row)]
        filled = [cell for cell in cells if cell]
        if len(filled) == 1:
            yield from filled[0]
        elif filled:
            yield table_row(" ".join(block.text for block in cell) for cell in cells)


def _table_rows(table: Element) -> Iterator[Element]:
    return _nested(table, "tr")


def _row_cells(row: Element) -> Iterator[Element]:
    return _nested(row, "tc")


def _nested(element: Element, name: str) -> Iterator[Element]:
    """Rows of a table or cells of a row, also those inside content controls and tracked insertions."""
    for each in element:
        if local_name(each) == name:
            yield each
        elif local_name(each) in _CONTAINERS:
            yield from _nested(each, name)


def _visible(blocks: Iterable[Block]) -> Iterator[Block]:
    return (block for block in blocks if block.text.strip())


def _symbol(element: Element) -> str:
    """A character of a symbol font; those in the private area mean nothing outside of it."""
    code = int(attribute(element, "char") or "0", 16)
    return chr(code) if 0x20 < code < 0xD800 else "•" if code >= 0xE000 else ""


def _description(element: Element) -> str:
    """The alternative text of a picture: what its author wrote for those who do not see it."""
    text = one_line(element.get("descr", ""))
    return f" {text} " if text else ""


def attribute_of(element: Element, name: str, *path: str) -> str | None:
    """An attribute of the element down a path of local names."""
    found = child(element, *path)
    return attribute(found, name) if found is not None else None


def _styles(package: Package, main: str) -> dict[str, _Style]:
    styles: dict[str, _Style] = {}
    for part in package.related(main, "styles"):
        for element in children(package.parse(part), "style"):
            level = attribute_of(element, "val", "pPr", "outlineLvl")
            styles[attribute(element, "styleId") or ""] = _Style(
                name=(attribute_of(element, "val", "name") or "").lower(),
                based_on=attribute_of(element, "val", "basedOn"),
                level=int(level) if level and level.isdigit() else None,
                numbering=_own_numbering(element),
            )
    return styles


def _style_chain(styles: Mapping[str, _Style], style_id: str | None) -> list[_Style]:
    """A style and those it is based on."""
    chain: list[_Style] = []
    while style_id and (style := styles.get(style_id)) and style not in chain:
        chain.append(style)
        style_id = style.based_on
    return chain


def _heading_level(paragraph: Element, styles: Iterable[_Style]) -> int:
    """From 1; 0 for a paragraph that is no heading. Word's outline level 9 means body text."""
    own = attribute_of(paragraph, "val", "pPr", "outlineLvl")
    if own and own.isdigit():
        return int(own) + 1 if int(own) < 9 else 0
    for style in styles:
        if style.level is not None:
            return style.level + 1 if style.level < 9 else 0
        if style.name.startswith("heading ") and style.name[8:].isdigit():
            return int(style.name[8:])
        if style.name in ("title", "subtitle"):
            return 1 if style.name == "title" else 2
    return 0


def _numbering(paragraph: Element, styles: Iterable[_Style]) -> tuple[str, int] | None:
    """The list that a paragraph is an item of, and its depth there from 0."""
    own = _own_numbering(paragraph)
    return own or next((style.numbering for style in styles if style.numbering), None)


def _own_numbering(element: Element) -> tuple[str, int] | None:
    number = attribute_of(element, "val", "pPr", "numPr", "numId")
    level = attribute_of(element, "val", "pPr", "numPr", "ilvl") or "0"
    return (number, int(level)) if number and level.isdigit() else None
