"""PDF, page by page, by PDFium.

PDFium gives the text of a page line by line. What a line is (heading, part of a paragraph, table row, running
header) is read from its place and size on the page, of which PDFium is asked for the first and the last character
only: that keeps the speed within reach of the raw text's.
"""

# pypdfium2 has no type stubs, and its raw bindings are made at run time.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import ctypes
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, NoText, PasswordProtected
from penstock.parsing.coverage import Coverage, PageCoverage
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.embedded import MAX_FILES, EmbeddedFiles
from penstock.parsing.formats.layout import Layout, Line, Page
from penstock.parsing.formats.scans import no_text, recognise_page
from penstock.parsing.recognition.tesseract import NoRecogniser, Recogniser

HYPHEN = "\ufffe"
"""PDFium's mark for a hyphen at a line's end; the line break after it is left out."""
LONGEST_NOTE = 64 * 1024
"""Bytes of one note or form field."""
BOLD_WEIGHT = 600
LONGEST_BOLD = 120
"""Characters; only lines that can be headings are asked for their font."""


_NOTE_KEYS = {
    pdfium_c.FPDF_ANNOT_WIDGET: b"V",
    pdfium_c.FPDF_ANNOT_TEXT: b"Contents",
    pdfium_c.FPDF_ANNOT_FREETEXT: b"Contents",
}
_UNSAID = frozenset({"Off", "Yes", "On"})
"""Values of boxes to tick."""


def read_pdf(
    path: Path, *, embedded: EmbeddedFiles, recogniser: Recogniser | NoRecogniser, coverage: Coverage
) -> Iterator[Block]:
    """Blocks with their pages; two pages are in memory at a time. Pages that are scans are recognised.

    Raises `PasswordProtected`, `CorruptFile`, or `NoText` for a PDF that holds nothing but pictures.
    """
    with _open(path) as document:
        layout = Layout(_outline(document))
        check = PageCoverage(coverage)
        found = False
        for number in range(1, len(document) + 1):
            page = _read_page(document, number, recogniser)
            found = found or bool(page.lines or page.notes or page.recognised)
            check.heard(number, (line.text for line in page.lines))
            yield from check.passed(layout.add_page(page))
        yield from check.passed(layout.finish())
        yield from check.rest()
        yield from _attachments(document, embedded)
        if not found and not document.count_attachments():
            raise NoText(no_text(len(document), recogniser))


def _attachments(document: pdfium.PdfDocument, embedded: EmbeddedFiles) -> Iterator[Block]:
    """The files that the document carries with it as a whole; they are on none of its pages."""
    for at in range(min(document.count_attachments(), MAX_FILES)):
        yield from embedded.embedded(_attachment_name(document, at), partial(_attachment_data, document, at))


def _attachment_name(document: pdfium.PdfDocument, at: int) -> str:
    try:
        return one_line(document.get_attachment(at).get_name())
    except pdfium.PdfiumError:
        return ""  # its data may still be sound


def _attachment_data(document: pdfium.PdfDocument, at: int) -> bytes:
    try:
        return bytes(document.get_attachment(at).get_data())
    except pdfium.PdfiumError as error:
        raise CorruptFile("It is empty, or damaged inside the PDF.") from error


@contextmanager
def _open(path: Path) -> Generator[pdfium.PdfDocument]:
    """PDFium's document; one encrypted with the empty password opens like any other."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise PasswordProtected from error
        raise CorruptFile(f"The file is a damaged or incomplete PDF ({error}).") from error
    try:
        yield document
    finally:
        document.close()


def _outline(document: pdfium.PdfDocument) -> dict[str, int]:
    """Level of each title in the document's outline, from 1."""
    levels: dict[str, int] = {}
    try:
        for bookmark in document.get_toc(max_depth=6):
            title = one_line(bookmark.get_title()).casefold()
            if title:
                levels.setdefault(title, bookmark.level + 1)
    except (pdfium.PdfiumError, UnicodeError):
        return levels  # a damaged outline costs headings, not text
    return levels


