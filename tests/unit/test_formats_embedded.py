"""Files inside files: Office documents that embed others, and the bounds of it."""

# pypdfium2 has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from compound_files import compound_file
from hypothesis import given
from hypothesis import strategies as st
from office_files import package, relationships, word_document, word_paragraph

from penstock.chunking.document import Block, Origin
from penstock.errors import NoText
from penstock.parsing import media_type as types
from penstock.parsing.compound import CompoundFile, packed
from penstock.parsing.coverage import Coverage
from penstock.parsing.formats import embedded, read
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.legacy_embedded import with_embedded
from penstock.parsing.media_type import detect

P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEADING = '<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>'


def blocks(path: Path, content: bytes, media_type: str = types.DOCX) -> list[Block]:
    path.write_bytes(content)
    return list(read(path, media_type))


def texts(found: list[Block]) -> list[tuple[str, str]]:
    return [(block.origin.value, block.text) for block in found]


def holding(content: bytes, name: str = "inner.docx", *, kind: str = "package", text: str = "Outer") -> bytes:
    """A docx with a file inside."""
    return word_document(word_paragraph(text), {f"embeddings/{name}": content}, **{f"{kind}1": f"embeddings/{name}"})


def native(label: str, data: bytes, *, kind: int = 2) -> bytes:
    """An OLE object of a file that was dropped into a document."""
    strings = label.encode("cp1252") + b"\0C:\\temp\\" + label.encode("cp1252") + b"\0"
    packed = (
        struct.pack("<H", kind) + strings + struct.pack("<II", 3, 4) + b"C:\\\0" + struct.pack("<I", len(data)) + data
    )
    return compound_file({"\x01Ole10Native": struct.pack("<I", len(packed)) + packed, "\x01CompObj": b"x"})


def test_an_embedded_document_is_text_of_the_file(tmp_path: Path) -> None:
    found = blocks(tmp_path / "object", holding(word_document(HEADING.format("Title") + word_paragraph("Inner"))))
    assert texts(found) == [
        ("body", "Outer"),
        ("embedded", "Embedded file: inner.docx"),
        ("embedded", "Title"),
        ("embedded", "Inner"),
    ]
    assert [block.level for block in found] == [0, 2, 3, 0]


def test_files_in_headers_and_notes_are_read_too(tmp_path: Path) -> None:
    parts: dict[str, str | bytes] = {
        "header1.xml": f'<w:hdr xmlns:w="urn:w">{word_paragraph("Head")}</w:hdr>',
        "_rels/header1.xml.rels": relationships({"package1": "embeddings/a.txt"}),
        "embeddings/a.txt": b"In the header",
    }
    found = blocks(tmp_path / "object", word_document("", parts, header1="header1.xml"))
    assert texts(found)[1:] == [("embedded", "Embedded file: a.txt"), ("embedded", "In the header")]


@pytest.mark.parametrize(
    ("ole", "name"),
    [
        (native("Bericht für Zoë.txt", b"What it says."), "Bericht für Zoë.txt"),
        (compound_file({"CONTENTS": b"What it says.".ljust(4096)}), "ole1.bin"),
        (compound_file({"Package": word_document(word_paragraph("What it says."))}), "ole1.bin"),
    ],
)
def test_ole_objects_are_unpacked(tmp_path: Path, ole: bytes, name: str) -> None:
    found = blocks(tmp_path / "object", holding(ole, "ole1.bin", kind="oleObject"))
    assert texts(found)[1:] == [("embedded", f"Embedded file: {name}"), ("embedded", "What it says.")]


