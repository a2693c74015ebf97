"""All text in the parts of an Office file, taken without looking at what it is for: the count that readers are held to.

It follows every relationship but those to parts that hold no text of the document, and takes every text element of
every part in one variant of each alternative, without what tracked changes took away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile
from penstock.parsing import media_type as types
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.equations import equation_text
from penstock.parsing.formats.number_format import NumberFormats
from penstock.parsing.formats.ooxml import Element, Package, forget, local_name, open_package
from penstock.parsing.formats.sheets import sheets_in_order
from penstock.parsing.formats.slides import slides_in_order

_WITHOUT_TEXT = frozenset(
    {
        "styles", "stylesWithEffects", "numbering", "settings", "webSettings", "fontTable", "theme", "themeOverride",
        "slideLayout", "slideMaster", "notesMaster", "handoutMaster", "glossaryDocument",  # prompts and stock texts
        "diagramDrawing", "diagramLayout", "diagramQuickStyle", "diagramColors",  # a diagram's text is in its data
        "sharedStrings",  # counted where cells show them
        "pivotCacheDefinition", "pivotTable", "externalLink", "connections", "calcChain", "customXml",
        "table", "tableSingleCells", "queryTable", "sheetMetadata", "volatileDependencies", "xmlMaps", "tags",
    }
)  # fmt: skip
_ORIGINS = {
    "header": Origin.HEADER,
    "footer": Origin.FOOTER,
    "footnotes": Origin.FOOTNOTE,
    "endnotes": Origin.ENDNOTE,
    "comments": Origin.COMMENT,
    "threadedComment": Origin.COMMENT,
    "notesSlide": Origin.SPEAKER_NOTES,
}
_PARAGRAPHS = frozenset({"p", "text"})
_GAPS = frozenset({"br", "cr", "tab", "ptab", "noBreakHyphen", "sym", "footnoteReference", "endnoteReference", "docPr"})
"""What parts one word from the next."""
_VARIANTS = frozenset({"Choice", "Fallback"})
_TAKEN_AWAY = frozenset({"del", "moveFrom"})
_POINTERS = frozenset({"chart", "relIds", "OLEObject", "oleObj"})
_TAGS = (*_PARAGRAPHS, *_GAPS, *_VARIANTS, *_TAKEN_AWAY, *_POINTERS, "t", "rt", "oMath", "AlternateContent")

Scan = Callable[[Path], Iterator[Block]]


def scan_word(path: Path) -> Iterator[Block]:
    """Every paragraph of every part, each as a Block with its origin."""
    with open_package(path) as package:
        yield from _package(package, {})


def scan_slides(path: Path) -> Iterator[Block]:
    """As `scan_word`, with the slide as page."""
    with open_package(path) as package:
        yield from _package(package, {part: page for page, part in enumerate(slides_in_order(package), start=1)})


def scan_sheets(path: Path) -> Iterator[Block]:
    """Every cell as it is shown, and every paragraph of drawings and comments, with the sheet as page."""
    with open_package(path) as package:
        main = package.main_part
        sheets = {sheet.part: page for page, sheet in enumerate(sheets_in_order(package, main), start=1)}
        yield from _cells(package, main, sheets)
        yield from _package(package, sheets, counted=sheets)


SCANS: Mapping[str, Scan] = {types.DOCX: scan_word, types.PPTX: scan_slides, types.XLSX: scan_sheets}


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    page: int | None
    origin: Origin


def _package(package: Package, pages: Mapping[str, int], *, counted: Collection[str] = ()) -> Iterator[Block]:
    for part in _parts(package, pages):
        if part.name.lower().endswith(".xml") and part.name not in counted:
            kind = BlockKind.PARAGRAPH if part.origin is Origin.BODY else BlockKind.PAGE_FURNITURE
            for text in _texts(package, part.name):
                yield Block(text, kind, page=part.page, origin=part.origin)


def _parts(package: Package, pages: Mapping[str, int]) -> Iterator[_Part]:
    """Each part that can be reached, in the order of its distance from the main part."""
    pending = deque([_Part(package.main_part, None, Origin.BODY)])
    seen: set[str] = set()
    while pending:
        part = pending.popleft()
        if part.name in seen:
            continue
        seen.add(part.name)
        yield part
        related = [each for each in package.relationships(part.name) if each.target in package]
        has_threads = any(each.kind == "threadedComment" for each in related)
        for each in related:
            # A slide that the presentation does not list was deleted; a thread is repeated as a comment.
            left_out = (each.kind == "slide" and each.target not in pages) or (has_threads and each.kind == "comments")
            if each.kind not in _WITHOUT_TEXT and not left_out:
                page = pages.get(each.target, part.page)
                pending.append(_Part(each.target, page, _ORIGINS.get(each.kind, part.origin)))


@dataclass
class _Text:
    """What was met on the way through a part."""

    paragraphs: list[list[str]] = field(default_factory=list[list[str]])
    """The texts of the open ones, outermost first."""
    said: list[bool] = field(default_factory=list[bool])
    """Of each open alternative, whether a variant said something already."""
    unread: list[bool] = field(default_factory=list[bool])
    """Of each open variant, and of what was taken away, whether it is passed over."""
    equations: int = 0

    def start(self, element: Element) -> None:
        name = local_name(element)
        if name in _PARAGRAPHS:
            self.paragraphs.append([])
        elif name == "AlternateContent":
            self.said.append(False)
        elif name in _VARIANTS or name in _TAKEN_AWAY:
            self.unread.append(name in _TAKEN_AWAY or any(self.said[-1:]))
        elif name == "oMath":
            self.equations += 1
        elif name in _GAPS or name == "rt":
            self._add(" ")

    def end(self, element: Element) -> str:
        """The text of a paragraph that ends here, or of a text outside of any."""
        name = local_name(element)
        if name in _PARAGRAPHS:
            return "".join([*self.paragraphs.pop(), (element.text or "") if name == "text" else ""])
        if name == "AlternateContent":
            self.said.pop()
        elif name in _VARIANTS or name in _TAKEN_AWAY:
            self.unread.pop()
        elif name == "oMath":
            self.equations -= 1
            return self._say(equation_text(element))
        elif name == "rt":
            self._add(" ")
        elif name == "t" and not self.equations:
            return self._say(element.text or "")
        elif name in _POINTERS:
            self._say("")
        return ""

    def _say(self, text: str) -> str:
        """Takes a text into its paragraph; gives it back where there is none."""
        if any(self.unread) or self.equations:
            return ""
        self.said = [True for _ in self.said]
        return "" if self._add(text) else text

    def _add(self, text: str) -> bool:
        if self.paragraphs and not any(self.unread):
            self.paragraphs[-1].append(text)
        return bool(self.paragraphs)


def _texts(package: Package, part: str) -> Iterator[str]:
    """The paragraphs of a part, the innermost first."""
    text = _Text()
    try:
        for event, element in package.stream(part, *_TAGS, starts=True):
            if event == "start":
                text.start(element)
            elif found := text.end(element).strip():
                yield found
            if event == "end" and not text.paragraphs and not text.said:
                forget(element)
    except CorruptFile:
        return  # what is behind the damage nobody can count; a part that the reader needs fails there


def _cells(package: Package, main: str, sheets: Mapping[str, int]) -> Iterator[Block]:
    """A Block for each row; which cell is in which column is not looked at."""
    strings, formats = _strings(package, main), NumberFormats.read(package, main)
    for part, page in sheets.items():
        for _, row in package.stream(part, "row"):
            yield table_row(filter(None, (_cell(cell, strings, formats) for cell in row)), page)
            forget(row)


def _cell(cell: Element, strings: list[str], formats: NumberFormats) -> str:
    kind, text = cell.get("t", "n"), ""
    for each in cell:
        if str(each.tag).endswith("}v"):
            text = each.text or ""
    if kind == "s":
        return strings[int(text)] if text.isdecimal() and int(text) < len(strings) else ""
    if kind == "inlineStr":
        return _item(cell)
    return formats.shown(text, cell.get("s")) if kind == "n" and text else "" if kind == "b" else text


def _strings(package: Package, main: str) -> list[str]:
    strings: list[str] = []
    for part in package.related(main, "sharedStrings"):
        for _, element in package.stream(part, "si"):
            strings.append(_item(element))
            forget(element)
    return strings


def _item(element: Element) -> str:
    """All texts but the phonetic guides (`rPh`), which repeat them in another script."""
    texts = (each for each in element.iter("{*}t") if next(each.iterancestors("{*}rPh"), None) is None)
    return one_line("".join(each.text or "" for each in texts))
