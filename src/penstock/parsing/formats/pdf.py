"""PDF, page by page, by PDFium.

The lines of a page and their places are `pdf_text`'s business; what they are (heading, part of a paragraph, row of a
table, running header) is `layout`'s. Here are the document, its outline, and what was written on its pages afterwards.
"""

# pypdfium2 has no type stubs, and its raw bindings are made at run time.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import ctypes
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, NoText, PasswordProtected
from penstock.parsing.coverage import Coverage, PageCoverage
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.embedded import MAX_FILES, EmbeddedFiles
from penstock.parsing.formats.layout import Layout, Outline, title_key
from penstock.parsing.formats.page_lines import Line, Page
from penstock.parsing.formats.pdf_text import text_lines
from penstock.parsing.formats.scans import no_text, recognise_page
from penstock.parsing.recognition.tesseract import NoRecogniser, Recogniser

LONGEST_NOTE = 64 * 1024
"""Bytes of one note or form field."""
DEEPEST_OUTLINE = 6
MOST_TITLES = 20_000
"""Entries of an outline that are read."""
PAGES_OF_AN_OPENING = 500
"""PDFium keeps what it has read of a document until that is closed, about 20 kB a page."""

_REMARKS = frozenset({
    pdfium_c.FPDF_ANNOT_TEXT, pdfium_c.FPDF_ANNOT_FREETEXT, pdfium_c.FPDF_ANNOT_HIGHLIGHT,
    pdfium_c.FPDF_ANNOT_UNDERLINE, pdfium_c.FPDF_ANNOT_SQUIGGLY, pdfium_c.FPDF_ANNOT_STRIKEOUT,
    pdfium_c.FPDF_ANNOT_STAMP, pdfium_c.FPDF_ANNOT_CARET, pdfium_c.FPDF_ANNOT_INK, pdfium_c.FPDF_ANNOT_LINE,
    pdfium_c.FPDF_ANNOT_SQUARE, pdfium_c.FPDF_ANNOT_CIRCLE, pdfium_c.FPDF_ANNOT_POLYGON,
    pdfium_c.FPDF_ANNOT_POLYLINE,
})  # fmt: skip
"""Annotations whose contents a reader wrote. Popups only repeat those of the annotation they belong to."""
_UNSAID = frozenset({"Off", "Yes", "On"})
"""Values of boxes to tick."""


def read_pdf(
    path: Path, *, embedded: EmbeddedFiles, recogniser: Recogniser | NoRecogniser, coverage: Coverage
) -> Iterator[Block]:
    """Blocks with their pages; some pages are in memory at a time. Pages that are scans are recognised.

    Raises `PasswordProtected`, `CorruptFile`, or `NoText` for a PDF that holds nothing but pictures.
    """
    with _open(path) as document:
        layout = Layout(_outline(document))
        check = PageCoverage(coverage)
        found = False
        for number, opened in _page_by_page(document, path):
            page = _read_page(opened, number, recogniser, coverage)
            found = found or bool(page.lines or page.notes or page.recognised)
            check.heard(number, (piece for line in page.lines for piece in _as_said(line)))
            yield from check.passed(layout.add_page(page))
        yield from check.passed(layout.finish())
        yield from check.rest()
        yield from _attachments(document, embedded)
        if not found and not document.count_attachments():
            raise NoText(no_text(len(document), recogniser))


def _page_by_page(document: pdfium.PdfDocument, path: Path) -> Iterator[tuple[int, pdfium.PdfDocument]]:
    """The number of each page, and the document to read it from: opened again every so many pages."""
    count = len(document)
    yield from ((number, document) for number in range(1, min(count, PAGES_OF_AN_OPENING) + 1))
    for first in range(1 + PAGES_OF_AN_OPENING, count + 1, PAGES_OF_AN_OPENING):
        with _open(path) as opened:
            yield from ((number, opened) for number in range(first, min(count, first + PAGES_OF_AN_OPENING - 1) + 1))


def _as_said(line: Line) -> Iterable[str]:
    """A line by its cells, which stand in a row as they are."""
    return (cell.text for cell in line.cells) if line.cells else (line.text,)


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


def _outline(document: pdfium.PdfDocument) -> Outline:
    titles: dict[int | None, dict[str, int]] = {}
    try:
        for bookmark in islice(document.get_toc(max_depth=DEEPEST_OUTLINE), MOST_TITLES):
            if title := title_key(bookmark.get_title()):
                titles.setdefault(_page_of(bookmark), {}).setdefault(title, bookmark.level + 1)
    except (pdfium.PdfiumError, UnicodeError):
        return titles  # a damaged outline costs headings, not text
    return titles


def _page_of(bookmark: pdfium.PdfBookmark) -> int | None:
    """The page that the title leads to, from 1."""
    destination = bookmark.get_dest()
    index = None if destination is None else destination.get_index()
    return None if index is None else index + 1


def _read_page(
    document: pdfium.PdfDocument, number: int, recogniser: Recogniser | NoRecogniser, coverage: Coverage
) -> Page:
    """Empty for a page that cannot be loaded, of which a damaged file may have several."""
    try:
        page = document[number - 1]
    except pdfium.PdfiumError:
        coverage.leave_out(number)
        return Page(number, [])
    try:
        lines = text_lines(page)
        recognised = recognise_page(page, number, [line.text for line in lines], recogniser)
        if not recognised.was_read:
            coverage.leave_out(number)
        return Page(number, lines, list(_notes(page.raw, number)), list(recognised.blocks))
    finally:
        page.close()


def _notes(page: object, number: int) -> Iterator[Block]:
    """What was written on the page afterwards: values of form fields, remarks. PDFium's text leaves them out."""
    for at in range(pdfium_c.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium_c.FPDFPage_GetAnnot(page, at)
        kind = pdfium_c.FPDFAnnot_GetSubtype(annotation)
        text, origin = "", Origin.COMMENT
        if kind == pdfium_c.FPDF_ANNOT_WIDGET:
            text, origin = _annotation_string(annotation, b"V"), Origin.FORM_FIELD
        elif kind in _REMARKS:
            text = _annotation_string(annotation, b"Contents")
        pdfium_c.FPDFPage_CloseAnnot(annotation)
        if text and text not in _UNSAID:
            yield Block(text, BlockKind.PAGE_FURNITURE, page=number, origin=origin)


def _annotation_string(annotation: object, key: bytes) -> str:
    size = min(pdfium_c.FPDFAnnot_GetStringValue(annotation, key, None, 0), LONGEST_NOTE)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium_c.FPDFAnnot_GetStringValue(annotation, key, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").partition("\0")[0].strip()
