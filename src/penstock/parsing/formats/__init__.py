"""Bytes of a known media type to Blocks, one module per family of formats."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pypdfium2 as pdfium  # pyright: ignore[reportMissingTypeStubs] - it has none
from lxml import etree

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, FileError, NoText, UnsupportedFormat
from penstock.parsing import media_type as types
from penstock.parsing.coverage import Coverage, supplemented
from penstock.parsing.formats.binary_sheets import read_binary_sheets
from penstock.parsing.formats.cleaning import clean
from penstock.parsing.formats.delimited import read_delimited
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.epub import read_epub
from penstock.parsing.formats.html import read_html
from penstock.parsing.formats.legacy_embedded import with_embedded
from penstock.parsing.formats.legacy_sheets import read_legacy_sheets
from penstock.parsing.formats.legacy_slides import read_legacy_slides
from penstock.parsing.formats.legacy_word import read_legacy_word
from penstock.parsing.formats.mail import read_mail, read_mailbox
from penstock.parsing.formats.markup import read_asciidoc, read_latex, read_markdown, read_org, read_rst
from penstock.parsing.formats.office_scan import SCANS
from penstock.parsing.formats.opendocument import open_document_reader
from penstock.parsing.formats.outlook import read_outlook
from penstock.parsing.formats.pdf import read_pdf
from penstock.parsing.formats.pictures import read_picture
from penstock.parsing.formats.plain import read_plain
from penstock.parsing.formats.records import read_json, read_notebook
from penstock.parsing.formats.rtf import read_rtf
from penstock.parsing.formats.sheets import read_sheets
from penstock.parsing.formats.slides import read_slides
from penstock.parsing.formats.word import read_word
from penstock.parsing.formats.xml import read_xml
from penstock.parsing.media_type import PICTURES, READABLE, detect
from penstock.parsing.recognition.tesseract import NO_LANGUAGE_DATA, NoRecogniser, Recogniser

__all__ = ["READABLE", "read"]

Reader = Callable[[Path], Iterator[Block]]
"""Gives a file's Blocks one by one while it reads; raises `FileError`."""

_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, RecursionError, RuntimeError, TypeError, ValueError,
    struct.error, zlib.error, zipfile.BadZipFile, etree.LxmlError, pdfium.PdfiumError,
)  # fmt: skip
"""What libraries, and our own code, run into where a damaged file breaks the promises of its format.

Not here: `MemoryError` and what the system says of files, which are not the file's fault."""


def read(
    path: Path,
    media_type: str,
    coverage: Coverage | None = None,
    *,
    recogniser: Recogniser | NoRecogniser = NO_LANGUAGE_DATA,
) -> Iterator[Block]:
    """The Blocks of a file in reading order, while it is being read: none is empty, none holds NUL or surrogates.

    With `coverage`, and where its format has an independent count, the words are counted again, and what was lost
    comes at the end; pages that were left unread are noted in it. `recogniser` reads the text in pictures and scans.

    Raises `FileError`: `UnsupportedFormat`, `PasswordProtected`, `CorruptFile`, `TooLarge`, and at the end `NoText`
    if there was no word. What came before an error is good text.
    """

    def read_embedded(path: Path, name: str, embedded: EmbeddedFiles) -> Iterator[Block]:
        return _read(path, detect(path, name), embedded, recogniser)

    return _read(path, media_type, EmbeddedFiles(read_embedded), recogniser, coverage)


def _read(
    path: Path,
    media_type: str,
    embedded: EmbeddedFiles,
    recogniser: Recogniser | NoRecogniser,
    coverage: Coverage | None = None,
) -> Iterator[Block]:
    reader = _readers(embedded, recogniser, coverage or Coverage()).get(media_type)
    if reader is None:
        raise UnsupportedFormat
    scan = SCANS.get(media_type)
    if scan and coverage:
        reader = partial(_read_and_scan, reader=reader, scan=scan, coverage=coverage)
    found = False
    try:
        for block in reader(path):
            if text := clean(block.text):
                found = found or any(map(str.isalnum, text))
                yield block if text == block.text else replace(block, text=text)
    except FileError:
        raise
    except _DAMAGE as error:
        raise CorruptFile(f"The file is damaged: it breaks the rules of {READABLE[media_type]}.") from error
    if not found:
        raise NoText


def _read_and_scan(path: Path, *, reader: Reader, scan: Reader, coverage: Coverage) -> Iterator[Block]:
    return supplemented(reader(path), partial(_undamaged, path, scan), coverage)


def _undamaged(path: Path, scan: Reader) -> Iterator[Block]:
    """What can be counted: damage in a part that the reader did without must not take away what it read."""
    try:
        yield from scan(path)
    except (FileError, *_DAMAGE):
        return


def _readers(
    embedded: EmbeddedFiles, recogniser: Recogniser | NoRecogniser, coverage: Coverage
) -> Mapping[str, Reader]:
    holding = {media_type: partial(reader, embedded=embedded) for media_type, reader in _HOLDING_FILES.items()}
    pictures = dict.fromkeys(PICTURES, partial(read_picture, recogniser=recogniser, coverage=coverage))
    pdf = partial(read_pdf, embedded=embedded, recogniser=recogniser, coverage=coverage)
    return {**_READERS, **holding, **pictures, types.PDF: pdf}


_HOLDING_FILES: Mapping[str, Callable[..., Iterator[Block]]] = {
    types.DOCX: read_word,
    types.PPTX: read_slides,
    types.XLSX: read_sheets,
    types.XLSB: read_binary_sheets,
    types.EML: read_mail,
    types.MBOX: read_mailbox,
    types.MSG: read_outlook,
    types.DOC: partial(with_embedded, reader=read_legacy_word),
    types.PPT: partial(with_embedded, reader=read_legacy_slides),
    types.XLS: partial(with_embedded, reader=read_legacy_sheets),
    types.ODT: open_document_reader(page_tag=None),
    types.ODS: open_document_reader(page_tag="table"),
    types.ODP: open_document_reader(page_tag="page"),
}
"""Readers of formats in which other files can be; they take `embedded`."""

_READERS: Mapping[str, Reader] = {
    types.HTML: read_html,
    types.XML: read_xml,
    types.MARKDOWN: read_markdown,
    types.PLAIN: read_plain,
    types.CSV: read_delimited,
    types.TSV: read_delimited,
    types.JSON: read_json,
    types.JSON_LINES: read_json,
    types.NOTEBOOK: read_notebook,
    types.RST: read_rst,
    types.ORG: read_org,
    types.LATEX: read_latex,
    types.ASCIIDOC: read_asciidoc,
    types.EPUB: read_epub,
    types.RTF: read_rtf,
}
