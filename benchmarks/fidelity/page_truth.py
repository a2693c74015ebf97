"""PDF: PDFium's own text of each page, without anything of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium  # pyright: ignore[reportMissingTypeStubs] - it has none


def page_texts(path: Path) -> dict[int | None, str]:
    """The text of each page, from 1; empty where PDFium cannot open the page."""
    return dict(enumerate(_pages(path), start=1))


def _pages(path: Path) -> Iterator[str]:
    document = pdfium.PdfDocument(path)
    for number in range(len(document)):
        try:
            page = document[number]
        except pdfium.PdfiumError:
            yield ""
            continue
        text_page = page.get_textpage()
        # PDFium marks a hyphen at a line's end with U+FFFE and leaves the line break out.
        yield text_page.get_text_range(errors="replace").replace("\ufffe", "")
        text_page.close()
        page.close()
    document.close()
