"""Word documents (docx), straight from their XML: no text run is lost on the way through a document model.

Blocks have no pages: the file does not store them. `w:lastRenderedPageBreak` is where Word broke a page when it last
laid the text out, before the edits since and on another printer's paper; other programs leave it out. A page that is
cited must be right, so none is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.drawing import POINTERS, RelatedText, description_of
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.equations import equation_text
from penstock.parsing.formats.ooxml import (
    Element,
    Package,
    attribute,
    child,
    children,
    forget,
    local_name,
    open_package,
    shown_variant,
)
from penstock.parsing.formats.word_fields import field_result, fills_in
from penstock.parsing.formats.word_lists import ListLabels

_UNSHOWN = frozenset(
    {
        "del", "moveFrom",  # text that tracked changes took away
        "instrText", "delText", "delInstrText", "fldData",  # field codes; their results are ordinary runs
        "txbxContent",  # text boxes: Blocks of their own
        "pPr", "rPr", "tblPr", "tcPr", "trPr", "sdtPr", "sectPr",
    }
)  # fmt: skip
_MARKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BEFORE = {"header": Origin.HEADER}
_AFTER = {
    "footer": Origin.FOOTER,
    "footnotes": Origin.FOOTNOTE,
    "endnotes": Origin.ENDNOTE,
    "comments": Origin.COMMENT,
}
_NOTES = {"footnoteReference": "footnote", "endnoteReference": "endnote"}
_CONTAINERS = frozenset(
    {"body", "sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "AlternateContent", "Choice"},
)

WIDEST_SPAN = 64
"""Columns; Word has no more of them."""


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str | None
    level: int | None
    numbering: tuple[str, int] | None


@dataclass
class _NoteMarks:
    """The numbers of foot- and endnotes, which Word counts in the order of their references."""

    by_id: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def of_reference(self, reference: Element) -> str:
        """`[3]` where the text refers to its third note; endnotes have letters of their own: `[e3]`."""
        kind = _NOTES[local_name(reference)]
        key = (kind, attribute(reference, "id") or "")
        if key not in self.by_id:
            number = 1 + sum(known == kind for known, _ in self.by_id)
            self.by_id[key] = f"[e{number}]" if kind == "endnote" else f"[{number}]"
        return self.by_id[key]

    def of_note(self, note: Element) -> str:
        """What its reference shows; empty for a note that nothing refers to."""
        return self.by_id.get((local_name(note), attribute(note, "id") or ""), "")


@dataclass(frozen=True, slots=True)
class _Document:
    """What a paragraph is read by."""

    package: Package
    part: str
    related: RelatedText
    styles: Mapping[str, _Style]
    labels: ListLabels
    notes: _NoteMarks
    embedded: EmbeddedFiles


def read_word(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    """Headers, the body as a stream, then footers, notes, comments and embedded files.

    Charts and diagrams follow their paragraph; a document that another program put in place of a paragraph
    (`w:altChunk`) is part of the body.
    """
    with open_package(path) as package:
        main = package.main_part
        document = _Document(
            package=package,
            part=main,
            related=RelatedText(package, main),
            styles=_styles(package, main),
            labels=ListLabels.read(package, main),
            notes=_NoteMarks(),
            embedded=embedded,
        )
        for kind, origin in _BEFORE.items():
            yield from _beside_body(document, kind, origin)
        yield from _body(document)
        yield from document.related.rest()
        for kind, origin in _AFTER.items():
            yield from _beside_body(document, kind, origin)
        for part in (main, *package.related(main, *_BEFORE, *_AFTER)):
            yield from embedded.of_part(package, part)


def _body(document: _Document) -> Iterator[Block]:
    """Top-level paragraphs and tables, each freed when it is done."""
    depth = 0
    for event, element in document.package.stream(document.part, "p", "tbl", "altChunk", starts=True):
        depth += 1 if event == "start" else -1
        if event == "end" and depth == 0:
            filled_in = any(map(fills_in, element.iterancestors("{*}sdt")))
            for block in _element_blocks(element, document):
                yield replace(block, origin=Origin.FORM_FIELD) if filled_in else block
            forget(element)


def _beside_body(document: _Document, kind: str, origin: Origin) -> Iterator[Block]:
    """Headers, footers, notes, comments: each note with the mark that stands in the text for it."""
    package = document.package
    for part in package.related(document.part, kind):
        inside = replace(document, part=part, related=RelatedText(package, part))
        root = package.parse(part)
        notes = list(children(root, "footnote", "endnote", "comment"))
        for note in notes or [root]:
            mark = document.notes.of_note(note)
            for block in _visible(_blocks(note, inside)):
                yield Block(f"{mark} {block.text}".lstrip(), BlockKind.PAGE_FURNITURE, origin=origin)
                mark = ""


def _blocks(container: Element, document: _Document) -> Iterator[Block]:
    for element in container:
        yield from _element_blocks(element, document)


def _element_blocks(element: Element, document: _Document) -> Iterator[Block]:
    name = local_name(element)
    if name == "p":
        yield _paragraph(element, document)
        yield from _anchored_blocks(element, document)
    elif name == "tbl":
        yield from _table(element, document)
    elif name == "AlternateContent":
        yield from _blocks(shown_variant(element), document)
    elif name == "altChunk":
        yield from _other_document(element, document)
    elif name == "sdt" and fills_in(element):
        yield from (replace(block, origin=Origin.FORM_FIELD) for block in _inside(element, document))
    elif name not in _UNSHOWN:
        yield from _blocks(element, document)


def _other_document(chunk: Element, document: _Document) -> Iterator[Block]:
    """HTML, RTF, another docx: Word turns it into paragraphs of its own when it next saves the file."""
    package, reference = document.package, attribute(chunk, "id")
    for each in package.relationships(document.part):
        if each.id == reference and each.kind == "aFChunk":
            blocks = document.embedded.content(PurePosixPath(each.target).name, partial(package.read, each.target))
            yield from (replace(block, page=None) for block in blocks)


def _inside(control: Element, document: _Document) -> Iterator[Block]:
    content = child(control, "sdtContent")
    return _blocks(content, document) if content is not None else iter(())


def _paragraph(element: Element, document: _Document) -> Block:
    text = "".join(_inline(element, document)).strip()
    style = _style_chain(document.styles, attribute_of(element, "val", "pPr", "pStyle"))
    level = _heading_level(element, style)
    label = document.labels.next_label(_numbering(element, style)) if text else None
    if level:
        return Block(f"{label} {text}" if label else text, BlockKind.HEADING, level)
    if label is not None:
        return Block(f"{label} {text}".strip(), BlockKind.LIST_ITEM)
    return Block(text, origin=Origin.HIDDEN if text and _is_hidden(element) else Origin.BODY)


def _inline(element: Element, document: _Document) -> Iterator[str]:
    """The text of runs, in order; the depth of XML is bounded by the parser, so that recursion is safe."""
    for each in element:
        name = local_name(each)
        if name == "t":
            yield each.text or ""
        elif name in _MARKS:
            yield _MARKS[name]
        elif name == "AlternateContent":
            yield from _inline(shown_variant(each), document)
        elif read := _SPECIAL.get(name):
            yield read(each, document)
        elif name not in _UNSHOWN:
            yield from _inline(each, document)


def _is_hidden(paragraph: Element) -> bool:
    """Whether all runs with text are formatted as hidden."""
    runs = [run for run in paragraph.iter("{*}r") if child(run, "t") is not None]
    return bool(runs) and all(_is_on(child(run, "rPr", "vanish")) for run in runs)


def _is_on(toggle: Element | None) -> bool:
    return toggle is not None and attribute(toggle, "val") not in ("0", "false", "off")


def _anchored_blocks(paragraph: Element, document: _Document) -> Iterator[Block]:
    """The text boxes, charts and diagrams that hang on a paragraph, in their order."""
    for anchored in _anchored(paragraph):
        if local_name(anchored) == "txbxContent":
            yield from _blocks(anchored, document)
        else:
            yield from document.related.at(anchored)


def _anchored(paragraph: Element) -> Iterator[Element]:
    """The outermost text boxes, and pointers to charts and diagrams, each in one of its variants."""
    pending = [paragraph]
    while pending:
        element = pending.pop()
        name = local_name(element)
        if name == "txbxContent" or name in POINTERS:
            yield element
        elif name == "AlternateContent":
            pending += reversed(shown_variant(element))
        elif name not in ("del", "moveFrom"):
            pending += reversed(element)


def _table(table: Element, document: _Document) -> Iterator[Block]:
    """One Block a row. A row with a single filled cell is layout: its content is read as if there were no table."""
    rows = list(_table_rows(table))
    names_columns = _names_columns(table, rows)
    for row in rows:
        cells = [(_span(cell), list(_visible(_blocks(cell, document)))) for cell in _row_cells(row)]
        filled = [cell for _, cell in cells if cell]
        if len(filled) == 1:
            yield from filled[0]
        elif filled:
            yield replace(table_row(_texts_by_column(cells)), names_columns=names_columns(row))


def _names_columns(table: Element, rows: Sequence[Element]) -> Callable[[Element], bool]:
    """Says of each row that is asked for, in order, whether it names the columns.

    These are the rows that Word repeats on each page; else the first, unless the table's look sets none apart.
    """
    if any(_is_repeated(row) for row in rows):
        return _is_repeated
    look = child(table, "tblPr", "tblLook")
    first_is_apart = look is None or attribute(look, "firstRow") not in ("0", "false")
    asked = iter([first_is_apart])
    return lambda row: next(asked, False) and row is not rows[-1]


def _is_repeated(row: Element) -> bool:
    return _is_on(child(row, "trPr", "tblHeader"))


def _texts_by_column(cells: Iterable[tuple[int, list[Block]]]) -> Iterator[str]:
    """A cell over several columns leaves empty ones behind it, so that what follows keeps its column."""
    for span, blocks in cells:
        yield " ".join(block.text for block in blocks)
        yield from [""] * (span - 1)


def _span(cell: Element) -> int:
    columns = attribute_of(cell, "val", "tcPr", "gridSpan") or "1"
    return min(max(int(columns), 1), WIDEST_SPAN) if columns.isdecimal() else 1


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


def _symbol(element: Element, _: _Document) -> str:
    """A character of a symbol font; those in the private area mean nothing outside of it."""
    code = int(attribute(element, "char") or "0", 16)
    return chr(code) if 0x20 < code < 0xD800 else "•" if code >= 0xE000 else ""


def _description(element: Element, _: _Document) -> str:
    text = description_of(element)
    return f" {text} " if text else ""


def _word_art(element: Element, _: _Document) -> str:
    """Text along a line, which the old WordArt keeps in an attribute: most watermarks."""
    return f" {element.get('string', '')} "


def _note_mark(element: Element, document: _Document) -> str:
    return document.notes.of_reference(element)


def _with_reading(ruby: Element, document: _Document) -> str:
    """A word and in brackets how it is read, as HTML's `rp` writes it where there is no room above the line."""
    base, reading = (child(ruby, name) for name in ("rubyBase", "rt"))
    texts = ("".join(_inline(each, document)) if each is not None else "" for each in (base, reading))
    word, spoken = texts
    return f"{word}({spoken})" if spoken else word


_SPECIAL: Mapping[str, Callable[[Element, _Document], str]] = {
    "sym": _symbol,
    "docPr": _description,
    "textpath": _word_art,
    "footnoteReference": _note_mark,
    "endnoteReference": _note_mark,
    "ruby": _with_reading,
    "oMath": lambda element, _: equation_text(element),
    "ffData": lambda element, _: field_result(element),
}
"""Elements of a paragraph that are more than their runs."""


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
