"""XML that is no office format: feeds, articles, filings. The text of its elements, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile
from penstock.parsing.encoding import declared_encoding, find_encoding, lines, read_sample
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.html import html_blocks
from penstock.parsing.formats.plain import LONGEST_PARAGRAPH

_TITLES = frozenset({"title", "article-title", "heading", "head"})
_INLINE = frozenset(
    {
        "a", "b", "bold", "i", "italic", "em", "strong", "sub", "sup", "span", "u", "code", "tt", "xref", "ext-link",
        "styled-content", "underline", "t", "r", "inline",
    }
)  # fmt: skip
"""Elements that stand inside a sentence in the vocabularies in use."""
_NO_TEXT = frozenset({"", "binData", "binaryData", "binary-data", "instrText", "delText"})
"""Pictures as base64, field codes and deletions in the XML that office programs save."""
_SETTINGS = ("{urn:schemas-microsoft-com:office:office}", "{urn:schemas-microsoft-com:office:excel}")
_SHOWN_SETTINGS = frozenset({"Title", "Subject", "Author", "Keywords", "Description", "Company"})
"""Of what office programs note beside the text."""
_CELLS = "{urn:schemas-microsoft-com:office:spreadsheet}"
"""Namespace of Excel's XML of 2003."""
_MARKUP = re.compile(r"</(?:p|div|a|b|i|em|strong|span|li|h\d|td|table)>", re.IGNORECASE)


def read_xml(path: Path) -> Iterator[Block]:
    """A Block for each element with text of its own. Entities are not resolved, nothing outside the file is read.

    Raises `CorruptFile` where there is no XML at all; a file that was cut short gives what is there.
    """
    sample = read_sample(path)
    text = _Text()
    parser = etree.XMLParser(
        target=text,  # pyright: ignore[reportArgumentType] - the stubs ask for a target that takes bytes, too
        encoding="utf-8",
        recover=True,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
    )
    try:
        for line in lines(path, declared_encoding(sample) or find_encoding(sample)):
            parser.feed(line.encode("utf-8", "replace"))
            yield from text.take()
        parser.close()
    except etree.LxmlError as error:
        raise CorruptFile(f"The file is not sound XML ({error}).") from error
    text.flush()
    yield from text.take()


@dataclass
class _Text:
    """What the parser calls (an lxml parser target); collects Blocks."""

    ready: list[Block] = field(default_factory=list[Block])
    held: list[str] = field(default_factory=list[str])
    size: int = 0
    open: list[str] = field(default_factory=list[str])
    cells: list[str] | None = None
    """Of the row of a sheet that is open."""

    def take(self) -> list[Block]:
        ready, self.ready = self.ready, []
        return ready

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Attributes hold references and measures, hardly ever words."""
        del attributes
        name = tag.rpartition("}")[2]
        if tag == _CELLS + "Row":
            self.flush()
            self.cells = []
        elif name not in _INLINE and name not in _NO_TEXT:
            self.flush()
        self.open.append("" if tag.startswith(_SETTINGS) and name not in _SHOWN_SETTINGS else name)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if name not in _INLINE and name not in _NO_TEXT:
            self.flush()
        if tag == _CELLS + "Row" and self.cells is not None:
            self.ready.append(table_row(self.cells))
            self.cells = None
        if self.open:
            self.open.pop()

    def data(self, data: str) -> None:
        if self.open and self.open[-1] in _NO_TEXT:
            return
        self.held.append(data)
        self.size += len(data)
        if self.size > LONGEST_PARAGRAPH:
            self.flush()

    def comment(self, text: str) -> None:
        """Comments are not text of the document."""

    def close(self) -> None:
        """The parser is done."""

    def flush(self) -> None:
        text = "".join(self.held)
        self.held, self.size = [], 0
        if self.cells is not None and text.strip():
            self.cells.append(one_line(text))
        elif _MARKUP.search(text):  # feeds carry their articles as escaped HTML
            self.ready += html_blocks(iter([text]))
        elif text.strip():
            name = self.open[-1] if self.open else ""
            if name in _TITLES:
                self.ready.append(Block(one_line(text), BlockKind.HEADING, min(len(self.open), 6)))
            else:
                self.ready.append(Block(one_line(text)))
