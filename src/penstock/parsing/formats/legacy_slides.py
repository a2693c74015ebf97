"""PowerPoint 97 to 2003 ([MS-PPT]): records inside records, found by the directory of the last save."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, PasswordProtected
from penstock.parsing.compound import CompoundFile, open_compound
from penstock.parsing.formats.delimited import table_row

# Record types.
NOTES_ATOM, SLIDE_PERSIST = 1009, 1011
SLIDE_LIST, USER_EDIT, PERSIST_DIRECTORY = 4080, 4085, 6002
TEXT_HEADER, TEXT_CHARS, TEXT_BYTES, OUTLINE_TEXT_REF = 3999, 4000, 4008, 3998
COMMENT, C_STRING = 12000, 4026
SLIDE_SHOW, HEADERS_FOOTERS = 1017, 4057
SHAPES, SHAPE, CHILD_ANCHOR = 0xF003, 0xF004, 0xF00F
PROPERTIES, MORE_PROPERTIES = 0xF00B, 0xF122

# Properties of shapes.
DESCRIPTION, TABLE = 0x0381, 0x039F
IS_COMPLEX = 0x8000
HIDDEN_SLIDE = 0x04
HEADER_STRING, FOOTER_STRING = 1, 2
"""Instances of the strings in what stands at a slide's edge."""

SLIDES, NOTES = 0, 2
"""Instances of the slide list."""
TITLE_TEXTS = (0, 6)
"""Kinds of text that are titles."""
ENCRYPTED_TOKEN = 0xF3D1C4DF
NUMBER_SIGN = "*"
"""Stands where the program shows the number of the slide."""
MAX_DEPTH = 64
MAX_PROPERTIES = 1_000
MAX_EDITS = 1_000


@dataclass(frozen=True, slots=True)
class _Record:
    kind: int
    instance: int
    data: memoryview
    is_container: bool


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    is_title: bool = False
    is_row: bool = False
    """A row of a table, with its cells' texts in `cells`."""
    cells: tuple[str, ...] = ()
    names_columns: bool = False


@dataclass(frozen=True, slots=True)
class _Listed:
    """A slide or a page of notes in the document's list, with the texts of its outline."""

    persist_id: int
    slide_id: int
    outline: list[_Text]


_NOTHING = _Record(0, 0, memoryview(b""), is_container=True)


def read_legacy_slides(path: Path) -> Iterator[Block]:
    """Each slide: its texts, its comments, its edges, its notes. What the last save no longer knows is not read."""
    container = open_compound(path)
    stream = memoryview(container.read("PowerPoint Document"))
    try:
        offsets, document_id = _last_save(container, stream)
        document = _record_at(stream, offsets[document_id])
        slides, notes = _listed(document, SLIDES), _listed(document, NOTES)
    except (struct.error, LookupError) as error:
        raise CorruptFile("The presentation is damaged: its directory of slides cannot be read.") from error
    noted = _notes_by_slide(stream, offsets, notes)
    for page, slide in enumerate(slides, start=1):
        offset = offsets.get(slide.persist_id)
        record = _record_at(stream, offset) if offset is not None else _NOTHING
        is_hidden = _is_hidden(record)
        for block in _slide_blocks(record, slide, page):
            yield replace(block, origin=Origin.HIDDEN) if is_hidden and block.origin is Origin.BODY else block
        for text in noted.get(slide.slide_id, []):
            for block in _text_blocks(text, page):
                yield Block(block.text, BlockKind.PAGE_FURNITURE, page=page, origin=Origin.SPEAKER_NOTES)


def _last_save(container: CompoundFile, stream: memoryview) -> tuple[dict[int, int], int]:
    """Where each persistent object is, by its number, and the document's number. Later saves hide earlier ones."""
    token, edit_at = struct.unpack_from("<II", container.read("Current User"), 12)
    if token == ENCRYPTED_TOKEN:
        raise PasswordProtected
    offsets: dict[int, int] = {}
    document_id = 0
    for _ in range(MAX_EDITS):
        edit = _record_at(stream, edit_at)
        if edit.kind != USER_EDIT:
            break
        previous, directory, number = struct.unpack_from("<8x3I", edit.data)
        document_id = document_id or number
        for persist_id, offset in _directory(_record_at(stream, directory).data):
            offsets.setdefault(persist_id, offset)
        if not 0 < previous < edit_at:
            break
        edit_at = previous
    return offsets, document_id


