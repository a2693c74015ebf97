"""Pictures to Blocks by Tesseract, inside this process: a parser child can start no program.

Tesseract gets bare pixels only. The libraries for picture formats that its wheel brings along are old; Pillow
decodes, which is kept up to date.
"""

# tesserocr's own stubs lack half the types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import InvalidSettings
from penstock.parsing.recognition.language_data import INSTALL, OFF, LanguageData, find_language_data
from penstock.parsing.recognition.lines import TextLine, Word, blocks_of, confidence, has_columns, without_noise
from penstock.parsing.recognition.picture import (
    bounded,
    evened,
    is_blank,
    is_of_one_shade,
    scale_within,
    scaled,
    unread_ink,
    without_grid,
)

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

PAGE_SECONDS = 60.0
"""Then a page is left as it is: an honest one takes two, and the next one is waiting."""
LEGIBLE_HEIGHT = 24
"""Pixels from the foot to the top of a usual line; smaller ones are read badly."""
BEST_HEIGHT = 34
"""What smaller lines are scaled up to: 10 points at 300 dpi."""
LARGEST_SCALE = 4
UPRIGHT_CONFIDENCE = 65
"""Of the words of a page, in per cent. One that stands on its side or head has 35."""
MOST_UNREAD = 0.03
"""Of the ink. Tesseract takes columns of small numbers for dirt; where more is left over, another look is worth it."""
WORTH_IT = 1.02
"""So many times the characters must be found for that look to be believed."""
_TURNS = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)

Announce = Callable[[int | None], None]
"""Is told the page before it is recognised, and None after it."""


@dataclass(frozen=True, slots=True)
class NoRecogniser:
    """Why no text is recognised here: what to do, to end a sentence that says what for."""

    advice: str


NO_LANGUAGE_DATA = NoRecogniser(INSTALL)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read in one look at a picture."""

    lines: list[TextLine]
    complete: bool
    """Whether the time was enough."""

    @property
    def words(self) -> list[Word]:
        return [word for line in self.lines for word in line.words]

    def characters(self) -> int:
        """How many of them are no noise."""
        return sum(len(word.text) for line in without_noise(self.lines) for word in line.words)

    @property
    def is_upright(self) -> bool:
        return confidence(self.words) >= UPRIGHT_CONFIDENCE


@dataclass(frozen=True, slots=True)
class Recognised:
    """What came of a picture."""

    blocks: Sequence[Block]
    was_read: bool
    """False where the time was not enough, or where there is no text though the picture is not blank."""


class Recogniser:
    """Reads one picture at a time. The language data are loaded with the first."""

    def __init__(
        self, data: LanguageData, *, announce: Announce = lambda _: None, page_seconds: float = PAGE_SECONDS
    ) -> None:
        self.data = data
        self._announce = announce
        self._page_seconds = page_seconds
        self._deadline = 0.0
        self._opened: PyTessBaseAPI | None = None

    @property
    def version(self) -> str:
        """As "Tesseract 5.5.4". Raises `InvalidSettings` where the language data cannot be used."""
        return f"Tesseract {self._engine().Version()}"

    @contextmanager
    def page(self, number: int) -> Generator[None]:
        """What the block does for a page has its own time, `page_seconds`, beside that of the file."""
        self._announce(number)
        self._deadline = time.monotonic() + self._page_seconds
        try:
            yield
        finally:
            self._announce(None)

    def recognise(self, image: Image.Image, page: int) -> Recognised:
        """The text in a grey picture of a page. To be called inside of `page`."""
        if is_of_one_shade(image):
            return Recognised((), was_read=True)
        image = evened(bounded(image))
        reading = self._look(image)
        if not reading.is_upright and (turn := self._upright_turn(image, reading)) is not None:
            image = image.transpose(turn)
            reading = self._look(image)
        if (clear := without_grid(image)) is not None:
            image, reading = clear, max(reading, self._look(clear), key=_Reading.characters)
        if reading.words and unread_ink(image, reading.words) > MOST_UNREAD and not has_columns(reading.lines):
            rows = self._look(image, as_rows=True)
            if rows.characters() > WORTH_IT * reading.characters():
                reading = rows
        blocks = list(blocks_of(without_noise(reading.lines), page))
        if not reading.complete:
            blocks.append(Block(self._too_slow(page), BlockKind.PAGE_FURNITURE, page=page, origin=Origin.RECOGNISED))
            return Recognised(blocks, was_read=False)
        return Recognised(blocks, was_read=bool(blocks) or is_blank(image))

    def _too_slow(self, page: int) -> str:
        return f"(The text on page {page} was not all recognised: it took longer than {self._page_seconds:g} seconds.)"

    def _upright_turn(self, image: Image.Image, reading: _Reading) -> Image.Transpose | None:
        """How to turn the picture so that its text stands upright; tried on a part of it. None where that helps not."""
        sample = image.crop(_middle(reading.words)) if reading.words else image
        best, most = None, 0
        for turn in _TURNS:
            turned = self._look(sample.transpose(turn))
            if turned.is_upright and turned.characters() > most:
                best, most = turn, turned.characters()
        return best

    def _look(self, image: Image.Image, *, as_rows: bool = False) -> _Reading:
        """`as_rows`: all lines go across the whole picture; else Tesseract finds out what stands beside what."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return _Reading([], complete=False)
        engine = self._engine()
        try:
            _set_layout(engine, as_rows=as_rows)
            scale = self._show(engine, image)
            complete = bool(engine.Recognize(int(1000 * left)))
            return _Reading(list(_lines(engine, scale)), complete)
        finally:
            engine.Clear()

    def _show(self, engine: PyTessBaseAPI, image: Image.Image) -> float:
        """Hand the picture over, larger where its letters are too small; return by how much."""
        _set_image(engine, image)
        height = _usual_height(engine)
        if height == 0 or height >= LEGIBLE_HEIGHT:
            return 1
        scale = scale_within(image.width, image.height, min(BEST_HEIGHT / height, LARGEST_SCALE))
        if scale <= 1:
            return 1
        _set_image(engine, scaled(image, scale))
        return scale

    def _engine(self) -> PyTessBaseAPI:
        if self._opened is None:
            self._opened = _open(self.data)
        return self._opened


