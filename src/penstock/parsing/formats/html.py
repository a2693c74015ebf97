"""HTML, read as a stream of tags: a page of any size or depth fits in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile
from penstock.parsing.encoding import SAMPLE_BYTES, declared_encoding, find_encoding, lines, read_sample
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.plain import LONGEST_PARAGRAPH

_UNSEEN = frozenset({"script", "style", "noscript", "template", "iframe", "object", "svg", "datalist", "nav"})
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
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def read_html(path: Path) -> Iterator[Block]:
    sample = read_sample(path, SAMPLE_BYTES)
    encoding = declared_encoding(sample) or find_encoding(sample)
    return html_blocks(lines(path, encoding))


def html_blocks(pieces: Iterator[str]) -> Iterator[Block]:
    """The Blocks of a page whose source comes in pieces. Raises `CorruptFile` if no parser gets through it."""
    page = _Page()
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
    yield from page.take()


@dataclass
class _Row:
    """A table row that is open."""

    cells: list[str] = field(default_factory=list[str])
    open: bool = False
    """Whether we are inside one of its cells."""
    layout: bool = False
    """Its cells hold headings, lists or tables: they are read one after the other as if there were no table."""


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
    rows: list[_Row] = field(default_factory=list[_Row])
    unseen: list[bool] = field(default_factory=list[bool])
    """For each open element, whether it and all inside it are invisible."""

    def take(self) -> list[Block]:
        ready, self.ready = self.ready, []
        return ready

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.unseen.append(self._hidden or _is_unseen(tag, attributes))
        if not self._hidden:
            self._start_seen(tag, attributes)

    def end(self, tag: str) -> None:
        hidden = self.unseen.pop() if self.unseen else False
        if hidden:
            return
        if tag == "tr":
            self._end_row()
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag in _BLOCKS or tag in _HEADINGS or tag in _KINDS or tag == "title":
            self._boundary()
        if tag in _LISTS and self.lists:
            self.lists.pop()

    def data(self, data: str) -> None:
        if self._hidden:
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

    @property
    def _hidden(self) -> bool:
        return bool(self.unseen) and self.unseen[-1]

    @property
    def _in_cell(self) -> bool:
        return bool(self.rows) and not self.rows[-1].layout

    def _start_seen(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "br":
            self.held.append("\n" if self.kind is BlockKind.CODE else _BREAK)
        elif tag == "img":
            self.held.append(f" {attributes.get('alt', '')} ")
        elif tag == "tr":
            self._boundary()
            self.rows.append(_Row())
        elif tag in ("td", "th"):
            self._start_cell()
        elif tag == "title":
            self._boundary(BlockKind.PAGE_FURNITURE)
        elif tag in _HEADINGS:
            self._boundary(BlockKind.HEADING, _HEADINGS[tag])
        elif tag in _BLOCKS or tag in _KINDS:
            self._boundary(_KINDS.get(tag, BlockKind.PARAGRAPH), layout=tag in _LAYOUT)
            self._count(tag, attributes)

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

    def _become_layout(self, row: _Row) -> None:
        row.layout = True
        self.ready += [Block(cell) for cell in row.cells]
        row.cells = []
        self.kind, self.level = BlockKind.PARAGRAPH, 0

    def _start_cell(self) -> None:
        self._end_cell()
        if self._in_cell:
            self.rows[-1].open = True

    def _end_cell(self) -> None:
        """A cell ends: by its end tag, or by the next cell or the row's end where that is missing."""
        if not self._in_cell:
            self._boundary()
        elif self.rows[-1].open:
            self.rows[-1].cells.append(one_line("".join(self.held).replace(_BREAK, " ")))
            self.rows[-1].open = False
            self.held, self.size = [], 0

    def _end_row(self) -> None:
        if self.rows:
            self._end_cell()
            row = self.rows.pop()
            self._write_row(row)
            self.kind, self.level = BlockKind.PARAGRAPH, 0

    def _write_row(self, row: _Row) -> None:
        cells = [cell for cell in row.cells if cell]
        if self._in_cell:
            self._become_layout(self.rows[-1])
        if len(cells) == 1:
            self.ready.append(Block(cells[0]))
        elif cells:
            self.ready.append(table_row(row.cells))


def _is_unseen(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element is not shown, or only leads elsewhere: menus are no part of what a page says."""
    return (
        tag in _UNSEEN
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") == "navigation"
        or _HIDDEN.search(attributes.get("style", "")) is not None
    )


def _with_breaks(text: str) -> str:
    return "\n".join(one_line(part) for part in text.split(_BREAK))
