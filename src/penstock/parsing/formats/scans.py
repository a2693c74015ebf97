"""Pages of PDFs that are pictures of text: which ones they are, and what is recognised on them."""

# pypdfium2 has no type stubs, and its raw bindings are made at run time.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.pictures import MOST_PIXELS
from penstock.parsing.recognition.picture import scale_within
from penstock.parsing.recognition.tesseract import NoRecogniser, Recognised, Recogniser

POINTS_PER_INCH = 72
DPI = 300
"""At least; a page whose picture is finer is drawn as fine as that, within the bounds of `recognition.picture`."""
FEW_CHARACTERS = 100
"""A page that has no more beside a large picture is a scan with a stamp, a page number or a fax header on it."""
SCAN_SHARE = 0.5
"""Of the page that pictures cover. A figure in a text covers less, and a page with a photograph has a text."""
FIGURE_SHARE = 0.05
"""Of a page without any text: a smaller picture is an ornament, a larger one may be what the page says."""
MOST_OBJECTS = 5000
"""Pictures of one page that are looked at. A scan in strips has hundreds."""
FORMS_IN_FORMS = 5
NO_SCAN = Recognised((), was_read=True)


def no_text(pages: int, recogniser: Recogniser | NoRecogniser) -> str:
    """What to say of a PDF that gave no word."""
    where = f"on its {pages} page{'' if pages == 1 else 's'}"
    if isinstance(recogniser, Recogniser):
        languages = "+".join(recogniser.data.languages)
        return f"The PDF holds no text {where}, and none was recognised in their pictures, as {languages}."
    return (
        f"The PDF holds no text {where}, only pictures: it is probably a scan. "
        f"To have it recognised (OCR) {recogniser.advice}; then read it again."
    )


def recognise_page(
    page: pdfium.PdfPage, number: int, lines: Sequence[str], recogniser: Recogniser | NoRecogniser
) -> Recognised:
    """The text in the page's picture; none where the page is no scan or nothing can recognise it.

    `lines` is the page's text as PDFium reads it. Unread are scans of which no text came, or not all; a smaller
    picture without text is an ornament.
    """
    characters = sum(map(len, lines))
    if characters > FEW_CHARACTERS or page.get_size() < (1, 1):
        return NO_SCAN
    try:
        found = _recognised(page, number, recogniser, has_text=characters > 0)
    except pdfium.PdfiumError:
        return Recognised((), was_read=False)  # a damaged picture costs itself, not the other pages
    known = {line.casefold() for line in lines}
    return replace(found, blocks=[block for block in found.blocks if block.text.casefold() not in known])


def _recognised(
    page: pdfium.PdfPage, number: int, recogniser: Recogniser | NoRecogniser, *, has_text: bool
) -> Recognised:
    pictures = list(islice(_pictures(page), MOST_OBJECTS))
    share = sum(picture.share for picture in pictures)
    is_covered = share >= SCAN_SHARE
    if has_text and not is_covered:
        return NO_SCAN
    if isinstance(recogniser, NoRecogniser):
        return Recognised((), was_read=share < (SCAN_SHARE if has_text else FIGURE_SHARE))
    if large := next((picture for picture in pictures if picture.pixels > MOST_PIXELS), None):
        return Recognised([_not_drawn(number, large)], was_read=False)
    with recogniser.page(number):
        found = recogniser.recognise(_drawn(page, pictures), number)
    return found if found.blocks or is_covered else NO_SCAN


@dataclass(frozen=True, slots=True)
class _Picture:
    width: int
    height: int
    """In pixels."""
    share: float
    """Of the page that it covers."""
    scale: float
    """Its pixels for each point of the page."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def _pictures(page: pdfium.PdfPage) -> Iterator[_Picture]:
    """Those on the page itself; one inside a form is taken to fill it."""
    sheet = _Box(*page.get_bbox())
    kinds = (pdfium_c.FPDF_PAGEOBJ_IMAGE, pdfium_c.FPDF_PAGEOBJ_FORM)
    for each in page.get_objects(filter=kinds, max_depth=1):
        for image in _images(page, each):
            box = _Box(*each.get_bounds())
            width, height = image.get_px_size()
            scale = width / box.width if box.width > 0 else 0.0
            yield _Picture(width, height, box.within(sheet).area / (sheet.area or 1), scale)


def _images(page: pdfium.PdfPage, each: Any) -> Iterable[Any]:
    if each.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
        return (each,)
    return page.get_objects(filter=(pdfium_c.FPDF_PAGEOBJ_IMAGE,), form=each, level=1, max_depth=FORMS_IN_FORMS)


@dataclass(frozen=True, slots=True)
class _Box:
    """In points."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return max(self.right - self.left, 0)

    @property
    def area(self) -> float:
        return self.width * max(self.top - self.bottom, 0)

    def within(self, other: _Box) -> _Box:
        left, bottom = max(self.left, other.left), max(self.bottom, other.bottom)
        return _Box(left, bottom, min(self.right, other.right), min(self.top, other.top))


def _drawn(page: pdfium.PdfPage, pictures: Sequence[_Picture]) -> Image.Image:
    """The page in shades of grey, without what was written on it afterwards, which is read as notes."""
    finest = max((picture.scale for picture in pictures if picture.share >= SCAN_SHARE), default=0.0)
    scale = scale_within(*page.get_size(), max(DPI / POINTS_PER_INCH, finest))
    bitmap = page.render(scale=scale, grayscale=True, draw_annots=False)  # pyright: ignore[reportArgumentType] - its default is 1, any number will do
    try:
        return bitmap.to_pil().copy()
    finally:
        bitmap.close()


def _not_drawn(number: int, picture: _Picture) -> Block:
    text = f"(Page {number} was not recognised: its picture has {picture.width} x {picture.height} pixels.)"
    return Block(text, BlockKind.PAGE_FURNITURE, page=number, origin=Origin.RECOGNISED)
