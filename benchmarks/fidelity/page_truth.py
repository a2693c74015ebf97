"""PDF: PDFium's own text of each page, without anything of ours."""

# pypdfium2 has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium


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
        text = text_page.get_text_range(errors="replace")
        yield _letters_together(text_page) if _is_shattered(text) else text
        text_page.close()
        page.close()
    document.close()


def _is_shattered(text: str) -> bool:
    """Whether PDFium has given most letters a line of their own, as it does with some spacings."""
    lines = text.split()
    return len(lines) > 100 and sum(map(len, lines)) < 2.5 * len(lines)


def _letters_together(text_page: pdfium.PdfTextPage) -> str:
    """The page's characters as words: those that stand beside each other, nearer than a space."""
    text, end, height = "", 0.0, 0.0
    for at in range(text_page.count_chars()):
        letter: str = text_page.get_text_range(at, 1)
        left, bottom, right, top = text_page.get_charbox(at, loose=True)
        if letter.strip():
            beside = -3 < left - end < 0.2 * (top - bottom) and abs(bottom - height) < 1
            text, end, height = text + letter if beside else f"{text} {letter}", right, bottom
    return text
