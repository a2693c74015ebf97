"""What a file is: content first, the name only between kinds of text."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest
from compound_files import compound_file

from penstock.errors import CorruptFile, FileError, NoText, PasswordProtected, UnsupportedFormat
from penstock.parsing import media_type as types
from penstock.parsing.media_type import detect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "object"


def found(path: Path, content: bytes | str, name: str = "file") -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return detect(path, name)


def zipped(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def content_types(main: str) -> str:
    return f'<Types><Override PartName="/main.xml" ContentType="application/vnd.{main}.main+xml"/></Types>'


MAIL = "From: a@example.com\nTo: b@example.com\nSubject: Hello\n\nText"
SMALL_PDF = "%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\n"
HTML_PAGE = "<!DOCTYPE html>\n<html><body><p>Text</p></body></html>"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"%PDF-1.7\n", types.PDF),
        (b"\n\nleading junk %PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n", types.PDF),
        (b"\0\1 leading junk %PDF-1.4\n", types.PDF),
        (b"{\\rtf1\\ansi text}", types.RTF),
        (HTML_PAGE, types.HTML),
        ("<!-- saved -->\n<HTML><p>Text", types.HTML),
        ('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', types.HTML),
        ('<?xml version="1.0"?><rss><title>News</title></rss>', types.XML),
        (MAIL, types.EML),
        (f"From a@example.com Mon Nov 23 10:00:00 2026\n{MAIL}", types.MBOX),
        ('{"a": [1, 2, {"b": null}]}', types.JSON),
        ('{"a": 1}\n{"a": 2}\n{"a": 3}\n', types.JSON_LINES),
        (json.dumps({"nbformat": 4, "cells": []}), types.NOTEBOOK),
        ("# Title\n\n- one\n- two\n\n[link](https://example.com)\n", types.MARKDOWN),
        ("\\documentclass{article}\n\\begin{document}Text", types.LATEX),
        ("name,age\nAda,36\nAlan,41\n", types.CSV),
        ("name\tage\nAda\t36\nAlan\t41\n", types.TSV),
        ("Only words here, and more.\nA second line.\n", types.PLAIN),
        ("Grüße aus Köln".encode("latin-1"), types.PLAIN),
        ("Hello".encode("utf-16"), types.PLAIN),
        (MAIL.encode("utf-16-be"), types.EML),
        ("日本語のテキストです。これは長い文章です。".encode("shift-jis") * 5, types.PLAIN),
    ],
)
@pytest.mark.parametrize("name", ["file", "file.pdf", "file.docx", "file.png"])
def test_content_decides(path: Path, content: bytes | str, media_type: str, name: str) -> None:
    assert found(path, content, name) == media_type


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        ("# Title\n\ntext", "notes.md", types.MARKDOWN),
        ("# Title\n\n- a\n- b\n- c\n", "notes.txt", types.PLAIN),
        ("<p align=center>\n<img src=a>\n</p>\n\n# Title\n", "README.md", types.MARKDOWN),
        ("a;b\n1;2\n", "values.csv", types.CSV),
        ("a\tb\n1\t2\n", "values.csv", types.TSV),
        ("one column\nonly\n", "values.csv", types.CSV),
        ("Title\n=====\n", "page.rst", types.RST),
        ("* Title\n", "page.org", types.ORG),
        ("= Title\n", "page.adoc", types.ASCIIDOC),
        ("\\section{One}", "paper.tex", types.LATEX),
        ('{"broken": ', "data.json", types.JSON),
        ('{"broken": ', "data.txt", types.PLAIN),
        ("<p>one</p>", "page.html", types.HTML),
        ("Subject: only one header\n\nText", "mail.eml", types.EML),
        ("Note: this is not mail\n\nText", "mail.txt", types.PLAIN),
        (HTML_PAGE, "page.txt", types.HTML),
        ("# Detection\n\nA PDF file begins with `%PDF-`, a zip file with `PK`.\n", "detection.md", types.MARKDOWN),
        (f"# By hand\n\n```\n{SMALL_PDF}```\n", "by-hand.md", types.MARKDOWN),
        (f"HTTP/1.1 200 OK\n\n{SMALL_PDF}stream\n\0\1\2\nendstream\n", "saved.txt", types.PDF),
        (SMALL_PDF, "named.txt", types.PDF),
        ("A file that begins with %PDF-1.4 is one of PDF.\n", "mail", types.PLAIN),
    ],
)
def test_the_name_settles_ties(path: Path, content: str, name: str, media_type: str) -> None:
    assert found(path, content, name) == media_type


@pytest.mark.parametrize(
    ("main", "media_type"),
    [
        ("openxmlformats-officedocument.wordprocessingml.document", types.DOCX),
        ("ms-word.document.macroEnabled", types.DOCX),
        ("openxmlformats-officedocument.spreadsheetml.sheet", types.XLSX),
        ("ms-excel.sheet.macroEnabled", types.XLSX),
        ("openxmlformats-officedocument.presentationml.slideshow", types.PPTX),
    ],
)
def test_office_files_by_their_content_types(path: Path, main: str, media_type: str) -> None:
    zipped(path, {"[Content_Types].xml": content_types(main)})
    assert detect(path, "report.zip") == media_type


@pytest.mark.parametrize("media_type", [types.ODT, types.ODS, types.ODP, types.EPUB])
def test_containers_that_say_what_they_are(path: Path, media_type: str) -> None:
    zipped(path, {"mimetype": media_type})
    assert detect(path, "x") == media_type


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"8BPS\0\x01" + bytes(20), "Photoshop"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"MZ\x90\x00", "Windows program"),
        (bytes(257) + b"ustar\x0000", "tar"),
        (bytes(4096), "binary"),
        (bytes(range(256)) * 16, "binary"),
        (b"\xdb\xa5\x2d\x00", "Word 2"),
    ],
)
def test_unreadable_kinds_are_named(path: Path, content: bytes, what: str) -> None:
    with pytest.raises(UnsupportedFormat, match=what) as caught:
        found(path, content, "report.pdf")
    assert "convert it to a format that it does" in caught.value.message


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(20), types.PNG),
        (b"\xff\xd8\xff\xe0", types.JPEG),
        (b"II*\0\x08\0\0\0", types.TIFF),
        (b"MM\0*\0\0\0\x08", types.TIFF),
        (b"II+\0\x08\0\0\0", types.TIFF),
        (b"GIF89a\x01\0\x01\0", types.GIF),
        (b"RIFF\x10\0\0\0WEBPVP8 ", types.WEBP),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(36), types.BMP),
        (b"BMW and other makers of cars", types.PLAIN),
    ],
)
def test_pictures_are_known_by_their_content(path: Path, content: bytes, media_type: str) -> None:
    assert found(path, content, "report.pdf") == media_type


def test_archives_are_named(path: Path) -> None:
    zipped(path, {"a.txt": "text"})
    with pytest.raises(UnsupportedFormat, match="zip archive"):
        detect(path, "file.docx")


def test_an_empty_file_says_so(path: Path) -> None:
    with pytest.raises(NoText, match="empty"):
        found(path, b"", "report.pdf")
    with pytest.raises(NoText, match="white space"):
        found(path, b" \n\t\n", "report.txt")


def test_a_cut_container_is_damaged(path: Path) -> None:
    zipped(path, {"[Content_Types].xml": content_types("ms-word.document")})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorruptFile):
        detect(path, "report.docx")


def test_what_is_left_of_a_pdf_is_damaged_and_no_text(path: Path) -> None:
    objects = b"".join(b"%d 0 obj\n<< /Type /Page >>\nendobj\n" % number for number in range(9))
    with pytest.raises(CorruptFile, match="parts of a PDF"):
        found(path, b"<<<\x01\x08\x02)>>\n" + objects, "report.pdf")
    assert found(path, objects, "about.txt") == types.PLAIN, "a text may speak of it"


def test_an_encrypted_open_document_is_protected(path: Path) -> None:
    zipped(path, {"mimetype": types.ODT, "META-INF/manifest.xml": "<manifest:encryption-data/>"})
    with pytest.raises(PasswordProtected):
        detect(path, "x.odt")


# ---- OLE2 ----


@pytest.mark.parametrize(
    ("streams", "media_type"),
    [
        ({"WordDocument": bytes(32)}, types.DOC),
        ({"Workbook": bytes.fromhex("0908100000060500")}, types.XLS),
        ({"WORKBOOK": bytes.fromhex("0908100000060500")}, types.XLS),
        ({"Book": bytes.fromhex("09080800")}, types.XLS),
        ({"PowerPoint Document": b"x", "Current User": b"x"}, types.PPT),
        ({"__properties_version1.0": b"x"}, types.MSG),
    ],
)
def test_legacy_office_by_stream_names(path: Path, streams: dict[str, bytes], media_type: str) -> None:
    assert found(path, compound_file(streams), "a.txt") == media_type


@pytest.mark.parametrize(
    "streams",
    [
        {"EncryptedPackage": b"x", "EncryptionInfo": b"x"},
        {"WordDocument": bytes(11) + b"\x01"},
        {"Workbook": bytes.fromhex("0908040000060500") + bytes.fromhex("2f000400") + bytes(4)},
        {"PowerPoint Document": b"x", "EncryptedSummary": b"x"},
    ],
)
def test_encrypted_office_is_protected(path: Path, streams: dict[str, bytes]) -> None:
    with pytest.raises(PasswordProtected):
        found(path, compound_file(streams), "a.docx")


def test_drawings_are_named(path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match="Visio"):
        found(path, compound_file({"VisioDocument": b"x"}), "a.doc")


@pytest.mark.parametrize("length", [8, 60, 511, 600, 1100])
def test_a_cut_compound_file_is_a_file_error(path: Path, length: int) -> None:
    with pytest.raises(FileError):
        found(path, compound_file({"WordDocument": bytes(32)})[:length], "a.doc")


def test_a_ring_of_directory_entries_ends(path: Path) -> None:
    data = bytearray(compound_file({"A": b"x", "B": b"x"}))
    struct.pack_into("<I", data, 512 * 2 + 2 * 128 + 72, 1)  # B's right neighbour is A
    with pytest.raises(UnsupportedFormat):
        found(path, bytes(data), "a.doc")


def test_many_comments_take_no_time(path: Path) -> None:
    """A pattern that looks for the first tag behind them tried every way to part them, which are exponentially many."""
    assert found(path, "<!-- rule -->\n" * 2000 + "- A list.\n", "notes.md") == types.MARKDOWN
    assert found(path, "<!-- saved -->\n" * 100 + "<?xml version='1.0'?><!-- a --><html>") == types.HTML
    assert found(path, "<!-- never closed\n" * 100, "notes.md") == types.MARKDOWN


@pytest.mark.parametrize(
    ("main", "media_type"),
    [
        ("ms-word.document.macroEnabled", types.DOCX),
        ("openxmlformats-officedocument.wordprocessingml.template", types.DOCX),
        ("ms-word.template.macroEnabledTemplate", types.DOCX),
        ("ms-excel.sheet.macroEnabled", types.XLSX),
        ("openxmlformats-officedocument.spreadsheetml.template", types.XLSX),
        ("ms-excel.template.macroEnabled", types.XLSX),
        ("ms-excel.addin.macroEnabled", types.XLSX),
        ("ms-powerpoint.presentation.macroEnabled", types.PPTX),
        ("openxmlformats-officedocument.presentationml.slideshow", types.PPTX),
        ("ms-powerpoint.slideshow.macroEnabled", types.PPTX),
        ("openxmlformats-officedocument.presentationml.template", types.PPTX),
        ("ms-powerpoint.template.macroEnabled", types.PPTX),
    ],
)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_templates_shows_and_files_with_macros_are_their_siblings(
    path: Path, main: str, media_type: str, quote: str
) -> None:
    zipped(path, {"[Content_Types].xml": content_types(main).replace('"', quote)})
    assert detect(path, "file") == media_type


@pytest.mark.parametrize(
    ("kind", "media_type"), [("text", types.ODT), ("spreadsheet", types.ODS), ("presentation", types.ODP)]
)
def test_open_document_templates_and_single_files(path: Path, kind: str, media_type: str) -> None:
    assert detect(zipped(path, {"mimetype": f"application/vnd.oasis.opendocument.{kind}-template"}), "a") == media_type
    declared = f"office:version='1.3' office:mimetype='application/vnd.oasis.opendocument.{kind}'"
    assert found(path, f"<?xml version='1.0'?>\n<!-- x --><office:document {declared}><office:body/>") == media_type


def test_a_book_without_its_type_is_a_book(path: Path) -> None:
    assert detect(zipped(path, {"META-INF/container.xml": "<container/>"}), "a.zip") == types.EPUB


@pytest.mark.parametrize(
    "text",
    [
        "WEBVTT\n\n00:01.000 --> 00:02.000\nHello there\n", "1\n00:00:01,000 --> 00:00:02,000\nHello there\n",
        "name: x\nsteps:\n  - run: make\n", "[tool]\nname = 'x'\n", "2026-01-01 INFO started\n2026-01-02 ERROR: died\n",
        "import os\n\ndef f(x):\n    return x\n", "#include <stdio.h>\nint main() { return 0; }\n",
        "#!/bin/sh\necho hi\n", "BMW sold more cars.\n", "ID3 tags hold names.\n", "MZ is short for Mozambique.\n",
        "OTTO\n", "FORM 10-K\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["file", "a.log", "a.vtt", "a.yaml", "a.py", "a.xyz"])
def test_whatever_is_text_is_read_as_text(path: Path, text: str, name: str) -> None:
    assert found(path, text, name) == types.PLAIN


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"ID3\3\0" + bytes(50), "MP3"), (b"\xff\xfb\x90d" + bytes(200), "MP3"), (b"RIFF\0\0\0\0WAVEfmt ", "WAVE"),
        (b"\0\0\0\x18ftypmp42", "video"), (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b"MZ\x90\0\3", "program"), (b"\x7fELF\2\1\1", "program"), (b"a" * 257 + b"ustar\x0000", "tar"),
        (bytes(60) + b"BOOKMOBI", "Kindle"), (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae", "OneNote"),
        (b"!BDN\0\0", "Outlook"),
        (b"HWP Document File V3.00 \x1a\1\2\3", "Hangul"), (bytes(range(1, 256)), "binary data"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_it_seems_to_be(path: Path, content: bytes, what: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"{what}.* convert it to a format that it does"):
        found(path, content, "a.txt")