def _directory(data: memoryview) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 4 <= len(data):
        (first,) = struct.unpack_from("<I", data, at)
        count = min(first >> 20, (len(data) - at - 4) // 4)
        for place, offset in enumerate(struct.unpack_from(f"<{count}I", data, at + 4)):
            yield (first & 0xFFFFF) + place, offset
        at += 4 + 4 * max(count, 1)


def _listed(document: _Record, instance: int) -> list[_Listed]:
    """The slides or notes in their order, each with the texts that follow it in the list."""
    found: list[_Listed] = []
    kind = -1
    for record in _in_lists(document, instance):
        if record.kind == SLIDE_PERSIST:
            persist_id, slide_id = struct.unpack_from("<I8xI", record.data)
            found.append(_Listed(persist_id, slide_id, []))
        elif record.kind == TEXT_HEADER:
            kind = _number(record)
        elif found and record.kind in (TEXT_CHARS, TEXT_BYTES):
            found[-1].outline.append(_Text(_decoded(record), kind in TITLE_TEXTS))
    return found


def _in_lists(document: _Record, instance: int) -> Iterator[_Record]:
    for listing in _children(document):
        if listing.kind == SLIDE_LIST and listing.instance == instance:
            yield from _children(listing)


def _slide_blocks(record: _Record, slide: _Listed, page: int) -> Iterator[Block]:
    shown = list(_texts(record, slide.outline))
    known = {text.text for text in shown}
    texts = [text for text in slide.outline if text.text not in known] + shown
    for text in sorted(texts, key=lambda text: not text.is_title):
        yield from _text_blocks(text, page)
    for comment in _comments(record):
        yield Block(comment, BlockKind.PAGE_FURNITURE, page=page, origin=Origin.COMMENT)
    yield from _edge_blocks(record, page)


def _is_hidden(slide: _Record) -> bool:
    """Whether the show leaves the slide out."""
    return any(
        each.kind == SLIDE_SHOW and len(each.data) > 10 and each.data[10] & HIDDEN_SLIDE for each in _children(slide)
    )


def _edge_blocks(slide: _Record, page: int) -> Iterator[Block]:
    """The header and the footer of a slide."""
    for edge in (each for each in _children(slide) if each.kind == HEADERS_FOOTERS):
        for each in _children(edge):
            if each.kind == C_STRING and each.instance in (HEADER_STRING, FOOTER_STRING):
                origin = Origin.HEADER if each.instance == HEADER_STRING else Origin.FOOTER
                yield Block(_decoded(each), BlockKind.PAGE_FURNITURE, page=page, origin=origin)


def _notes_by_slide(stream: memoryview, offsets: Mapping[int, int], notes: Sequence[_Listed]) -> dict[int, list[_Text]]:
    found: dict[int, list[_Text]] = {}
    for page in notes:
        offset = offsets.get(page.persist_id)
        if offset is None:
            continue
        record = _record_at(stream, offset)
        slide_id = next((_number(each) for each in _children(record) if each.kind == NOTES_ATOM), 0)
        found.setdefault(slide_id, []).extend(_texts(record, page.outline))
    return found


def _text_blocks(text: _Text, page: int) -> Iterator[Block]:
    if text.is_title:
        yield Block(" ".join(text.text.split()), BlockKind.HEADING, 1, page)
    elif text.is_row:
        yield table_row(text.cells, page, names_columns=text.names_columns)
    else:
        for paragraph in text.text.split("\r"):
            if paragraph.strip() != NUMBER_SIGN:
                yield Block(paragraph, page=page)


def _texts(record: _Record, outline: Sequence[_Text], depth: int = 0) -> Iterator[_Text]:
    """The texts inside a slide, in its order; a placeholder's text stands in the outline."""
    kind = -1
    for each in _children(record):
        if each.kind == TEXT_HEADER:
            kind = _number(each)
        elif each.kind in (TEXT_CHARS, TEXT_BYTES):
            yield _Text(_decoded(each), kind in TITLE_TEXTS)
        elif each.kind == OUTLINE_TEXT_REF:
            at = _number(each)
            yield from outline[at : at + 1]
        elif each.kind == PROPERTIES and (description := _description(each)):
            yield _Text(description)
        elif each.kind == SHAPES and depth < MAX_DEPTH and _is_table(each):
            yield from _rows(each, outline, depth)
        elif each.is_container and each.kind not in (COMMENT, HEADERS_FOOTERS) and depth < MAX_DEPTH:
            yield from _texts(each, outline, depth + 1)


def _is_table(group: _Record) -> bool:
    """Whether the first shape of a group, which stands for the group itself, says that it is a table."""
    first = next((each for each in _children(group) if each.kind == SHAPE), _NOTHING)
    properties = (each for each in _children(first) if each.kind in (PROPERTIES, MORE_PROPERTIES))
    return any(code == TABLE and value & 1 for each in properties for code, value, _ in _properties(each))


def _rows(table: _Record, outline: Sequence[_Text], depth: int) -> Iterator[_Text]:
    """The cells are shapes, as the lines between them are; those with the same upper edge make a row."""
    cells: dict[int, dict[int, str]] = {}
    for shape in (each for each in _children(table) if each.kind in (SHAPE, SHAPES)):
        text = " ".join(text.text for text in _texts(shape, outline, depth + 1)).replace("\r", " ")
        anchor = next((each.data for each in _children(shape) if each.kind == CHILD_ANCHOR), b"")
        left, top = struct.unpack_from("<ii", anchor) if len(anchor) >= 8 else (0, 0)
        if text.strip():
            row = cells.setdefault(top, {})
            row[left] = f"{row[left]} {text}" if left in row else text
    for number, (_, row) in enumerate(sorted(cells.items())):
        texts = tuple(text for _, text in sorted(row.items()))
        yield _Text(" ".join(texts), is_row=True, cells=texts, names_columns=number == 0 and len(texts) > 1)


def _description(properties: _Record) -> str:
    """The alternative text of a picture or a shape."""
    return next((_without_end(data) for code, _, data in _properties(properties) if code == DESCRIPTION), "")


def _without_end(data: memoryview) -> str:
    return bytes(data).decode("utf-16-le", "replace").rstrip("\0")


def _properties(record: _Record) -> Iterator[tuple[int, int, memoryview]]:
    """Code, value and long value of each property; the long ones stand behind all."""
    count = min(record.instance, MAX_PROPERTIES, len(record.data) // 6)
    at = 6 * count
    for number in range(count):
        code, value = struct.unpack_from("<HI", record.data, 6 * number)
        size = value if code & IS_COMPLEX else 0
        yield code & 0x3FFF, value, record.data[at : at + size]
        at += size


def _comments(record: _Record, depth: int = 0) -> Iterator[str]:
    """Author and text of each comment."""
    for each in _children(record):
        if each.kind == COMMENT:
            strings = [_decoded(inner) for inner in _children(each) if inner.kind == C_STRING and inner.instance < 2]
            yield ": ".join(strings)
        elif each.is_container and depth < MAX_DEPTH:
            yield from _comments(each, depth + 1)


def _record_at(stream: memoryview, at: int) -> _Record:
    """Raises `struct.error` beyond the end."""
    version, kind, length = struct.unpack_from("<HHI", stream, at)
    return _Record(kind, version >> 4, stream[at + 8 : at + 8 + length], version & 0xF == 0xF)


def _children(record: _Record) -> Iterator[_Record]:
    """The records inside; where they make no sense any more, that was all."""
    at = 0
    while at + 8 <= len(record.data):
        inner = _record_at(record.data, at)
        yield inner
        at += 8 + len(inner.data)


def _number(record: _Record) -> int:
    return int.from_bytes(record.data[:4], "little")


def _decoded(record: _Record) -> str:
    if record.kind == TEXT_BYTES:
        return bytes(record.data).decode("latin-1")
    return bytes(record.data).decode("utf-16-le", "replace")
