"""Pictures as Tesseract reads them best: grey, evenly lit, of a bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from penstock.parsing.recognition.lines import Word

MOST_PIXELS = 12_000_000
"""A4 at 350 dpi. More only costs time: letters are scaled to 36 pixels before they are looked at."""
LONGEST_SIDE = 16_000
"""Tesseract counts in 16 bits."""
_STEP = 8
"""Pixels; the background is measured in squares of this side."""
_REACH = 5
"""Squares; letters are thinner than this, shades of a table's header are wider."""
_BAND = 512
"""Rows that are worked on at once, which bounds the memory."""
_MARGIN = 3
"""Pixels around a word whose ink is still its own."""
_COARSE = 2
"""Pixels; ruled lines are looked for in squares of this side."""
_INK = 140
"""Shades below are ink, on white ground."""
_EDGE = 20
"""A twentieth of the picture at each side, where scanners leave shadows."""
_MOST_SPECKS = 0.001
"""Of an empty sheet that are ink; a page of text has thirty times as much, one line of it as much."""
_RULE_LENGTH = 1 / 15
"""Of the picture's longer side, at least; no stroke of a letter in a text is as long."""
_RULE_WIDTH = 1 / 12
"""Of its own length, at most; the strokes of very large letters are wider."""

Mask = npt.NDArray[np.bool_]


def bounded(image: Image.Image) -> Image.Image:
    """The picture, made smaller where it has more pixels than help."""
    scale = scale_within(image.width, image.height, 1)
    return image if scale >= 1 else scaled(image, scale)


def scale_within(width: float, height: float, scale: float) -> float:
    """`scale`, or the largest one that keeps a picture of this size within the bounds."""
    return min(scale, math.sqrt(MOST_PIXELS / (width * height)), LONGEST_SIDE / max(width, height))


def scaled(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)


def evened(image: Image.Image) -> Image.Image:
    """The grey picture with its background made white wherever that is shaded, as in coloured cells of tables.

    Tesseract decides by one threshold for the whole page what is ink, and takes shaded parts for photographs.
    """
    squares = image.reduce(_STEP).filter(ImageFilter.MaxFilter(_REACH)).filter(ImageFilter.BoxBlur(1))
    ground = squares.resize(image.size, Image.Resampling.BILINEAR)
    white = np.asarray(image).copy()
    for top in range(0, image.height, _BAND):
        band = white[top : top + _BAND]
        light = np.maximum(np.asarray(ground.crop((0, top, image.width, top + len(band)))), 1)
        band[:] = np.minimum(band.astype(np.uint16) * 255 // light, 255)
    return Image.fromarray(white)


def without_grid(image: Image.Image) -> Image.Image | None:
    """The evened picture without the ruled lines of its tables and forms; None where no such lines cross it.

    Tesseract loses words beside them, and in other tables it finds the rows by them: both pictures are worth a look.
    """
    ink = np.asarray(image.reduce(_COARSE)) < _INK
    length = max(2, round(max(ink.shape) * _RULE_LENGTH))
    across, down = _rules(ink, length), _rules(np.ascontiguousarray(ink.T), length).T
    if not (across.any() and down.any()):
        return None
    rules = (across | down).repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)[: image.height, : image.width]
    shades = np.asarray(image).copy()
    shades[rules] = 255
    return Image.fromarray(shades)


def unread_ink(image: Image.Image, words: Iterable[Word]) -> float:
    """The share of the evened picture's ink that is outside of all words."""
    ink = np.asarray(image) < _INK
    whole = np.count_nonzero(ink)
    for word in words:
        ink[max(word.top - _MARGIN, 0) : word.bottom + _MARGIN, max(word.left - _MARGIN, 0) : word.right + _MARGIN] = (
            False
        )
    return np.count_nonzero(ink) / whole if whole else 0.0


def is_of_one_shade(image: Image.Image) -> bool:
    """Whether nothing at all is to be seen."""
    low, high = cast("tuple[int, int]", image.getextrema())
    return low == high


def is_blank(image: Image.Image) -> bool:
    """Whether the evened picture is that of an empty sheet: a few specks, and whatever there is along its edges."""
    wide, high = image.width // _EDGE, image.height // _EDGE
    ink = np.asarray(image)[high : image.height - high, wide : image.width - wide] < _INK
    return bool(np.count_nonzero(ink) <= _MOST_SPECKS * ink.size)


def _rules(ink: Mask, length: int) -> Mask:
    """Where ink goes on to the right for at least `length`, and is thin."""
    runs = _opened(ink, length)
    if not runs.any():
        return runs
    return runs & ~_opened(np.ascontiguousarray(runs.T), max(2, round(length * _RULE_WIDTH))).T


def _opened(mask: Mask, length: int) -> Mask:
    """What is left of each row where only runs of at least `length` are kept: a morphological opening by a line."""
    if mask.shape[1] < length:
        return np.zeros_like(mask)
    return _spread(_starts(mask, length), length)


def _starts(mask: Mask, length: int) -> Mask:
    """Where a run of `length` begins; by doubling, in log2(length) steps."""
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        mask = mask[:, :-step] & mask[:, step:]
        reach += step
    return mask


def _spread(starts: Mask, length: int) -> Mask:
    """The runs of `length` of which these are the beginnings."""
    mask = np.pad(starts, ((0, 0), (0, length - 1)))
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        mask[:, step:] |= mask[:, :-step].copy()
        reach += step
    return mask
