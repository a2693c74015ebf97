"""PowerPoint 97 to 2003 ([MS-PPT]): records inside records, found by the directory of the last save."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile, PasswordProtected
from penstock.parsing.compound import CompoundFile, open_compound

# Record types.
NOTES_ATOM, SLIDE_PERSIST = 1009, 1011
SLIDE_LIST, USER_EDIT, PERSIST_DIRECTORY = 4080, 4085, 6002
TEXT_HEADER, TEXT_CHARS, TEXT_BYTES, OUTLINE_TEXT_REF = 3999, 4000, 4008, 3998
COMMENT, C_STRING = 12000, 4026

SLIDES, NOTES = 0, 2
"""Instances of the slide list."""
TITLE_TEXTS = (0, 6)
"""Kinds of text that are titles."""
ENCRYPTED_TOKEN = 0xF3D1C4DF
MAX_DEPTH = 64
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
    is_title: bool


@dataclass(frozen=True, slots=True)
class _Listed:
    """A slide or a page of notes in the document's list, with the texts of its outline."""

    persist_id: int
    slide_id: int
    outline: list[_Text]


def read_legacy_slides(path: Path) -> Iterator[Block]:
    """Each slide: its texts, its notes, its comments. What the last save no longer knows is not read."""
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
        yield from _slide_blocks(stream, offsets, slide, page)
        for text in noted.get(slide.slide_id, []):
            yield from _text_blocks(text, page, furniture=True)


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


def _slide_blocks(stream: memoryview, offsets: Mapping[int, int], slide: _Listed, page: int) -> Iterator[Block]:
    offset = offsets.get(slide.persist_id)
    shown = list(_texts(_record_at(stream, offset), slide.outline)) if offset is not None else []
    known = {text.text for text in shown}
    texts = [text for text in slide.outline if text.text not in known] + shown
    for text in sorted(texts, key=lambda text: not text.is_title):
        yield from _text_blocks(text, page)
    if offset is not None:
        for comment in _comments(_record_at(stream, offset)):
            yield Block(comment, BlockKind.PAGE_FURNITURE, page=page)


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


def _text_blocks(text: _Text, page: int, *, furniture: bool = False) -> Iterator[Block]:
    if text.is_title and not furniture:
        yield Block(" ".join(text.text.split()), BlockKind.HEADING, 1, page)
        return
    for paragraph in text.text.split("\r"):
        yield Block(paragraph, BlockKind.PAGE_FURNITURE if furniture else BlockKind.PARAGRAPH, page=page)


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
        elif each.is_container and each.kind != COMMENT and depth < MAX_DEPTH:
            yield from _texts(each, outline, depth + 1)


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
