"""What is damaged by `fuzz.py`: the corpora's files by media type, and a small one made here of each kind."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from penstock.errors import FileError
from penstock.parsing import media_type as types

LARGEST = 200_000
"""Bytes; what a larger file shows, a smaller one of its kind shows in less time."""
FOLDERS = ("formats", "hostile", "docs/pydantic+pydantic-ai")

Seed = tuple[str, bytes]
"""A name, whose ending some readers look at, and the content."""


def seeds(corpora: Path, *, most: int) -> dict[str, list[Seed]]:
    """At most so many files of each media type, spread over the corpora; those made here come first."""
    found: dict[str, list[Seed]] = {}
    for media_type, name, content in _made():
        found.setdefault(media_type, []).append((name, content))
    by_type: dict[str, list[Path]] = {}
    for path in sorted(path for folder in FOLDERS for path in (corpora / folder).rglob("*") if path.is_file()):
        if 0 < path.stat().st_size <= LARGEST and (media_type := _detected(path)):
            by_type.setdefault(media_type, []).append(path)
    for media_type, paths in by_type.items():
        every = max(1, len(paths) // most)
        found.setdefault(media_type, []).extend((path.name, path.read_bytes()) for path in paths[::every][:most])
    return dict(sorted(found.items()))


def _detected(path: Path) -> str | None:
    try:
        return types.detect(path, path.name)
    except FileError:
        return None


_WORDS = "The water runs down the penstock to the turbines; 1,234.50 m³ a day. Überlauf, 水力発電, مياه."
_MAIL = (
    "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\nTo: b@example.com\nSubject: =?iso-8859-2?Q?=BB?= Gauge 7\n"
    'Date: Mon, 23 Nov 2026 10:00:00 +0100\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="part"\n\n'
    "--part\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
    "Gr=FC=DFe from gauge 7.\n--part\nContent-Type: text/html; charset=utf-8\n\n<p>More of <b>it</b>.</p>\n"
    '--part\nContent-Type: text/csv; name="levels.csv"\nContent-Disposition: attachment; filename="levels.csv"\n'
    "Content-Transfer-Encoding: base64\n\nZ2F1Z2UsbGV2ZWwKNywzCjgsNAo=\n--part--\n"
)
_RTF = (
    "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset0 A;}{\\f1\\fcharset204 B;}}{\\stylesheet{\\s1 heading 1;}}"
    "{\\header Running}\\pard\\s1 Title\\par\\pard\\uc1 Gr\\'fc\\'dfe \\u1055?\\f1\\'cf\\'f0\\par"
    "\\trowd\\intbl a\\cell b\\cell\\row\\pard{\\footnote A note}{\\*\\unknown x}End.\\par}"
)
_MARKDOWN = f"# Title\n\n{_WORDS}\n\n- one\n- [two](http://x.example)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
_HTML = f"<!doctype html><meta charset=utf-8><h1>T</h1><p>{_WORDS}<table><tr><td>1<td>2</table>"
_XML = f'<?xml version="1.0" encoding="utf-8"?>\n<feed><title>T</title><entry a="1">{_WORDS}</entry></feed>'
_JSON = json.dumps({"gauge": [7, {"level": 3.5, "note": _WORDS}], "none": None}, indent=1)
_CELLS = (
    {"cell_type": "markdown", "source": ["# Title\n", _WORDS]},
    {"cell_type": "code", "source": "print(1)", "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
)
_BOX = "".join(f"From a@example.com Mon Nov 23 10:00:0{second} 2026\n{_MAIL}\n" for second in range(3))
_LATEX = f"\\documentclass{{article}}\n\\begin{{document}}\n\\section{{T}}\n{_WORDS} $x^2$\n\\end{{document}}\n"
_TEXTS = (
    (types.PLAIN, "a.txt", f"{_WORDS}\n\nSecond paragraph.\n"),
    (types.MARKDOWN, "a.md", _MARKDOWN),
    (types.HTML, "a.html", _HTML),
    (types.XML, "a.xml", _XML),
    (types.CSV, "a.csv", 'gauge,level\n7,"3,5"\n8,4\n9,"line\nbreak"\n'),
    (types.TSV, "a.tsv", "gauge\tlevel\n7\t3\n8\t4\n"),
    (types.JSON, "a.json", _JSON),
    (types.JSON_LINES, "a.jsonl", '{"gauge": 7}\n{"gauge": 8}\n{"gauge": "\\u6c34"}\n'),
    (types.NOTEBOOK, "a.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": _CELLS})),
    (types.EML, "a.eml", _MAIL),
    (types.MBOX, "a.mbox", _BOX),
    (types.RTF, "a.rtf", _RTF),
    (types.RST, "a.rst", f"Title\n=====\n\n{_WORDS}\n\n* one\n* two\n\n.. note:: Three\n"),
    (types.ORG, "a.org", f"* Title\n{_WORDS}\n** Sub\n| a | b |\n"),
    (types.LATEX, "a.tex", _LATEX),
    (types.ASCIIDOC, "a.adoc", f"= Title\n\n{_WORDS}\n\n== Sub\n\n* one\n"),
)
_NAMES = "".join(
    f' xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {"office": "office", "text": "text", "table": "table", "draw": "drawing"}.items()
)
_ROW = '<table:table-cell table:number-columns-repeated="3"><text:p>7</text:p></table:table-cell>'
_OPEN_DOCUMENTS = (
    (
        types.ODT, "a.odt", "text",
        '<text:h text:outline-level="1">T</text:h><text:p>Water<text:s text:c="3"/>runs</text:p>',
    ),
    (
        types.ODS, "a.ods", "spreadsheet",
        f'<table:table><table:table-row table:number-rows-repeated="2">{_ROW}</table:table-row></table:table>',
    ),
    (
        types.ODP, "a.odp", "presentation",
        "<draw:page><draw:frame><draw:text-box><text:p>Water runs</text:p></draw:text-box></draw:frame></draw:page>",
    ),
)  # fmt: skip


def _made() -> Iterator[tuple[str, str, bytes]]:
    for media_type, name, text in _TEXTS:
        yield media_type, name, text.encode()
    for media_type, name, kind, body in _OPEN_DOCUMENTS:
        inside = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
        content = f'<?xml version="1.0"?><office:document-content{_NAMES}>{inside}</office:document-content>'
        yield media_type, name, _zipped({"mimetype": media_type, "content.xml": content})
    yield types.XLSB, "a.xlsb", _binary_workbook()
    yield types.PDF, "a.pdf", _pdf()


def _zipped(members: dict[str, str | bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return written.getvalue()


def _binary_workbook() -> bytes:
    """[MS-XLSB]: a record is its number, its length (seven bits a byte) and its content."""

    def record(number: int, content: bytes = b"") -> bytes:
        head = bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80, number >> 7])
        return head + bytes([len(content)]) + content

    def string(text: str) -> bytes:
        return struct.pack("<I", len(text)) + text.encode("utf-16-le")

    sheet = record(156, struct.pack("<II", 0, 1) + string("rId1") + string("Levels"))
    cells = record(6, struct.pack("<II", 0, 0) + string("gauge")) + record(5, struct.pack("<IId", 1, 0, 3.5))
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    return _zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="bin" '
            'ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
            f'Type="{relation}/officeDocument" Target="xl/workbook.bin"/></Relationships>',
            "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
            f'Type="{relation}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>',
            "xl/workbook.bin": record(131) + record(143) + sheet + record(144) + record(132),
            "xl/worksheets/sheet1.bin": record(129) + record(148, struct.pack("<4I", 0, 0, 0, 1)) + record(145)
            + record(0, struct.pack("<IIHHBI", 0, 0, 300, 0, 0, 0)) + cells + record(146) + record(130),
        }
    )  # fmt: skip


def _pdf() -> bytes:
    """Two pages with an outline; `damaged_pdf` writes the tables, so here they may be missing."""
    content = b"BT /F 12 Tf 72 700 Td (Water runs down the penstock.) Tj 0 -14 Td [(Gau) -20 (ge 7)] TJ ET"
    stream = partial(b"<</Length %d>>\nstream\n%b\nendstream".__mod__, (len(content), content))()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>/Rotate 0>>"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R>>",
        b"<</Type/Pages/Count 2/Kids[3 0 R 8 0 R]>>",
        page,
        stream,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>",
        b"<</Title(Gauge)/Parent 6 0 R/Dest[3 0 R/Fit]>>",
        page,
    )
    body = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, each) for number, each in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer\n<</Size 9/Root 1 0 R>>\n%%EOF\n"