def open_recogniser(
    folder: str | None, languages: str | None, *, announce: Announce = lambda _: None
) -> Recogniser | NoRecogniser:
    """By the settings `ocr_data` and `ocr_languages`. Raises `InvalidSettings` where they ask for what is not there."""
    if languages == OFF:
        return NoRecogniser("set PENSTOCK_PARSING_OCR_LANGUAGES to others than none")
    data = find_language_data(folder, languages)
    if data is None:
        return NO_LANGUAGE_DATA
    if importlib.util.find_spec("tesserocr") is None:
        return NoRecogniser("install the Python package tesserocr, which has no wheels for this system")
    return Recogniser(data, announce=announce)


def _open(data: LanguageData) -> PyTessBaseAPI:
    import tesserocr  # noqa: PLC0415  # 30 MB, and not on every system

    tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
    try:
        engine = tesserocr.PyTessBaseAPI(
            path=f"{data.folder}/", lang="+".join(data.languages), psm=tesserocr.PSM.AUTO, oem=tesserocr.OEM.LSTM_ONLY
        )
    except RuntimeError as error:
        names = ", ".join(data.languages)
        raise InvalidSettings(f"Tesseract cannot use its language data ({names}) in {data.folder}: {error}") from error
    engine.SetVariable("debug_file", "/dev/null")
    return engine


def _set_image(engine: PyTessBaseAPI, image: Image.Image) -> None:
    engine.SetImageBytes(image.tobytes(), image.width, image.height, 1, image.width)  # pyright: ignore[reportArgumentType] - it takes bytes


def _usual_height(engine: PyTessBaseAPI) -> float:
    """The median height of a line, in pixels; 0 where there is no line. Tesseract keeps the layout that it finds."""
    from tesserocr import RIL, iterate_level  # noqa: PLC0415

    layout = engine.AnalyseLayout()
    boxes = [line.BoundingBox(RIL.TEXTLINE) for line in iterate_level(layout, RIL.TEXTLINE)] if layout else []
    return statistics.median([box[3] - box[1] for box in boxes if box] or [0])


def _set_layout(engine: PyTessBaseAPI, *, as_rows: bool) -> None:
    from tesserocr import PSM  # noqa: PLC0415

    engine.SetPageSegMode(PSM.SINGLE_BLOCK if as_rows else PSM.AUTO)


def _lines(engine: PyTessBaseAPI, scale: float) -> Iterator[TextLine]:
    """The lines with their places in a picture that was shown at this scale."""
    from tesserocr import RIL, iterate_level  # noqa: PLC0415

    found = engine.GetIterator()
    words: list[Word] = []
    begins = True
    for at in iterate_level(found, RIL.WORD) if found else ():
        if at.IsAtBeginningOf(RIL.TEXTLINE):
            if words:
                yield TextLine(words, begins)
            words, begins = [], at.IsAtBeginningOf(RIL.PARA)
        if word := _word(at, RIL.WORD, scale):
            words.append(word)
    if words:
        yield TextLine(words, begins)


def _word(at: Any, level: Any, scale: float) -> Word | None:
    """None for a picture, a ruled line, or what was not recognised in time."""
    box = at.BoundingBox(level)
    if at.Empty(level) or not box:
        return None
    text = str(at.GetUTF8Text(level)).strip()
    left, top, right, bottom = (round(side / scale) for side in box)
    return Word(text, float(at.Confidence(level)), left, top, right, bottom) if text else None


def _middle(words: list[Word]) -> tuple[int, int, int, int]:
    """The middle quarter of the area that has words."""
    left, right = min(word.left for word in words), max(word.right for word in words)
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    wide, high = (right - left) // 4, (bottom - top) // 4
    return left + wide, top + high, max(right - wide, left + wide + 1), max(bottom - high, top + high + 1)
