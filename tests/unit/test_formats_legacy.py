"""Word, Excel and PowerPoint of before 2007, from files made by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from compound_files import compound_file

from penstock.chunking.document import Block, Origin
from penstock.errors import CorruptFile, FileError, PasswordProtected
from penstock.parsing import media_type as types
from penstock.parsing.formats import read


def blocks(tmp_path: Path, streams: dict[str, bytes], media_type: str) -> list[Block]:
    path = tmp_path / "object"
    path.write_bytes(compound_file(streams))
    return list(read(path, media_type))


def kinds(found: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in found]


# ---- Excel ----


def record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def shared_strings(*texts: str) -> bytes:
    body = b"".join(struct.pack("<HB", len(text), 1) + text.encode("utf-16-le") for text in texts)
    return struct.pack("<II", len(texts), len(texts)) + body


def workbook(cells: bytes, strings: bytes = b"", before: bytes = b"") -> dict[str, bytes]:
    begin = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
    styles = b"".join(record(0x00E0, struct.pack("<HH", 0, number).ljust(20, b"\0")) for number in (0, 14, 9))
    globals_size = len(begin + before + styles + strings) + len(record(0x0085, bytes(8) + b"Sums")) + 4
    sheet = record(0x0085, struct.pack("<IHBB", globals_size, 0, 4, 0) + b"Sums")
    return {"Workbook": begin + before + styles + sheet + strings + record(0x0A) + begin + cells + record(0x0A)}


def cell(kind: int, row: int, column: int, data: bytes, style: int = 0) -> bytes:
    return record(kind, struct.pack("<HHH", row, column, style) + data)


def test_cells_of_every_kind(tmp_path: Path) -> None:
    cells = (
        cell(0xFD, 0, 0, struct.pack("<I", 1))
        + cell(0x0203, 0, 2, struct.pack("<d", 45292), style=1)
        + cell(0x027E, 0, 3, struct.pack("<I", (25 << 2 | 3)), style=2)
        + record(0xBD, struct.pack("<HHHIHIH", 1, 0, 0, 7 << 2 | 2, 0, 0x3FF00000, 1))
        + cell(0x0205, 1, 2, b"\x01\x00")
        + cell(0x0205, 1, 3, b"\x2a\x01")
        + cell(0x0006, 1, 4, struct.pack("<d", 2.5) + bytes(8))
        + cell(0x0006, 1, 5, b"\0\0\0\0\0\0\xff\xff" + bytes(8))
        + record(0x0207, struct.pack("<HB", 4, 0) + b"text")
        + cell(0x0204, 2, 0, struct.pack("<HB", 5, 0) + b"label")
    )
    found = blocks(tmp_path, workbook(cells, record(0xFC, shared_strings("no", "Name \u20ac"))), types.XLS)
    assert kinds(found) == [
        ("heading", "Sums"),
        ("table_row", "Name \u20ac |  | 2024-01-01 | 25%"),
        ("table_row", "7 | 1 | TRUE | #N/A | 2.5 | text"),
        ("table_row", "label"),
    ]
    assert {block.page for block in found} == {1}


def test_a_string_goes_on_in_the_next_record_in_another_width(tmp_path: Path) -> None:
    first = struct.pack("<II", 2, 2) + struct.pack("<HB", 6, 0) + b"abc"
    second = b"\x01" + "def".encode("utf-16-le") + struct.pack("<HB", 3, 0) + b"end"
    strings = record(0xFC, first) + record(0x3C, second)
    cells = cell(0xFD, 0, 0, struct.pack("<I", 0)) + cell(0xFD, 0, 1, struct.pack("<I", 1))
    assert kinds(blocks(tmp_path, workbook(cells, strings), types.XLS))[1] == ("table_row", "abcdef | end")


def test_text_boxes_follow_the_rows(tmp_path: Path) -> None:
    box = record(0x01B6, bytes(10) + struct.pack("<H", 4).ljust(8, b"\0")) + record(0x3C, b"\0note")
    cells = box + cell(0x0204, 0, 0, struct.pack("<HB", 1, 0) + b"a")
    assert kinds(blocks(tmp_path, workbook(cells), types.XLS))[1:] == [("table_row", "a"), ("paragraph", "note")]


def biff_string(content: str) -> bytes:
    return struct.pack("<HB", len(content), 0) + content.encode("latin-1")


def label(row: int, column: int, content: str) -> bytes:
    return cell(0x0204, row, column, biff_string(content))


def test_what_is_beside_the_cells(tmp_path: Path) -> None:
    comment = record(0x5D, struct.pack("<HHHH", 0x15, 0x12, 0x19, 1))
    comment += record(0x01B6, bytes(10) + struct.pack("<H", 3).ljust(8, b"\0")) + record(0x3C, b"\0why")
    chart = record(0x0809, struct.pack("<HHHHII", 0x0600, 0x20, 0, 0, 0, 0))
    chart += record(0x100D, struct.pack("<HBB", 0, 5, 0) + b"Sales") + label(0, 9, "again") + record(0x0A)
    prompts = bytes(4) + biff_string("Age") + biff_string("\0") + biff_string("In years") + biff_string("\0")
    around = record(0x14, biff_string("&LDraft&RPage &P")) + record(0x15, biff_string("&CEnd"))
    cells = label(0, 0, "a") + comment + chart + record(0x01BE, prompts) + around
    found = blocks(tmp_path, workbook(cells), types.XLS)
    assert [(block.kind.value, block.origin.value, block.text) for block in found[1:]] == [
        ("table_row", "body", "a"),
        ("page_furniture", "comment", "why"),
        ("paragraph", "body", "Sales"),
        ("page_furniture", "comment", "Age: In years"),
        ("page_furniture", "header", "Draft"),
        ("page_furniture", "header", "Page"),
        ("page_furniture", "footer", "End"),
    ]


def test_hidden_sheets_and_names_of_columns(tmp_path: Path) -> None:
    cells = label(0, 0, "Name") + label(0, 1, "Town") + label(1, 0, "Ada") + label(1, 1, "London")
    made = workbook(cells)
    hidden = {"Workbook": made["Workbook"].replace(b"\0\0\x04\0Sums", b"\1\0\x04\0Sums")}
    assert {block.origin for block in blocks(tmp_path, made, types.XLS)} == {Origin.BODY}
    assert {block.origin for block in blocks(tmp_path, hidden, types.XLS)} == {Origin.HIDDEN}
    assert [block.names_columns for block in blocks(tmp_path, made, types.XLS)] == [False, True, False]


def test_characters_that_count_as_two(tmp_path: Path) -> None:
    text = "\U0001f600 ok \U0001f600"
    first, rest = text.encode("utf-16-le")[:14], text.encode("utf-16-le")[14:]
    strings = record(0xFC, struct.pack("<IIHB", 1, 1, 8, 1) + first) + record(0x3C, b"\1" + rest)
    found = blocks(tmp_path, workbook(cell(0xFD, 0, 0, struct.pack("<I", 0)), strings), types.XLS)
    assert found[1].text == text


def test_an_encrypted_workbook(tmp_path: Path) -> None:
    with pytest.raises(PasswordProtected):
        blocks(tmp_path, workbook(b"", before=record(0x2F, bytes(4))), types.XLS)


@pytest.mark.parametrize("count", [2, 10_000_000])
def test_damaged_strings(tmp_path: Path, count: int) -> None:
    strings = record(0xFC, struct.pack("<II", count, count) + struct.pack("<HB", 500, 1) + b"cut")
    with pytest.raises(CorruptFile):
        blocks(tmp_path, workbook(b"", strings), types.XLS)


# ---- PowerPoint ----


def atom(kind: int, data: bytes, instance: int = 0) -> bytes:
    return struct.pack("<HHI", instance << 4, kind, len(data)) + data


def container(kind: int, *inside: bytes, instance: int = 0) -> bytes:
    data = b"".join(inside)
    return struct.pack("<HHI", instance << 4 | 0xF, kind, len(data)) + data


def text(kind: int, content: str) -> bytes:
    return atom(3999, struct.pack("<I", kind)) + atom(4000, content.encode("utf-16-le"))


def presentation(tmp_path: Path, *parts: bytes, before: bytes = b"") -> list[Block]:
    """The Blocks of a presentation of the document, a slide, and perhaps its notes."""
    stream, offsets = before, list[int]()
    for part in parts:
        offsets.append(len(stream))
        stream += part
    directory = len(stream)
    stream += atom(6002, struct.pack(f"<{1 + len(offsets)}I", len(offsets) << 20 | 1, *offsets))
    edit = len(stream)
    stream += atom(4085, struct.pack("<IIIII", 0, 0, 0, directory, 1).ljust(28, b"\0"))
    user = struct.pack("<HHIIII", 0, 4086, 20, 20, 0xE391C05F, edit)
    return blocks(tmp_path, {"PowerPoint Document": stream, "Current User": user}, types.PPT)


def slide_list(*texts: bytes) -> bytes:
    return container(4080, atom(1011, struct.pack("<IIIII", 2, 0, 0, 256, 0)), *texts)


def test_slides_as_the_last_save_has_them(tmp_path: Path) -> None:
    listing = slide_list(text(0, "Title"), text(1, "Point one\rPoint two"))
    notes_list = container(4080, atom(1011, struct.pack("<IIIII", 3, 0, 0, 9, 0)), instance=2)
    found = presentation(
        tmp_path,
        container(1000, listing, notes_list),
        container(1006, container(0xF00D, atom(3998, struct.pack("<I", 0))), container(0xF00D, text(4, "Box"))),
        container(
            1008, atom(1009, struct.pack("<II", 256, 0)), container(0xF00D, text(2, "Say this\r*")), text(4, "*")
        ),
        before=container(1006, text(4, "deleted draft")),
    )
    assert [(block.kind.value, block.origin.value, block.text, block.page) for block in found] == [
        ("heading", "body", "Title", 1),
        ("paragraph", "body", "Point one", 1),
        ("paragraph", "body", "Point two", 1),
        ("paragraph", "body", "Box", 1),
        ("page_furniture", "speaker_notes", "Say this", 1),
    ]


def properties(kind: int, *of_shape: tuple[int, bytes | int]) -> bytes:
    """Short values in place, long ones behind all."""
    heads = b"".join(
        struct.pack("<HI", code, value) if isinstance(value, int) else struct.pack("<HI", code | 0x8000, len(value))
        for code, value in of_shape
    )
    tails = b"".join(value for _, value in of_shape if isinstance(value, bytes))
    return atom(kind, heads + tails, instance=len(of_shape))


def table_cell(left: int, top: int, content: str = "") -> bytes:
    said = container(0xF00D, text(4, content)) if content else b""
    return container(0xF004, atom(0xF00F, struct.pack("<4i", left, top, left + 9, top + 9)), said)


def test_tables_pictures_and_edges_of_slides(tmp_path: Path) -> None:
    table = container(
        0xF003,
        container(0xF004, properties(0xF122, (0x039F, 1))),
        table_cell(10, 0, "b\rb"),
        table_cell(0, 0, "a"),
        table_cell(10, 10, "d"),
        table_cell(0, 10, "c"),
        table_cell(0, 0),
    )
    picture = container(0xF004, properties(0xF00B, (0x0104, 1), (0x0381, "A map\0".encode("utf-16-le"))))
    comment = container(12000, atom(4026, "Ada".encode("utf-16-le")), atom(4026, "Why?".encode("utf-16-le"), 1))
    edge = container(4057, atom(4026, "Draft".encode("utf-16-le"), 2))
    found = presentation(
        tmp_path, container(1000, slide_list()), container(1006, container(0xF002, table, picture), comment, edge)
    )
    assert [(block.kind.value, block.origin.value, block.text, block.names_columns) for block in found] == [
        ("table_row", "body", "a | b b", True),
        ("table_row", "body", "c | d", False),
        ("paragraph", "body", "A map", False),
        ("page_furniture", "comment", "Ada: Why?", False),
        ("page_furniture", "footer", "Draft", False),
    ]


@pytest.mark.parametrize(("flags", "origin"), [(4, Origin.HIDDEN), (1, Origin.BODY)])
def test_hidden_slides(tmp_path: Path, flags: int, origin: Origin) -> None:
    slide = container(1006, atom(1017, struct.pack("<IIBBHI", 0, 0, 0, 0, flags, 0)), text(4, "Backup"))
    assert [block.origin for block in presentation(tmp_path, container(1000, slide_list()), slide)] == [origin]


def test_a_presentation_without_its_directory(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile):
        blocks(tmp_path, {"PowerPoint Document": b"x" * 50, "Current User": bytes(20)}, types.PPT)


# ---- Word ----


def word(
    content: str, lengths: tuple[int, ...], *, wide: bool = True, tables: dict[int, tuple[bytes, bytes]] | None = None
) -> dict[str, bytes]:
    """A document in one piece, without formatting.

    `tables`, and what follows each of them, by the place in the header of the pair that names it.
    """
    data = content.encode("utf-16-le" if wide else "cp1252")
    offset = TEXT_AT if wide else TEXT_AT * 2 | 0x4000_0000
    pieces = struct.pack("<II", 0, len(content)) + struct.pack("<HIH", 0, offset, 0)
    table = b"\x01\x02\x00xx\x02" + struct.pack("<I", len(pieces)) + pieces
    header = bytearray(TEXT_AT)
    struct.pack_into("<HH", header, 0, 0xA5EC, 0x00C1)
    struct.pack_into("<H", header, 0x0A, 0x0200)
    struct.pack_into("<8i", header, 0x4C, *lengths, *[0] * (8 - len(lengths)))
    struct.pack_into("<II", header, 0x1A2, 0, len(table))
    for place, (named, following) in (tables or {}).items():
        struct.pack_into("<II", header, place, len(table), len(named))
        table += named + following
    return {"WordDocument": bytes(header) + data, "1Table": table}


TEXT_AT = 0x600
"""Where the text begins in the file."""


def page_of(runs: list[tuple[int, bytes]], *, entry: int) -> bytes:
    """A page of properties of the runs of characters that end at these positions."""
    starts = [TEXT_AT, *(TEXT_AT + 2 * end for end, _ in runs)]
    page = bytearray(512)
    struct.pack_into(f"<{len(starts)}I", page, 0, *starts)
    at = 510
    for number, (_, properties) in enumerate(runs):
        at = (at - len(properties)) // 2 * 2
        page[at : at + len(properties)] = properties
        page[4 * len(starts) + entry * number] = at // 2
    page[511] = len(runs)
    return bytes(page)


def with_page(streams: dict[str, bytes], pair: int, page: bytes) -> dict[str, bytes]:
    """The document with one page of properties, which the header's pair at `pair` names."""
    document, table = bytearray(streams["WordDocument"]), streams["1Table"]
    document += bytes(-len(document) % 512)
    places = struct.pack("<III", 0, 1 << 20, len(document) // 512)
    struct.pack_into("<II", document, pair, len(table), len(places))
    return streams | {"WordDocument": bytes(document) + page, "1Table": table + places}


def paragraph_properties(style: int, properties: bytes = b"") -> bytes:
    properties += bytes(1 - len(properties) % 2)
    return bytes([(3 + len(properties)) // 2]) + struct.pack("<H", style) + properties


def with_paragraphs(streams: dict[str, bytes], runs: list[tuple[int, bytes]]) -> dict[str, bytes]:
    return with_page(streams, 0x102, page_of(runs, entry=13))


@pytest.mark.parametrize("wide", [True, False])
def test_paragraphs_fields_and_stories(tmp_path: Path, *, wide: bool) -> None:
    body = "Grüße\x0bhere\r\x13 HYPERLINK \x13 x \x14y\x15 \x14link\x15 text\x1eend\r"
    note = "A note\r"
    found = blocks(tmp_path, word(body + note, (len(body), len(note)), wide=wide), types.DOC)
    assert kinds(found) == [
        ("paragraph", "Grüße\nhere"),
        ("paragraph", "link text-end"),
        ("page_furniture", "A note"),
    ]
    assert found[-1].origin is Origin.FOOTNOTE


def test_a_field_of_several_paragraphs(tmp_path: Path) -> None:
    body = "\x13 TOC \\o \x14One\t1\rTwo \x13 PAGEREF x \x142\x15\r\x15after\x13 never ends\r"
    assert kinds(blocks(tmp_path, word(body, (len(body),)), types.DOC)) == [
        ("paragraph", "One\t1"),
        ("paragraph", "Two 2"),
        ("paragraph", "after never ends"),
    ]


def test_stories_say_where_they_stand_and_the_same_header_comes_once(tmp_path: Path) -> None:
    stories = ["Body\r", "Foot\r", "head\rfeet\rhead\r", "", "Comment\r", "End\r", "Box\r"]
    places = struct.pack("<12I", *[0] * 7, 5, 5, 10, 15, 15)
    lengths = tuple(map(len, stories))
    found = blocks(tmp_path, word("".join(stories), lengths, tables={0xF2: (places, b"")}), types.DOC)
    assert [(block.origin.value, block.text) for block in found] == [
        ("body", "Body"),
        ("body", "Box"),
        ("footnote", "Foot"),
        ("endnote", "End"),
        ("comment", "Comment"),
        ("header", "head"),
        ("footer", "feet"),
    ]


@pytest.mark.parametrize("code", [0x0800, 0x083C])
@pytest.mark.parametrize("value", [1, 0x81])
def test_deleted_and_hidden_text_is_told_apart(tmp_path: Path, code: int, value: int) -> None:
    body = "Keep this gone end\rnext\r"
    properties = struct.pack("<BHB", 3, code, value)
    page = page_of([(10, b"\0"), (15, properties), (len(body), struct.pack("<BHB", 3, code, 0))], entry=1)
    found = blocks(tmp_path, with_page(word(body, (len(body),)), 0xFA, page), types.DOC)
    assert [(block.origin.value, block.text) for block in found] == [
        ("body", "Keep this end"),
        ("hidden", "gone"),
        ("body", "next"),
    ]


def list_level(style: int, text: str, start: int = 1) -> bytes:
    head = struct.pack("<iB", start, style).ljust(28, b"\0")
    return head + struct.pack("<H", len(text)) + text.encode("utf-16-le")


def test_items_of_lists_are_numbered(tmp_path: Path) -> None:
    body = "one\rinner\rtwo\rdot\rplain\r"
    lists = struct.pack("<H", 2) + struct.pack("<I", 7).ljust(28, b"\0") + struct.pack("<I22xBx", 9, 1)
    levels = list_level(0, "\0.") + list_level(4, "\0\x01)", 2) + list_level(255, "") * 7 + list_level(23, "\u2022")
    uses = struct.pack("<I", 2) + struct.pack("<I", 7).ljust(16, b"\0") + struct.pack("<I", 9).ljust(16, b"\0")
    made = word(body, (len(body),), tables={0x2E2: (lists, levels), 0x2EA: (uses + bytes(8), b"")})
    ends = [4, 10, 14, 18, 24]
    items = [(1, 0), (1, 1), (1, 0), (2, 0), (0, 0)]
    runs = [
        (end, paragraph_properties(0, struct.pack("<HHHB", 0x460B, number, 0x260A, level)))
        for end, (number, level) in zip(ends, items, strict=True)
    ]
    found = blocks(tmp_path, with_paragraphs(made, runs), types.DOC)
    assert kinds(found) == [
        ("list_item", "1. one"),
        ("list_item", "1b) inner"),
        ("list_item", "2. two"),
        ("list_item", "dot"),
        ("paragraph", "plain"),
    ]


def style(kind: int, base: int, properties: bytes) -> bytes:
    """A style of paragraphs, named `x`."""
    body = struct.pack("<5H", kind, base << 4 | 1, 1, 0, 0) + struct.pack("<HHH", 1, ord("x"), 0)
    body += struct.pack("<HH", 2 + len(properties), 0) + properties
    return struct.pack("<H", len(body)) + body + bytes(len(body) % 2)


def test_styles_make_headings(tmp_path: Path) -> None:
    body = "Title\rOwn\rLike it\rText\r"
    level = struct.pack("<HB", 0x2640, 2)
    sheet = struct.pack("<4H", 6, 14, 10, 0) + bytes(20) + style(0, 0xFFF, b"") + style(62, 10, b"")
    sheet += style(0xFFE, 10, level) + style(0xFFE, 12, b"")
    made = word(body, (len(body),), tables={0xA2: (sheet, b"")})
    runs = [(end, paragraph_properties(number)) for end, number in ((6, 11), (10, 12), (18, 13), (23, 10))]
    found = blocks(tmp_path, with_paragraphs(made, runs), types.DOC)
    assert [(block.kind.value, block.level, block.text) for block in found] == [
        ("heading", 1, "Title"),
        ("heading", 3, "Own"),
        ("heading", 3, "Like it"),
        ("paragraph", 0, "Text"),
    ]


@pytest.mark.parametrize("place", [0x2E2, 0x2EA, 0xA2, 0xF2, 0xFA, 0x102])
@pytest.mark.parametrize("table", [b"\xff" * 40, b"\x01\0", b"\x05\0\0\0\x05\0\0\0" * 6])
def test_damaged_tables_do_not_take_the_text(tmp_path: Path, place: int, table: bytes) -> None:
    body = "The text stays.\r"
    try:
        found = blocks(tmp_path, word(body, (len(body),), tables={place: (table, b"")}), types.DOC)
    except CorruptFile:
        return
    assert [block.text for block in found if block.origin is Origin.BODY] == ["The text stays."]


@pytest.mark.parametrize("cut", [{"1Table": b""}, {"WordDocument": b"\xec\xa5"}, {"WordDocument": bytes(2000)}])
def test_damaged_documents(tmp_path: Path, cut: dict[str, bytes]) -> None:
    with pytest.raises(FileError):
        blocks(tmp_path, word("text\r", (5,)) | cut, types.DOC)
