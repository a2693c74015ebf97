"""HTML, read as a stream of tags: a page of any size or depth fits in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile
from penstock.parsing.encoding import SAMPLE_BYTES, declared_encoding, find_encoding, lines, read_sample
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.html_tables import Row, Table
from penstock.parsing.formats.plain import LONGEST_PARAGRAPH

_NO_TEXT = frozenset({"script", "style"})
_FALLBACKS = frozenset(
    {"noscript", "noframes", "iframe", "object", "audio", "video", "canvas", "datalist", "annotation", "annotation-xml"}
)
"""Their text is shown where a program cannot do better."""
_SECTIONS = frozenset({"article", "aside", "main", "section", "blockquote"})
"""A footer inside these is theirs, not the page's."""
_REPLACED = frozenset({"img", "input", "button", "textarea"})
"""What stands apart from the words beside it, even where there is no space between them."""
_TABLE_PARTS = frozenset({"table", "tr", "td", "th"})
_FORM_VALUES = frozenset({"", "text", "search", "email", "url", "tel", "number", "date", "submit", "button", "reset"})
"""Types of `input` whose value is text."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir",
        "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html",
        "legend", "main", "menu", "nav", "ol", "optgroup", "option", "p", "search", "section", "select", "summary",
        "table", "tbody", "tfoot", "thead", "ul",
    }
)  # fmt: skip
_KINDS = {"li": BlockKind.LIST_ITEM, "dd": BlockKind.LIST_ITEM, "pre": BlockKind.CODE}
_LISTS = frozenset({"ol", "ul", "menu", "dir", "dl"})
_LAYOUT = frozenset({"table", "ul", "ol", "pre", "form", *_HEADINGS})
"""What makes a table cell a part of the page's layout instead of a value."""
_BREAK = "\x1f"
"""Stands for `<br>` until white space is settled; no page can hold it, since it is not a character of HTML."""
MOST_MENUS = 64
"""Kept of a page that may turn out to have no other text."""
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def read_html(path: Path) -> Iterator[Block]:
    sample = read_sample(path, SAMPLE_BYTES)
    encoding = declared_encoding(sample) or find_encoding(sample)
    return html_blocks(lines(path, encoding))


def html_blocks(pieces: Iterator[str], *, with_menus: bool = False) -> Iterator[Block]:
    """The Blocks of a page whose source comes in pieces.

    Menus are left out unless asked for, or where the page has no other text. Raises `CorruptFile` if no parser
    gets through it.
    """
    page = _Page(with_menus=with_menus)
    # The text is decoded already: told so, the parser does not switch where the page declares something else.
    parser = etree.HTMLParser(
        target=page,  # pyright: ignore[reportArgumentType] - the stubs ask for a target that takes bytes, too
        encoding="utf-8",
        huge_tree=True,
    )
    try:
        for piece in pieces:
            parser.feed(piece.encode("utf-8", "replace"))
            yield from page.take()
        parser.close()
    except etree.LxmlError as error:
        raise CorruptFile(f"The page cannot be read as HTML ({error}).") from error
    page.flush()
    page.end_page()
    yield from page.take()


@dataclass
class _Aside:
    """A part of the page beside its flow: what is hidden, a menu, the page's footer. Read as a page of its own."""

    origin: Origin
    page: _Page
    is_menu: bool = False
    """Whether it only leads elsewhere, or repeats for sighted people what is said already."""
    depth: int = 0
    """Elements that are open inside it."""

    def block(self) -> Block:
        """What was gathered since the last time, as one Block."""
        return Block("\n".join(each.text for each in self.page.take()), BlockKind.PAGE_FURNITURE, origin=self.origin)