@pytest.mark.parametrize(
    "ole",
    [
        compound_file({"Equation Native": b"x"}),
        compound_file({"\x03OCXNAME": b"x"}),
        native("picture", b"x", kind=3),
        b"",
    ],
)
def test_objects_that_are_no_files_leave_no_text(tmp_path: Path, ole: bytes) -> None:
    found = blocks(tmp_path / "object", holding(ole, "ole1.bin", kind="oleObject"))
    assert not [block for block in found if "was not read" in block.text]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n", "it holds no text"),
        (b"PK\x03\x04 cut", "damaged"),
        (compound_file({"Other": b"x"}), "an OLE container"),
        (compound_file({"x": b"x"})[:600], "damaged"),
        (package({"EncryptedPackage": "x"}), "a zip archive"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_a_note(tmp_path: Path, content: bytes, reason: str) -> None:
    found = blocks(tmp_path / "object", holding(content, "inner.bin"))
    assert found[0].text == "Outer"
    assert found[-1].text.startswith("(inner.bin was not read: ")
    assert reason in found[-1].text
    assert found[-1].origin is Origin.EMBEDDED


def test_the_workbook_behind_a_chart_is_not_read_twice(tmp_path: Path) -> None:
    parts: dict[str, str | bytes] = {
        "chart1.xml": "<c:chart xmlns:c='urn:c'><c:ser><c:val><c:pt><c:v>7</c:v></c:pt></c:val></c:ser></c:chart>",
        "_rels/chart1.xml.rels": relationships({"package1": "embeddings/data.xlsx"}),
        "embeddings/data.xlsx": b"never read",
    }
    found = blocks(tmp_path / "object", word_document(word_paragraph("Body"), parts, chart1="chart1.xml"))
    assert texts(found) == [("body", "Body"), ("body", "7")]


def test_other_documents_in_place_of_a_paragraph_are_body(tmp_path: Path) -> None:
    chunk = f'<w:altChunk xmlns:r="{R}" r:id="aFChunk{{}}"/>'.format
    parts: dict[str, str | bytes] = {
        "a.html": "<html><h1>Of the page</h1><p>and its text</p></html>",
        "b.docx": word_document(word_paragraph("of another program")),
    }
    body = (
        word_paragraph("Before") + chunk(1) + word_paragraph("between") + chunk(2) + chunk(3) + word_paragraph("after")
    )
    found = blocks(tmp_path / "object", word_document(body, parts, aFChunk1="a.html", aFChunk2="b.docx"))
    assert [block.text for block in found] == [
        "Before", "Of the page", "and its text", "between", "of another program", "after"
    ]  # fmt: skip
    assert {block.origin for block in found} == {Origin.BODY}


def slides(tmp_path: Path) -> bytes:
    slide = (
        '<p:sld xmlns:p="urn:p" xmlns:a="urn:a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p>'
    )
    slide += "</p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    ids = '<p:sldId r:id="slide1"/><p:sldId r:id="slide2"/>'
    return package(
        {
            "_rels/.rels": relationships({"officeDocument": "ppt/presentation.xml"}),
            "ppt/_rels/presentation.xml.rels": relationships({"slide1": "s1.xml", "slide2": "s2.xml"}),
            "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>{ids}</p:sldIdLst>'
            "</p:presentation>",
            "ppt/s1.xml": slide.format("first"),
            "ppt/s2.xml": slide.format("second"),
            "ppt/_rels/s2.xml.rels": relationships({"package1": "inner.xlsx"}),
            "ppt/inner.xlsx": sheets("cell", "ole1.bin", native("note.txt", b"In a sheet")),
        }
    )


def sheets(text: str, name: str, content: bytes) -> bytes:
    row = f'<row><c t="inlineStr"><is><t>{text}</t></is></c></row>'
    sheet = '<sheet name="One" r:id="worksheet1"/><sheet name="Two" state="hidden" r:id="worksheet2"/>'
    return package(
        {
            "[Content_Types].xml": '<Types><Override ContentType="x/spreadsheetml.sheet.main+xml"/></Types>',
            "_rels/.rels": relationships({"officeDocument": "xl/workbook.xml"}),
            "xl/_rels/workbook.xml.rels": relationships({"worksheet1": "s1.xml", "worksheet2": "s2.xml"}),
            "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{sheet}</sheets></workbook>',
            "xl/s1.xml": f'<worksheet xmlns="{S}"><sheetData>{row}</sheetData></worksheet>',
            "xl/s2.xml": f'<worksheet xmlns="{S}"><sheetData/></worksheet>',
            "xl/_rels/s2.xml.rels": relationships({"oleObject1": name}),
            f"xl/{name}": content,
        }
    )


def test_embedded_files_stand_on_the_slide_and_sheet_that_holds_them(tmp_path: Path) -> None:
    found = blocks(tmp_path / "object", slides(tmp_path), types.PPTX)
    assert [(block.origin.value, block.text, block.page) for block in found] == [
        ("body", "first", 1),
        ("body", "second", 2),
        ("embedded", "Embedded file: inner.xlsx", 2),
        ("embedded", "One", 2),
        ("embedded", "cell", 2),
        ("embedded", "Two", 2),
        ("embedded", "Embedded file: note.txt", 2),
        ("embedded", "In a sheet", 2),
    ]


def test_embedded_files_are_not_held_against_the_reader(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(slides(tmp_path))
    coverage = Coverage()
    list(read(tmp_path / "object", types.PPTX, coverage))
    assert (coverage.counted, coverage.missed) == (2, 0)


def test_a_document_with_nothing_but_an_embedded_one_has_text(tmp_path: Path) -> None:
    found = blocks(tmp_path / "object", holding(b"words", "a.txt", text=""))
    assert [block.text for block in found] == ["Embedded file: a.txt", "words"]


def test_attachments_of_a_pdf_are_on_none_of_its_pages(tmp_path: Path) -> None:
    document = pdfium.PdfDocument.new()
    document.new_page(200, 200)
    document.new_attachment("a ü.txt").set_data(b"What it says.")
    document.new_attachment("b.docx").set_data(word_document(word_paragraph("More.")))
    document.new_attachment("c.txt")
    document.save(tmp_path / "object")
    found = list(read(tmp_path / "object", types.PDF))
    assert [(block.origin.value, block.text, block.page) for block in found] == [
        ("embedded", "Embedded file: a ü.txt", None),
        ("embedded", "What it says.", None),
        ("embedded", "Embedded file: b.docx", None),
        ("embedded", "More.", None),
        ("embedded", "(c.txt was not read: It is empty, or damaged inside the PDF.)", None),
    ]


def test_ole_objects_of_open_document_stand_on_their_page(tmp_path: Path) -> None:
    names = (
        'xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
        'xmlns:d="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:x="http://www.w3.org/1999/xlink"'
    )
    page = '<d:page><d:frame><d:object-ole x:href="./Obj{}"/></d:frame><t:p>page {}</t:p></d:page>'.format
    content = f"<o:document-content {names}><o:body>{page(1, 1)}{page(2, 2)}</o:body></o:document-content>"
    file = package({"mimetype": types.ODP, "content.xml": content, "Obj2": native("note.txt", b"In an object")})
    found = blocks(tmp_path / "object", file, types.ODP)
    assert [(block.origin.value, block.text, block.page) for block in found] == [
        ("body", "page 1", 1),
        ("embedded", "Embedded file: note.txt", 2),
        ("embedded", "In an object", 2),
        ("body", "page 2", 2),
    ]


# ---- before 2007 ----

SUBJECT = {("__SUBSTG1.0_0037001F",): "A message".encode("utf-16-le"), ("__PROPERTIES_VERSION1.0",): bytes(32)}


def objects_of(tmp_path: Path, content: bytes) -> list[tuple[str, str]]:
    """What a reader of before 2007 gives besides the text of the file itself."""

    def reader(path: Path) -> Iterator[Block]:
        yield Block(f"from {path.name}")

    def read_inner(path: Path, name: str, embedded: EmbeddedFiles) -> Iterator[Block]:
        return read(path, detect(path, name))

    (tmp_path / "object").write_bytes(content)
    found = list(with_embedded(tmp_path / "object", reader=reader, embedded=EmbeddedFiles(read_inner)))
    assert found.pop(0) == Block("from object")
    return texts(found)


@pytest.mark.parametrize("folder", [("ObjectPool", "_1"), ("MBD0012",)])
def test_storages_inside_word_and_excel_are_files(tmp_path: Path, folder: tuple[str, ...]) -> None:
    inside = {(*folder, *path): data for path, data in SUBJECT.items()}
    picture = {(*folder[:-1], f"{folder[-1]}9", "\x02OlePres000"): b"a picture of an object without content"}
    found = objects_of(tmp_path, packed({("WordDocument",): b"x", **inside, **picture}))
    assert found[:2] == [("embedded", "Embedded file: object 1"), ("embedded", "A message")]
    assert "object 2" not in str(found)


def test_objects_inside_powerpoint_are_files(tmp_path: Path) -> None:
    def record(kind: int, data: bytes, instance: int = 0) -> bytes:
        return struct.pack("<HHI", instance << 4, kind, len(data)) + data

    message = packed(SUBJECT)
    stream = record(1, b"other") + record(0x1011, message) + record(0x1011, bytes(4) + zlib.compress(message), 1)
    found = objects_of(tmp_path, packed({("PowerPoint Document",): stream}))
    assert [text for _, text in found] == [
        "Embedded file: object 1", "A message", "Subject: A message",
        "Embedded file: object 2", "A message", "Subject: A message",
    ]  # fmt: skip


def test_damaged_objects_inside_powerpoint_leave_a_note(tmp_path: Path) -> None:
    stream = struct.pack("<HHI", 1 << 4, 0x1011, 1 << 30) + b"\0\0\0\0not compressed at all"
    found = objects_of(tmp_path, packed({("PowerPoint Document",): stream}))
    assert found == [("embedded", "(object 1 was not read: It is damaged.)")]


@given(
    st.dictionaries(
        st.lists(st.sampled_from("ABC"), min_size=3, max_size=3).map(tuple), st.binary(max_size=9_000), max_size=6
    )
)
def test_packed_streams_are_found_again(streams: dict[tuple[str, ...], bytes]) -> None:
    container = CompoundFile(packed(streams))
    assert {path: container.read(*path) for path in container.streams} == streams


# ---- bounds ----


def test_files_in_files_are_read_to_a_depth(tmp_path: Path) -> None:
    content = word_document(word_paragraph("innermost"))
    for level in range(8):
        content = holding(content, text=f"level {level}")
    found = [block.text for block in blocks(tmp_path / "object", content)]
    assert [text for text in found if text.startswith("level")] == [f"level {level}" for level in range(7, 1, -1)]
    assert found[-1].startswith("(inner.docx was not read: There are more")


def test_many_files_in_a_file_are_not_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MAX_FILES", 3)
    parts: dict[str, str | bytes] = {f"{number}.txt": f"text {number}" for number in range(5)}
    content = word_document("", parts, **{f"package{number}": f"{number}.txt" for number in range(5)})
    found = [block.text for block in blocks(tmp_path / "object", holding(content))]
    assert [text for text in found if text.startswith("text")] == ["text 0", "text 1"]
    assert len([text for text in found if "was not read" in text]) == 3


def test_many_bytes_in_a_file_are_not_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MAX_BYTES", 100)
    parts: dict[str, str | bytes] = {"1.txt": "a" * 60, "2.txt": "b" * 60, "3.txt": "c" * 40}
    content = word_document("", parts, package1="1.txt", package2="2.txt", package3="3.txt")
    found = [block.text for block in blocks(tmp_path / "object", content)]
    assert found[1] == "a" * 60
    assert found[3].startswith("(2.txt was not read")
    assert found[5] == "c" * 40


def test_a_bomb_inside_leaves_a_note(tmp_path: Path) -> None:
    bomb = package({"word/document.xml": bytes(100 * 1024**2)})
    found = blocks(tmp_path / "object", holding(bomb))
    assert "bomb" in found[-1].text


def test_a_document_whose_embedded_files_are_empty(tmp_path: Path) -> None:
    with pytest.raises(NoText):
        blocks(tmp_path / "object", word_document(""))
