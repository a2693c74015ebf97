"""Excel's binary workbooks, made by hand record by record ([MS-XLSB])."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, NoText
from penstock.parsing.formats import read
from penstock.parsing.media_type import XLSB, detect

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CONTENT_TYPES = (
    f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="bin" ContentType="application/octet-stream"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/>'
    '<Override PartName="/xl/worksheets/sheet1.bin" ContentType="application/vnd.ms-excel.worksheet"/>'
    '<Override PartName="/xl/worksheets/sheet2.bin" ContentType="application/vnd.ms-excel.worksheet"/>'
    '<Override PartName="/xl/styles.bin" ContentType="application/vnd.ms-excel.styles"/>'
    '<Override PartName="/xl/sharedStrings.bin" ContentType="application/vnd.ms-excel.sharedStrings"/></Types>'
)


def record(kind: int, content: bytes = b"") -> bytes:
    return variable(kind) + variable(len(content)) + content


def variable(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def string(text: str) -> bytes:
    return struct.pack("<I", len(text.encode("utf-16-le")) // 2) + text.encode("utf-16-le")


def rich(text: str) -> bytes:
    return b"\0" + string(text)


def cell(kind: int, column: int, content: bytes, style: int = 0) -> bytes:
    return record(kind, struct.pack("<II", column, style) + content)


def row(number: int, *cells: bytes) -> bytes:
    head = struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 1) + struct.pack("<II", 0, 9)
    return record(0, head) + b"".join(cells)


def sheet(*records: bytes, after: bytes = b"") -> bytes:
    size = record(148, struct.pack("<4I", 0, 9, 0, 9))
    return record(129) + size + record(145) + b"".join(records) + record(146) + after + record(130)


def relations(*targets: tuple[str, str]) -> str:
    inside = "".join(
        f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{inside}</Relationships>'


def workbook(path: Path, sheets: Sequence[tuple[str, bytes]], more: dict[str, bytes | str] | None = None) -> Path:
    """`sheets` are names and parts; the second and later ones are hidden."""
    bundle = b"".join(
        record(156, struct.pack("<II", int(at > 1), at) + string(f"rId{at}") + string(name))
        for at, (name, _) in enumerate(sheets, start=1)
    )
    formats = record(615, struct.pack("<I", 1)) + record(44, struct.pack("<H", 164) + string("0.0%")) + record(616)
    fonts = record(611, struct.pack("<I", 0)) + record(612)

    def style(number: int) -> bytes:
        return record(47, struct.pack("<HHHHHBBBBH", 0, number, 0, 0, 0, 0, 0, 0, 0, 0))

    styles = record(626, struct.pack("<I", 1)) + style(9) + record(627)
    styles += record(617, struct.pack("<I", 3)) + style(0) + style(14) + style(164) + record(618)
    strings = record(159, struct.pack("<II", 1, 1)) + record(19, rich("Gauge")) + record(160)
    parts: dict[str, bytes | str] = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": relations(("officeDocument", "xl/workbook.bin")),
        "xl/workbook.bin": record(131) + record(143) + bundle + record(144) + record(132),
        "xl/_rels/workbook.bin.rels": relations(
            *(("worksheet", f"worksheets/sheet{at}.bin") for at in range(1, len(sheets) + 1)),
            ("styles", "styles.bin"),
            ("sharedStrings", "sharedStrings.bin"),
        ),
        "xl/styles.bin": record(278) + formats + fonts + styles + record(279),
        "xl/sharedStrings.bin": strings,
        **{f"xl/worksheets/sheet{at}.bin": content for at, (_, content) in enumerate(sheets, start=1)},
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


LEVELS = sheet(
    row(0, cell(7, 0, struct.pack("<I", 0)), cell(6, 1, string("Date")), cell(62, 2, rich("Share"))),
    row(
        1,
        cell(2, 0, struct.pack("<i", 7 << 2 | 2)),
        cell(5, 1, struct.pack("<d", 46349.0), style=1),
        cell(5, 2, struct.pack("<d", 0.125), style=2),
    ),
    row(
        3,
        cell(4, 0, b"\x01"),
        cell(3, 1, b"\x07"),
        cell(8, 2, string("by formula") + bytes(10)),
        cell(9, 4, struct.pack("<d", 1234.5) + bytes(10)),
        cell(1, 5, b""),
    ),
    after=record(
        479, struct.pack("<H", 0) + string("&LDraft") + string("&CPage &P") + struct.pack("<4I", *[0xFFFFFFFF] * 4)
    ),
)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., list[Block]]:
    def make(*sheets: tuple[str, bytes], more: dict[str, bytes | str] | None = None) -> list[Block]:
        path = workbook(tmp_path / "a.xlsb", sheets, more)
        assert detect(path, "a.xlsb") == XLSB
        return list(read(path, XLSB))

    return make


def test_cells_are_read_as_they_are_shown(made: Callable[..., list[Block]]) -> None:
    assert [(block.text, block.kind) for block in made(("Levels", LEVELS))] == [
        ("Levels", BlockKind.HEADING),
        ("Gauge | Date | Share", BlockKind.TABLE_ROW),
        ("7 | 2026-11-23 | 12.5%", BlockKind.TABLE_ROW),
        ("TRUE | #DIV/0! | by formula |  | 1234.5", BlockKind.TABLE_ROW),
        ("Draft", BlockKind.PAGE_FURNITURE),
        ("Page", BlockKind.PAGE_FURNITURE),
    ]


def test_sheets_are_pages_and_hidden_ones_are_marked(made: Callable[..., list[Block]]) -> None:
    other = sheet(row(0, cell(6, 0, string("Secret"))))
    found = [(block.text, block.page, block.origin) for block in made(("Levels", LEVELS), ("Other", other))]
    assert found[0] == ("Levels", 1, Origin.BODY)
    assert found[-2:] == [("Other", 2, Origin.HIDDEN), ("Secret", 2, Origin.HIDDEN)]


def test_first_rows_name_the_columns(made: Callable[..., list[Block]]) -> None:
    assert [block.text for block in made(("Levels", LEVELS)) if block.names_columns] == ["Gauge | Date | Share"]


def test_comments_are_told_apart(made: Callable[..., list[Block]]) -> None:
    found = made(
        ("Levels", LEVELS),
        more={
            "xl/worksheets/_rels/sheet1.bin.rels": relations(("comments", "../comments1.bin")),
            "xl/comments1.bin": record(628) + record(637, rich("Ask the night shift")) + record(629),
        },
    )
    assert (found[-1].text, found[-1].origin) == ("Ask the night shift", Origin.COMMENT)


def test_cells_without_a_column_follow_one_another(made: Callable[..., list[Block]]) -> None:
    short = record(17, struct.pack("<I", 0) + string("b")) + record(18, struct.pack("<II", 0, 0))
    assert [block.text for block in made(("S", sheet(row(0, cell(6, 0, string("a")), short))))] == [
        "S",
        "a | b | Gauge",
    ]


def test_a_sheet_without_words_has_no_text(made: Callable[..., list[Block]]) -> None:
    with pytest.raises(NoText):
        made(("S", sheet(row(0))))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_records_end_typed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A length that says four gigabytes took the parser in use before down with it."""
    damaged = bytearray(LEVELS)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    path = workbook(tmp_path_factory.mktemp("xlsb") / "a.xlsb", [("Levels", bytes(damaged))])
    with contextlib.suppress(CorruptFile, NoText):
        assert sum(len(block.text) for block in read(path, XLSB)) < 100_000
