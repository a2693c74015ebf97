"""Word 6 to 2003 ([MS-DOC]): the text of each story, and beside it what each paragraph is."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile
from penstock.parsing.compound import open_compound
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.legacy_word_file import LIST_OVERRIDES, LISTS, Story, WordFile
from penstock.parsing.formats.legacy_word_lists import list_labels
from penstock.parsing.formats.legacy_word_looks import (
    Look,
    PropertyPages,
    Styles,
    character_reader,
    paragraph_reader,
)
from penstock.parsing.formats.word_lists import ListLabels

_PARAGRAPH_ENDS = re.compile("[\r\x07\x0c]")
_FIELD_MARKS = re.compile("[\x13\x14\x15]")
_SPECIAL = str.maketrans({"\x0b": "\n", "\x1e": "-", "\x1f": "", "\xa0": " ", "\x0e": "\n"})
_SHOWN, _GONE, _HIDDEN = 0, 1, 2
"""What becomes of a character: the codes of fields are gone, what the program does not show is kept apart."""


@dataclass(frozen=True, slots=True)
class _Paragraph:
    text: str
    """What is shown, behind the label of a list's item."""
    hidden: str
    mark: str
    look: Look
    label: str | None = None
    """None where it is no item of a list, empty for a bullet."""


def read_legacy_word(path: Path) -> Iterator[Block]:
    """The body and its text boxes, then notes, comments, headers and footers.

    What was deleted while changes were tracked is kept with what is hidden, apart from its paragraph: nobody has
    accepted yet that it goes.
    """
    container = open_compound(path)
    try:
        document = _Document.of(WordFile(container))
        known: set[str] = set()
        for story in document.file.stories():
            yield from _once(document.blocks(story), story.origin, known)
    except (struct.error, IndexError) as error:
        raise CorruptFile("The document is damaged: its text cannot be found.") from error


def _once(blocks: Iterable[Block], origin: Origin, known: set[str]) -> Iterator[Block]:
    """Headers and footers of several sections are often the same."""
    if origin is Origin.BODY:
        yield from blocks
        return
    story = [replace(block, kind=BlockKind.PAGE_FURNITURE, level=0, names_columns=False) for block in blocks]
    text = "\n".join(block.text for block in story)
    if origin not in (Origin.HEADER, Origin.FOOTER) or text not in known:
        known.add(text)
        yield from (replace(each, origin=origin) if each.origin is Origin.BODY else each for each in story)


@dataclass
class _Document:
    """The file with what it says of its paragraphs and characters."""

    file: WordFile
    paragraphs: PropertyPages[Look]
    characters: PropertyPages[bool]
    labels: ListLabels
    default: Look = field(default_factory=Look)

    @classmethod
    def of(cls, file: WordFile) -> _Document:
        data, layout, is_old = file.data, file.layout, file.is_old
        styles = None if is_old else Styles(file.table(layout.styles))
        paragraphs = PropertyPages(
            data, file.table(layout.paragraphs), paragraph_reader(styles), is_old=is_old, entry=7 if is_old else 13
        )
        characters: PropertyPages[bool] = PropertyPages(
            data, file.table(layout.characters), character_reader(is_old=is_old), is_old=is_old, entry=1
        )
        return cls(file, paragraphs, characters, ListLabels({}) if is_old else _labels(file))

    def blocks(self, story: Story) -> Iterator[Block]:
        """The paragraphs of a story, with table rows put together."""
        table = _Table()
        for paragraph in self._paragraphs(story):
            if paragraph.mark != "\x07" and not paragraph.look.in_table:
                yield from table.end()
                yield _block(paragraph)
            else:
                yield from table.add(paragraph)
            if paragraph.hidden:
                yield Block(paragraph.hidden, BlockKind.PAGE_FURNITURE, origin=Origin.HIDDEN)
        yield from table.end()

    def _paragraphs(self, story: Story) -> Iterator[_Paragraph]:
        text = self.file.text(story.start, story.end)
        fates = self._fates(text, story)
        at = 0
        for mark in _PARAGRAPH_ENDS.finditer(text):
            if fates[mark.start()] == _GONE:
                continue  # the code of a field may have several paragraphs
            look = self.paragraphs.at(self.file.offset(story.start + mark.start())) or self.default
            yield self._labelled(_paragraph(text[at : mark.start()], fates[at : mark.start()], mark[0], look))
            at = mark.end()
        yield _paragraph(text[at:], fates[at:], "", self.default)

    def _labelled(self, paragraph: _Paragraph) -> _Paragraph:
        """With the number that Word shows; empty paragraphs between items have none."""
        item = (str(paragraph.look.list_number), paragraph.look.list_level)
        label = self.labels.next_label(item) if paragraph.text else None
        return replace(paragraph, text=f"{label} {paragraph.text}" if label else paragraph.text, label=label)

    def _fates(self, text: str, story: Story) -> bytearray:
        """What becomes of each character of a story."""
        fates = bytearray(len(text))
        for piece in self.file.pieces:
            start, end = max(piece.start, story.start), min(piece.end, story.end)
            if start >= end:
                continue
            first = piece.offset + (start - piece.start) * piece.width
            for begin, stop, _ in self.characters.within(first, first + (end - start) * piece.width):
                at = start - story.start + (begin - first) // piece.width
                length = (stop - begin) // piece.width
                fates[at : at + length] = bytes([_HIDDEN]) * length
        for begin, stop in _codes_of_fields(text):
            fates[begin:stop] = bytes([_GONE]) * (stop - begin)
        return fates[: len(text)]


