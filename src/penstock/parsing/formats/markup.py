"""Markdown and other markup that is read line by line: reStructuredText, Org, LaTeX, AsciiDoc.

The text is kept as written but for the marks of headings and list items: the source is meant to be readable,
and an interpreter of macros, includes and directives would lose text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.encoding import lines
from penstock.parsing.formats.plain import LONGEST_PARAGRAPH

_ATX = re.compile(r" {0,3}(#{1,6})(?![^ \t\n])(.*)")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*\n?$")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_TABLE_RULE = re.compile(r"[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+\n?$")
_FRONT_MATTER = re.compile(r"[\w-]+[ \t]*:")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*\n?$")
_COMMENT_ONLY = re.compile(r"[ \t]*<!--.*?-->[ \t]*\n?$")
_ORG_HEADING = re.compile(r"(\*+)[ \t]+(.*)")
_ASCIIDOC_HEADING = re.compile(r"(={1,6})[ \t]+(\S.*)")
_LATEX_HEADING = re.compile(
    r"[ \t]*\\(part|chapter|(?:sub){0,2}section|paragraph|title)\*?(?:\[[^\]]*\])?\{(.*)\}[ \t]*$"
)
_LATEX_LEVELS = {"title": 1, "part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
_RST_RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}[ \t]*\n?$")


def read_markdown(path: Path) -> Iterator[Block]:
    return markdown_blocks(lines(path))


def markdown_blocks(source: Iterable[str], page: int | None = None) -> Iterator[Block]:
    """The Blocks of lines of Markdown."""
    for block in _MarkdownReader().read(source):
        yield block if page is None else replace(block, page=page)


@dataclass
class _MarkdownReader:
    """Gathers lines into one open Block at a time."""

    held: list[str] = field(default_factory=list[str])
    size: int = 0
    kind: BlockKind = BlockKind.PARAGRAPH
    fence: str = ""
    has_header: bool = False
    """Whether the open table had its first row, which names its columns."""

    def read(self, source: Iterable[str]) -> Iterator[Block]:
        lines = iter(source)
        opening = list(itertools.islice(lines, 2))
        if len(opening) == 2 and opening[0].rstrip() == "---" and _FRONT_MATTER.match(opening[1]):
            self.fence = "---"
            del opening[0]
        for line in itertools.chain(opening, lines):
            yield from self._fenced(line) if self.fence else self._line(line)
            if self.size > LONGEST_PARAGRAPH:
                yield from self._flush(self.kind)
        yield from self._flush()

    def _fenced(self, line: str) -> Iterator[Block]:
        if line.strip().startswith(self.fence) and not line.strip().strip(self.fence[0]):
            self.fence = ""
            yield from self._flush()
        else:
            self._hold(line)

    def _line(self, line: str) -> Iterator[Block]:
        if not line.strip() or _COMMENT_ONLY.match(line):
            yield from self._flush()
            self.has_header = False
        elif fence := _FENCE.match(line):
            yield from self._flush(BlockKind.CODE)
            self.fence = fence[1]
        elif heading := _ATX.match(line):
            yield from self._flush()
            yield Block(_without_closing(heading[2]), BlockKind.HEADING, len(heading[1]))
        elif self.held and self.kind is BlockKind.PARAGRAPH and (rule := _SETEXT.match(line)):
            yield from self._heading_above(1 if rule[1][0] == "=" else 2)
        elif _RULE.match(line):
            yield from self._flush()
        else:
            yield from self._in_flow(line)

    def _in_flow(self, line: str) -> Iterator[Block]:
        if line.lstrip().startswith("|") or (self.kind is BlockKind.TABLE_ROW and "|" in line):
            yield from self._flush(BlockKind.TABLE_ROW)
            if not _TABLE_RULE.match(line):
                self._hold(_markdown_row(line))
        elif "|" in line and self.held and _TABLE_RULE.match(line):
            header = self.held.pop()
            yield from self._flush(BlockKind.TABLE_ROW)
            self._hold(_markdown_row(header))
        elif item := _ITEM.match(line):
            yield from self._flush(BlockKind.LIST_ITEM)
            self._hold(line[item.end() :] if not item[0].strip()[0].isdigit() else line)
        else:
            if self.kind is BlockKind.TABLE_ROW:
                yield from self._flush()
            self._hold(line)

    def _heading_above(self, level: int) -> Iterator[Block]:
        title = self.held.pop()
        yield from self._flush()
        yield Block(title, BlockKind.HEADING, level)

    def _hold(self, line: str) -> None:
        self.held.append(line)
        self.size += len(line)

    def _flush(self, kind: BlockKind = BlockKind.PARAGRAPH) -> Iterator[Block]:
        """The Block gathered so far; the next one is of `kind`."""
        if self.held:
            is_row = self.kind is BlockKind.TABLE_ROW
            yield Block("".join(self.held), self.kind, names_columns=is_row and not self.has_header)
            self.has_header = is_row
        self.held, self.size, self.kind = [], 0, kind


def _without_closing(title: str) -> str:
    """The title of a heading without the marks that may close it, which stand apart from its words."""
    text = title.strip()
    shorn = text.rstrip("#")
    return shorn.rstrip() if not shorn or shorn[-1] in " \t" else text


def read_rst(path: Path) -> Iterator[Block]:
    """Headings are lines with a rule under them; their rank is the order in which the rules' marks appear."""
    ranks: dict[str, int] = {}

    def heading(above: str, line: str) -> tuple[str, int] | None:
        rule = _RST_RULE.match(line)
        if not rule or not above.strip() or len(line.rstrip()) < len(above.rstrip()) or _RST_RULE.match(above):
            return None
        return above, ranks.setdefault(rule[1], len(ranks) + 1)

    return _with_headings(lines(path), under=heading)


def read_org(path: Path) -> Iterator[Block]:
    return _with_headings(lines(path), on=lambda line: _starred(_ORG_HEADING.match(line)))


def read_asciidoc(path: Path) -> Iterator[Block]:
    return _with_headings(lines(path), on=lambda line: _starred(_ASCIIDOC_HEADING.match(line)))


def read_latex(path: Path) -> Iterator[Block]:
    def heading(line: str) -> tuple[str, int] | None:
        found = _LATEX_HEADING.match(line)
        return (found[2], _LATEX_LEVELS[found[1]]) if found else None

    return _with_headings((line for line in lines(path) if not line.lstrip().startswith("%")), on=heading)


def _starred(found: re.Match[str] | None) -> tuple[str, int] | None:
    return (found[2], len(found[1])) if found else None


def _with_headings(
    source: Iterable[str],
    *,
    on: Callable[[str], tuple[str, int] | None] = lambda _: None,
    under: Callable[[str, str], tuple[str, int] | None] = lambda _above, _line: None,
) -> Iterator[Block]:
    """Paragraphs between blank lines, with headings found on a line of their own or by the rule under them."""
    held: list[str] = []
    size = 0
    for line in source:
        title = on(line) or (under(held[-1], line) if held else None)
        if title and not on(line):
            held.pop()
        if held and (title or not line.strip() or size > LONGEST_PARAGRAPH):
            yield Block("".join(held))
            held, size = [], 0
        if title:
            yield Block(title[0], BlockKind.HEADING, title[1])
        else:
            held.append(line)
            size += len(line)
    yield Block("".join(held))


def _markdown_row(line: str) -> str:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return " | ".join(cell.strip() for cell in cells)