@dataclass
class _Page:
    """What the parser calls (an lxml parser target); collects Blocks."""

    ready: list[Block] = field(default_factory=list[Block])
    held: list[str] = field(default_factory=list[str])
    size: int = 0
    kind: BlockKind = BlockKind.PARAGRAPH
    level: int = 0
    label: str = ""
    """Number of the list item that begins with the next text; the page shows it but does not hold it."""
    lists: list[int | None] = field(default_factory=list[int | None])
    """For each open list the number of its last item; None where items have no numbers."""
    rows: list[Row] = field(default_factory=list[Row])
    tables: list[Table] = field(default_factory=list[Table])
    no_text: int = 0
    """Elements that are open and inside of which nothing is text."""
    pictures: int = 0
    """Drawings (`svg`) that are open."""
    sections: int = 0
    aside: _Aside | None = None
    later: list[Block] = field(default_factory=list[Block])
    """What stands beside a paragraph or a row that is still open."""
    is_aside: bool = False
    with_menus: bool = False
    menus: list[Block] = field(default_factory=list[Block])
    """Of a page that has had no other text yet."""
    has_text: bool = False

    def take(self) -> list[Block]:
        if self.aside and not self._is_inside:
            self._take_aside(self.aside, self.ready)
        ready, self.ready = self.ready, []
        self.has_text = self.has_text or any(_says_something(block) for block in ready)
        return ready

    def end_page(self) -> None:
        """The page is over: menus alone are better than nothing."""
        if not self.has_text and not any(map(_says_something, self.ready)):
            self.ready += self.menus

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self.aside:
            self.aside.depth += 1
            self.aside.page.start(tag, attributes)
        elif self.no_text or tag in _NO_TEXT or (tag == "template" and "shadowrootmode" not in attributes):
            self.no_text += 1
        elif not self.is_aside and (origin := _origin(tag, attributes, self.sections)):
            self.aside = _Aside(origin, _Page(is_aside=True), is_menu=_is_menu(tag, attributes))
            if tag in _BLOCKS and not self.rows:
                self._boundary()
        else:
            self.sections += tag in _SECTIONS
            self._start_seen(tag, attributes)

    def end(self, tag: str) -> None:
        if self.aside and self.aside.depth:
            self.aside.depth -= 1
            self.aside.page.end(tag)
        elif self.aside:
            self._end_aside(self.aside)
        elif self.no_text:
            self.no_text -= 1
        else:
            self.sections -= tag in _SECTIONS
            self._end_seen(tag)

    def data(self, data: str) -> None:
        if self.aside:
            self.aside.page.data(data)
            return
        if self.no_text:
            return
        self.held.append(data)
        self.size += len(data)
        if self.size > LONGEST_PARAGRAPH and not self._in_cell:
            self.flush()

    def comment(self, text: str) -> None:
        """Comments are not text of the page."""

    def close(self) -> None:
        """The parser is done."""

    def flush(self) -> None:
        """What was gathered becomes a Block."""
        text = "".join(self.held)
        self.held, self.size = [], 0
        if text.strip():
            shown = text.strip("\n") if self.kind is BlockKind.CODE else _with_breaks(text)
            self.ready.append(Block(self.label + shown, BlockKind.LIST_ITEM if self.label else self.kind, self.level))
            self.label = ""

        if not self._in_cell:
            self.ready += self.later
            self.later = []

    @property
    def _in_cell(self) -> bool:
        return bool(self.rows) and not self.rows[-1].layout

    @property
    def _is_inside(self) -> bool:
        """Whether a paragraph or a row is open, which must not be cut by what stands beside it."""
        return self._in_cell or any(map(str.strip, self.held))

    def _end_aside(self, aside: _Aside) -> None:
        aside.page.flush()
        self._take_aside(aside, self.later)
        self.aside = None
        if not self._is_inside:
            self.flush()

    def _take_aside(self, aside: _Aside, into: list[Block]) -> None:
        block = aside.block()
        if not aside.is_menu or self.with_menus:
            into.append(block)
        elif not self.has_text and len(self.menus) < MOST_MENUS:
            self.menus.append(block)

    def _start_seen(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "svg" or self.pictures:
            self.pictures += 1
            self.held.append(" ")
        elif tag == "br":
            self.held.append("\n" if self.kind is BlockKind.CODE else _BREAK)
        elif tag in _REPLACED:
            self.held.append(f" {_replaced(tag, attributes)} ")
        elif tag in _TABLE_PARTS:
            self._start_in_table(tag, attributes)
        elif tag == "meta":
            self._describe(attributes)
        elif tag == "title":
            self._boundary(BlockKind.PAGE_FURNITURE)
        elif tag in _HEADINGS:
            self._boundary(BlockKind.HEADING, _HEADINGS[tag])
        elif tag in _BLOCKS or tag in _KINDS:
            self._boundary(_KINDS.get(tag, BlockKind.PARAGRAPH), layout=tag in _LAYOUT)
            self._count(tag, attributes)

    def _start_in_table(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "table":
            self._boundary(layout=True)
            self.tables.append(Table())
        elif tag == "tr":
            self._boundary()
            self.rows.append(Row())
        else:
            self._start_cell(attributes)

    def _end_seen(self, tag: str) -> None:
        if self.pictures:
            self.pictures -= 1
            self.held.append(" ")
        elif tag == "tr":
            self._end_row()
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag in _BLOCKS or tag in _HEADINGS or tag in _KINDS or tag == "title":
            self._boundary()
        if tag in _LISTS and self.lists:
            self.lists.pop()
        if tag == "table" and self.tables:
            self.tables.pop()

    def _describe(self, attributes: Mapping[str, str]) -> None:
        """What the page says of itself to search engines."""
        if attributes.get("name", "").lower() == "description":
            self._boundary(BlockKind.PAGE_FURNITURE)
            self.held.append(attributes.get("content", ""))
            self._boundary()

    def _count(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Numbers the items of ordered lists."""
        if tag in _LISTS:
            start = attributes.get("start", "1")
            self.lists.append(int(start) - 1 if tag == "ol" and start.isdecimal() else None)
        elif tag == "li" and self.lists and self.lists[-1] is not None:
            self.lists[-1] += 1
            self.label = f"{self.lists[-1]}. "

    def _boundary(self, kind: BlockKind = BlockKind.PARAGRAPH, level: int = 0, *, layout: bool = False) -> None:
        """A Block ends here and another begins, unless we are inside a table cell that is a plain value."""
        if self._in_cell and (layout or level):
            self._become_layout(self.rows[-1])
        if self._in_cell:
            self.held.append(" ")
            return
        self.flush()
        self.kind, self.level = kind, level

    @property
    def _table(self) -> Table:
        """The innermost table; rows outside of any make one of their own."""
        if not self.tables:
            self.tables.append(Table())
        return self.tables[-1]

    def _become_layout(self, row: Row) -> None:
        row.layout = True
        self.ready += [Block(cell) for cell in row.cells]
        row.cells = []
        self.kind, self.level = BlockKind.PARAGRAPH, 0

    def _start_cell(self, attributes: Mapping[str, str]) -> None:
        self._end_cell()
        if self._in_cell:
            self._table.begin_cell(self.rows[-1], attributes)

    def _end_cell(self) -> None:
        """A cell ends: by its end tag, or by the next cell or the row's end where that is missing."""
        if not self._in_cell:
            self._boundary()
        elif self.rows[-1].open:
            self._table.end_cell(self.rows[-1], "".join(self.held).replace(_BREAK, " "))
            self.held, self.size = [], 0

    def _end_row(self) -> None:
        if self.rows:
            self._end_cell()
            row = self.rows.pop()
            if self._in_cell:
                self._become_layout(self.rows[-1])
            if block := self._table.end_row(row):
                self.ready.append(block)
            self.kind, self.level = BlockKind.PARAGRAPH, 0
            self.flush()


def _origin(tag: str, attributes: Mapping[str, str], sections: int) -> Origin | None:
    """Where an element stands if not in the flow of the page."""
    if tag == "nav" or attributes.get("role") == "navigation":
        return Origin.HEADER
    hidden = "hidden" in attributes or attributes.get("aria-hidden") == "true" or tag in _FALLBACKS
    if hidden or _HIDDEN.search(attributes.get("style", "")) or (tag == "dialog" and "open" not in attributes):
        return Origin.HIDDEN
    if attributes.get("role") == "contentinfo" or (tag == "footer" and not sections):
        return Origin.FOOTER
    return None


def _is_menu(tag: str, attributes: Mapping[str, str]) -> bool:
    """Menus are the same on each page of a site, and `aria-hidden` marks what is decoration, or said twice."""
    is_decoration = attributes.get("aria-hidden") == "true"
    return tag == "nav" or attributes.get("role") == "navigation" or is_decoration


def _says_something(block: Block) -> bool:
    """Whether it is more than the page's title."""
    return block.kind is not BlockKind.PAGE_FURNITURE and any(map(str.isalnum, block.text))


def _replaced(tag: str, attributes: Mapping[str, str]) -> str:
    """The text of an element that has it in its attributes."""
    if tag == "img":
        return attributes.get("alt", "")
    shown = tag == "input" and attributes.get("type", "").lower() in _FORM_VALUES
    return attributes.get("value", "") if shown else ""


def _with_breaks(text: str) -> str:
    return "\n".join(one_line(part) for part in text.split(_BREAK))