def _read_page(document: pdfium.PdfDocument, number: int, recogniser: Recogniser | NoRecogniser) -> Page:
    """Empty for a page that cannot be loaded, of which a damaged file may have several."""
    try:
        page = document[number - 1]
    except pdfium.PdfiumError:
        return Page(number, [])
    try:
        lines = _text_lines(page)
        recognised = recognise_page(page, number, [line.text for line in lines], recogniser)
        return Page(number, lines, list(_notes(page.raw)), recognised)
    finally:
        page.close()


def _text_lines(page: pdfium.PdfPage) -> list[Line]:
    try:
        text_page = page.get_textpage()
    except pdfium.PdfiumError:
        return []
    try:
        return list(_lines(text_page))
    finally:
        text_page.close()


def _notes(page: object) -> Iterator[str]:
    """What was written on the page afterwards: values of form fields, comments. PDFium's text leaves them out."""
    for at in range(pdfium_c.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, at)
        key = _NOTE_KEYS.get(pdfium_c.FPDFAnnot_GetSubtype(annotation))
        text = _annotation_string(annotation, key) if key else ""
        pdfium_c.FPDFPage_CloseAnnot(annotation)
        if text and text not in _UNSAID:
            yield text


def _annotation_string(annotation: object, key: bytes) -> str:
    size = min(pdfium_c.FPDFAnnot_GetStringValue(annotation, key, None, 0), LONGEST_NOTE)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium_c.FPDFAnnot_GetStringValue(annotation, key, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").partition("\0")[0].strip()


def _lines(text_page: pdfium.PdfTextPage) -> Iterator[Line]:
    text = text_page.get_text_range(errors="replace")
    raw = text_page.raw
    exact = text_page.count_chars() == len(text)
    """Whether positions in the text are PDFium's character numbers; they differ where it leaves characters out."""
    at = 0
    for line in text.split("\r\n"):
        start, end = at + len(line) - len(line.lstrip()), at + len(line.rstrip()) - 1
        at += len(line) + 2
        if end < start:
            continue
        if not exact:
            start = pdfium_c.FPDFText_GetCharIndexFromTextIndex(raw, start)
            end = pdfium_c.FPDFText_GetCharIndexFromTextIndex(raw, end)
        yield _place(raw, _without_hyphens(line), start, end)


def _place(raw: object, text: str, start: int, end: int) -> Line:
    first, last, matrix = pdfium_c.FS_RECTF(), pdfium_c.FS_RECTF(), pdfium_c.FS_MATRIX()
    pdfium_c.FPDFText_GetLooseCharBox(raw, start, ctypes.byref(first))
    pdfium_c.FPDFText_GetLooseCharBox(raw, end, ctypes.byref(last))
    pdfium_c.FPDFText_GetMatrix(raw, start, ctypes.byref(matrix))
    # The font size is that of the text's own space; the matrix scales it to the page's points.
    size = pdfium_c.FPDFText_GetFontSize(raw, start) * math.hypot(matrix.c, matrix.d)
    bold = len(text) <= LONGEST_BOLD and _is_bold(raw, start) and _is_bold(raw, end)
    left, right = sorted((first.left, last.right))  # the first character is the rightmost one in Hebrew and Arabic
    return Line(text, left, right, first.bottom, last.bottom, round(size, 1), bold)


def _is_bold(raw: object, at: int) -> bool:
    if pdfium_c.FPDFText_GetFontWeight(raw, at) >= BOLD_WEIGHT:
        return True
    name = ctypes.create_string_buffer(64)
    flags = ctypes.c_int()
    pdfium_c.FPDFText_GetFontInfo(raw, at, name, 64, ctypes.byref(flags))
    return b"bold" in name.value.lower()


def _without_hyphens(line: str) -> str:
    return one_line(line.replace(HYPHEN, ""))
