"""Picture files, whose text is recognised. Their size is looked at before they are decoded, by Pillow."""

from __future__ import annotations

import mmap
import re
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageOps

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, NoText, TooLarge
from penstock.parsing.coverage import Coverage
from penstock.parsing.recognition.tesseract import NoRecogniser, Recogniser

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
"""Pillow knows forty more, whose decoders nobody needs to meet."""
MOST_PIXELS = 89_000_000
"""Of one picture: A3 at 600 dpi has 70 million. In colours it takes 4 bytes of memory for each."""
MOST_SCANS = 500
"""Of a progressive JPEG, each of which passes over the whole picture: libjpeg-turbo's own bound. Cameras and editors
write some ten; a small hostile file of thousands would be decoded for minutes.
"""
_JPEG_SCAN = b"\xff\xda"
_SUBFILE_TYPE = 254
_REDUCED = 1
"""Bit of a TIFF's subfile type: a preview of another page."""
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path, *, recogniser: Recogniser | NoRecogniser, coverage: Coverage) -> Iterator[Block]:
    """Blocks with their pages, of which only a TIFF has more than one.

    Raises `TooLarge` for more pixels than memory should hold, `CorruptFile`, and `NoText` where there is none or
    nothing to recognise it with.
    """
    if isinstance(recogniser, NoRecogniser):
        raise NoText(f"The file is a picture. To have its text recognised {recogniser.advice}; then read it again.")
    found = False
    for number, image in _pages(path):
        with recogniser.page(number):
            recognised = recogniser.recognise(grey(image), number)
        if not recognised.was_read:
            coverage.leave_out(number)
        found = found or bool(recognised.blocks)
        yield from recognised.blocks
    if not found:
        raise NoText(f"No text was recognised in the picture, as {'+'.join(recogniser.data.languages)}.")


def grey(image: Image.Image) -> Image.Image:
    """The picture as its viewer shows it, on white paper, in shades of grey. Decodes it."""
    with _decoding():
        # Pillow itself turns TIFFs as their cameras say.
        return _without_colours(image if image.format == "TIFF" else _upright(image))


def _without_colours(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP_MODES:
        return _from_deep(image)
    if not image.has_transparency_data:
        return image.convert("L")
    if image.mode not in ("RGBA", "LA"):
        image = image.convert("RGBA")
    return Image.composite(image.convert("L"), Image.new("L", image.size, "white"), image.getchannel("A"))


def _from_deep(image: Image.Image) -> Image.Image:
    """More than 8 bits for a pixel: the darkest becomes black, the lightest white."""
    numbers = image.convert("F")
    low, high = cast("tuple[float, float]", numbers.getextrema())
    scale = 255 / ((high - low) or 1)
    return numbers.point(lambda value: value * scale - low * scale).convert("L")


def _upright(image: Image.Image) -> Image.Image:
    image.draft("L", None)  # of JPEGs only: decoded without their colours
    return ImageOps.exif_transpose(image)


def _pages(path: Path) -> Iterator[tuple[int, Image.Image]]:
    """Each page's number, from 1, and the picture, not decoded yet. It is always the same object."""
    number = 0
    with _decoding():
        image = Image.open(path, formats=FORMATS)
    with image:
        if image.format == "JPEG" and _scans(path) > MOST_SCANS:
            raise TooLarge(
                f"The picture is built up in more than {MOST_SCANS} passes; save it again, as a baseline JPEG."
            )
        for frame in count():
            if not _turn_to(image, frame):
                return
            if not _is_preview(image):
                number += 1
                yield number, image


def _scans(path: Path) -> int:
    """How many a JPEG has. Its marker cannot occur in what is encoded, only in the little that goes before."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(1 for _ in islice(re.finditer(_JPEG_SCAN, content), MOST_SCANS + 1))


def _turn_to(image: Image.Image, frame: int) -> bool:
    """Whether there is such a page. The further pictures of other formats than TIFF are those of an animation."""
    if frame and image.format != "TIFF":
        return False
    with _decoding():
        try:
            image.seek(frame)
        except EOFError:
            return False
    if image.width * image.height > MOST_PIXELS:
        raise TooLarge(_too_large(f"{image.width} x {image.height}"))
    return True


def _is_preview(image: Any) -> bool:
    kind = image.tag_v2.get(_SUBFILE_TYPE, 0) if image.format == "TIFF" else 0
    return isinstance(kind, int) and bool(kind & _REDUCED)


def _too_large(size: str) -> str:
    return (
        f"The picture has {size} pixels; it is read up to {MOST_PIXELS // 1_000_000} million. "
        "Save it smaller, or cut it into parts."
    )


@contextmanager
def _decoding() -> Generator[None]:
    """Pillow's errors become ours. Its warnings, of damage that it can live with, are nobody's concern."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Image.DecompressionBombError as error:
        raise TooLarge(_too_large("too many")) from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's, not Pillow's
        raise CorruptFile(f"The picture is damaged or incomplete ({error}).") from error