def _block(paragraph: _Paragraph) -> Block:
    if level := paragraph.look.heading_level:
        return Block(" ".join(paragraph.text.split()), BlockKind.HEADING, level)
    return Block(paragraph.text, BlockKind.PARAGRAPH if paragraph.label is None else BlockKind.LIST_ITEM)


def _labels(file: WordFile) -> ListLabels:
    try:
        return list_labels(file.table_from(LISTS) if file.table(LISTS) else b"", file.table(LIST_OVERRIDES))
    except (struct.error, IndexError):
        return ListLabels({})  # the numbers of its lists are not worth the text of a document


def _codes_of_fields(text: str) -> Iterator[tuple[int, int]]:
    """Where the codes of fields are, which are not shown: from their start to what they result in.

    A field may begin in one paragraph and end in another, as tables of contents do. One that never ends is none.
    """
    open_fields: list[int] = []
    separators: list[int] = []
    for mark in _FIELD_MARKS.finditer(text):
        if mark[0] == "\x13":
            open_fields.append(mark.start())
            separators.append(-1)
        elif open_fields and mark[0] == "\x14" and separators[-1] < 0:
            separators[-1] = mark.start()
        elif open_fields and mark[0] == "\x15":
            begin, separator = open_fields.pop(), separators.pop()
            yield begin, (separator if separator >= 0 else mark.start()) + 1


def _paragraph(text: str, fates: bytearray, mark: str, look: Look) -> _Paragraph:
    if not any(fates):
        return _Paragraph(_settled(text), "", mark, look)
    shown = "".join(compress(text, (fate == _SHOWN for fate in fates)))
    hidden = "".join(compress(text, (fate == _HIDDEN for fate in fates)))
    return _Paragraph(_settled(shown), _settled(hidden), mark, look)


def _settled(text: str) -> str:
    return text.translate(_SPECIAL).strip()


@dataclass
class _Table:
    """A table that is open, as its cells come."""

    cells: list[str] = field(default_factory=list[str])
    cell: list[str] = field(default_factory=list[str])
    """The paragraphs of the open cell."""
    has_header: bool = False

    def add(self, paragraph: _Paragraph) -> Iterator[Block]:
        if paragraph.mark != "\x07":
            self.cell.append(paragraph.text)
        elif paragraph.look.row_end:
            yield self._row()
        else:
            self.cells.append(" ".join([*self.cell, paragraph.text]).strip())
            self.cell = []

    def end(self) -> Iterator[Block]:
        if self.cell or self.cells:
            self.cells.append(" ".join(self.cell))
            yield self._row()
        self.has_header = False

    def _row(self) -> Block:
        """A row with a single filled cell is layout, or a title."""
        cells, self.cells, self.cell = self.cells, [], []
        filled = [text for text in cells if text]
        if len(filled) == 1:
            return Block(filled[0])
        block = table_row(cells, names_columns=bool(filled) and not self.has_header)
        self.has_header = self.has_header or bool(filled)
        return block
