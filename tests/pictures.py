"""Pictures of known text, drawn with the font that Pillow brings along."""

from __future__ import annotations

import io
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from PIL import Image, ImageDraw, ImageFont

from penstock.parsing.recognition.language_data import find_language_data
from penstock.parsing.recognition.tesseract import NoRecogniser, Recogniser, open_recogniser

DPI = 300
A4 = (2480, 3508)
"""Pixels at 300 dpi."""
TEN_POINTS = 10 * DPI // 72

GATE = (
    "In normal operation the intake gate may be closed no faster than 0.30 metres per minute, so that its full travel "
    "of 1.8 metres takes at least six minutes. Whoever closes it faster risks a wave of pressure in the penstock."
)
TANK = (
    "The surge tank was inspected on 14 March 2024 by two engineers. They found 27 rivets that were loose and replaced "
    "them; the next inspection is due before the snow melts, for then the water rises by up to 40 centimetres a day."
)
BOOK = (
    "Operators write down the level of the reservoir, the pressure at the turbines and the temperature of the bearings "
    "every hour. A value outside of its limits is underlined in red, and the shift leader signs the page."
)
PROSE = (GATE, TANK, BOOK)


def skip_without_language_data() -> None:
    if isinstance(open_recogniser(None, None), NoRecogniser) or find_language_data(None, "eng") is None:
        pytest.skip("no English language data of Tesseract is installed (apt-get install tesseract-ocr-eng)")


@pytest.fixture(scope="session")
def recogniser() -> Recogniser:
    """Of English text; a test that needs it is skipped where there is none."""
    skip_without_language_data()
    found = open_recogniser(None, "eng")
    assert isinstance(found, Recogniser)
    return found


def page_of_text(
    paragraphs: Iterable[str], *, size: tuple[int, int] = A4, letters: int = TEN_POINTS, mode: str = "L"
) -> Image.Image:
    """A page with the paragraphs one below the other; `letters` is the font's size in pixels."""
    page = Image.new(mode, size, "white")
    drawing, font = ImageDraw.Draw(page), ImageFont.load_default(letters)
    top = 4 * letters
    for paragraph in paragraphs:
        lines = textwrap.wrap(paragraph, int((size[0] - 8 * letters) / (0.5 * letters)))
        text = "\n".join(lines)
        drawing.multiline_text((4 * letters, top), text, fill="black", font=font, spacing=letters // 3)
        top += len(lines) * (letters + letters // 3) + letters
    return page


def scanned_pdf(
    pages: Sequence[tuple[Image.Image | None, str]], *, scale: float = 72 / DPI, turned: int = 0, side: float = 1
) -> bytes:
    """A PDF by hand. Each page is a picture below a line of real text, either of which may be missing.

    `scale` is points for each pixel of a picture that fills its page, as it does where `side`, its share of the page's
    sides, is 1; `turned` is by how many degrees a viewer has to turn the pages.
    """
    objects: list[bytes] = []

    def add(dictionary: str, stream: bytes | None = None) -> int:
        shown = dictionary if stream is None else f"<< {dictionary} /Length {len(stream)} >>"
        objects.append(shown.encode() + (b"" if stream is None else b"\nstream\n" + stream + b"\nendstream"))
        return len(objects) + 1  # number 1 is the list of pages

    font = add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    kids: list[int] = []
    for picture, text in pages:
        wide, high = picture.size if picture else (1200, 400)
        width, height = wide * scale, high * scale
        drawn, drawing = "", f"BT /F1 8 Tf 4 4 Td ({text}) Tj ET" if text else ""
        if picture:
            how = "/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode"
            drawn = f"/XObject << /I {add(f'{how} /Width {wide} /Height {high}', _jpeg(picture))} 0 R >>"
            drawing = f"q {width * side} 0 0 {height * side} 0 0 cm /I Do Q {drawing}"
        contents = add("", drawing.encode())
        resources = f"/Resources << /Font << /F1 {font} 0 R >> {drawn} >>"
        box = f"/MediaBox [0 0 {width} {height}] /Rotate {turned}"
        kids.append(add(f"<< /Type /Page /Parent 1 0 R {box} /Contents {contents} 0 R {resources} >>"))
    catalog = add("<< /Type /Catalog /Pages 1 0 R >>")
    listed = f"<< /Type /Pages /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] /Count {len(kids)} >>".encode()
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (at, each) for at, each in enumerate([listed, *objects], start=1))
    return b"%PDF-1.4\n" + body + f"trailer\n<< /Root {catalog} 0 R >>\n%%EOF".encode()  # PDFium finds the objects


def _jpeg(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.convert("L").save(data, "JPEG", quality=90)
    return data.getvalue()


def word_recall(truth: Iterable[str], found: Iterable[str]) -> float:
    """The share of the words of `truth` that `found` has, counted as often as they occur."""
    wanted, there = (Counter(re.findall(r"\w+", " ".join(texts).casefold())) for texts in (truth, found))
    return (wanted & there).total() / wanted.total()
