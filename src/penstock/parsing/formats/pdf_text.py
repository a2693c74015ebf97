"""The lines of a PDF page, with their places, asked of PDFium as seldom as possible.

PDFium gives the text of a page in one call, line by line; each question about a character is a call of its own. So a
line's first, middle and last character are asked for, and each of its words only where the line is so wide
for its letters that there must be gaps in it.
"""

# pypdfium2 has no type stubs, and its raw bindings are made at run time.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.page_lines import HYPHEN, Cell, Line, may_be_title

BOLD_WEIGHT = 600
ITALIC_FLAG = 1 << 6
FONT_NAME = 64
"""Bytes of a font's name that are looked at."""
WIDE = 0.5
"""Mean advance of a character, in font sizes, of lines that may have gaps: prose has 0.42 in Times, 0.48 in Arial."""
CELL_GAP = 0.9
"""Gaps of this many font sizes part cells."""
NARROW_GAP, SPACE = 0.55, 0.35
"""In a line whose gaps are either spaces or wider than those by far, gaps of `NARROW_GAP` do."""
SENTENCE_GAP = 1.4
"""Typists put two spaces behind a sentence."""
TOUCHING = 0.12
"""Letters nearer than this are of one word."""
SHATTERED, SHATTERED_LINES = 5, 50
"""Characters of a line on average, and lines, of a page on which PDFium takes most letters for lines of their own."""
STRETCHED = (0.4, 1.5)
"""The smallest gap of a justified line that was stretched, in font sizes: its gaps are all about alike."""

_Number = ctypes.c_int | ctypes.c_ulong | ctypes.c_double | ctypes.c_void_p


def _binding(name: str, result: type[_Number], *arguments: type[_Number]) -> Callable[..., float]:
    """One of PDFium's functions, with addresses as numbers: pypdfium2's checks of types take longer than the call."""
    address = ctypes.cast(getattr(pdfium_c, name), ctypes.c_void_p).value
    prototype = ctypes.PYFUNCTYPE(result, ctypes.c_void_p, ctypes.c_int, *arguments)
    return prototype(address)  # pyright: ignore[reportCallIssue, reportArgumentType] - not in the stubs


_ADDRESS = ctypes.c_void_p
_char_box = _binding("FPDFText_GetLooseCharBox", ctypes.c_int, _ADDRESS)
_char_origin = _binding("FPDFText_GetCharOrigin", ctypes.c_int, _ADDRESS, _ADDRESS)
_char_matrix = _binding("FPDFText_GetMatrix", ctypes.c_int, _ADDRESS)
_font_size = _binding("FPDFText_GetFontSize", ctypes.c_double)
_font_weight = _binding("FPDFText_GetFontWeight", ctypes.c_int)
_font_info = _binding("FPDFText_GetFontInfo", ctypes.c_ulong, _ADDRESS, ctypes.c_ulong, _ADDRESS)

_PIECE = re.compile(f"([^\r\n{HYPHEN}]+)({HYPHEN})?")
_WORD = re.compile("[^ ]+")
_LIGATURES = {
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
}  # fmt: skip


def text_lines(page: pdfium.PdfPage) -> list[Line]:
    """The page's lines in the file's order; none for a page whose text PDFium cannot read."""
    try:
        text_page = page.get_textpage()
    except pdfium.PdfiumError:
        return []
    try:
        return list(_TextPage(text_page).lines())
    finally:
        text_page.close()


class _TextPage:
    """One page's text and the buffers that PDFium's answers go into."""

    def __init__(self, text_page: pdfium.PdfTextPage) -> None:
        self._text = text_page.get_text_range(errors="replace")
        self._has_ligatures = any(chr(ligature) in self._text for ligature in _LIGATURES)
        self._raw = text_page.raw
        self._page = ctypes.cast(text_page.raw, ctypes.c_void_p).value
        self._exact = text_page.count_chars() == len(self._text)
        """Whether positions in the text are PDFium's character numbers; they differ where it leaves characters out."""
        self._box, self._matrix = pdfium_c.FS_RECTF(), pdfium_c.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._name, self._flags = ctypes.create_string_buffer(FONT_NAME), ctypes.c_int()
        self._at_box, self._at_matrix = ctypes.addressof(self._box), ctypes.addressof(self._matrix)
        self._at_x, self._at_y = ctypes.addressof(self._x), ctypes.addressof(self._y)
        self._at_name, self._at_flags = ctypes.addressof(self._name), ctypes.addressof(self._flags)

    def lines(self) -> Iterator[Line]:
        breaks = self._text.count("\n")
        if breaks > SHATTERED_LINES and len(self._text) < SHATTERED * breaks:
            return self._lines_of_letters()
        return self._lines()

    def _lines(self) -> Iterator[Line]:
        for piece in _PIECE.finditer(self._text):
            written = piece[1]
            if text := one_line(written):
                start = piece.start() + len(written) - len(written.lstrip())
                if self._has_ligatures:
                    text = text.translate(_LIGATURES)
                yield self._line(text, start, start + len(written.strip()) - 1, hyphen=piece[2] is not None)

    def _line(self, text: str, start: int, end: int, *, hyphen: bool) -> Line:
        size, turn, base = self._measures((start + end) // 2)
        left, right = self._span(start, end, turn)
        cells = self._cells(start, end, size, turn) if _may_have_gaps(text, right - left, size) else ()
        bold = italic = False
        if may_be_title(text) and not (cells and cells[-1].text[-1].isdigit()):  # a row of figures is no title
            bold, italic = self._style(start)
            bold = bold and self._style(end)[0]
        return Line(text, left, right, base, base, size, bold, italic, cells, hyphen, turn % 4)

    def _measures(self, at: int) -> tuple[float, int, float]:
        """A character's size, its quarter turns (from -2 to 2), and how high its base line is once it is upright."""
        while self._text[at].isspace():  # a space that PDFium put in has no font; a line ends in something else
            at += 1
        page, number, matrix = self._page, self._number(at), self._matrix
        _char_matrix(page, number, self._at_matrix)
        _char_origin(page, number, self._at_x, self._at_y)
        # The font size is that of the text's own space; the matrix scales it to the page's points.
        size = round(_font_size(page, number) * math.hypot(matrix.c, matrix.d), 1)
        if matrix.a > abs(matrix.b):
            return size, 0, self._y.value
        turn = round(math.atan2(matrix.b, matrix.a) * 2 / math.pi)
        return size, turn, -turn * self._x.value if abs(turn) == 1 else -self._y.value

    def _lines_of_letters(self) -> Iterator[Line]:
        """What follows on one base line is a line: letters that touch are words, wide gaps part cells."""
        held: list[_Letters] = []
        for at, letter in enumerate(self._text):
            if letter.isspace():
                continue
            size, turn, base = self._measures(at)
            left, right = self._edges(at, turn)
            shown = "-" if letter == HYPHEN else letter
            last = held[-1] if held else None
            if last is None or not last.goes_on_at(left, base, turn):
                yield from _line_of(held)
                bold, italic = self._style(at)
                held = [_Letters(shown, left, right, base, size, turn, bold, italic)]
            elif left - last.right < CELL_GAP * size:
                held[-1] = last.with_letter(shown if left - last.right < TOUCHING * size else f" {shown}", right)
            else:
                held.append(last._replace(text=shown, left=left, right=right))
        yield from _line_of(held)

    def _number(self, at: int) -> int:
        """PDFium's number of the character at a position in the text."""
        return at if self._exact else pdfium_c.FPDFText_GetCharIndexFromTextIndex(self._raw, at)

    def _span(self, start: int, end: int, turn: int) -> tuple[float, float]:
        """Where a stretch of text begins and ends in the line's direction, from its first and last character."""
        left, right = self._edges(start, turn)
        if start == end:
            return left, right
        # The first character is the rightmost one in Hebrew and Arabic.
        last_left, last_right = self._edges(end, turn)
        return min(left, last_left), max(right, last_right)

    def _edges(self, at: int, turn: int) -> tuple[float, float]:
        """Where a character begins and ends in the line's direction."""
        number = at if self._exact else self._number(at)
        _char_box(self._page, number, self._at_box)
        box = self._box
        if turn == 0:
            return box.left, box.right
        if turn == 1:
            return box.bottom, box.top
        return (-box.top, -box.bottom) if turn == -1 else (-box.right, -box.left)

    def _style(self, at: int) -> tuple[bool, bool]:
        """Whether a character is bold, and whether it is italic."""
        number = self._number(at)
        self._name.value = b""
        _font_info(self._page, number, self._at_name, FONT_NAME, self._at_flags)
        name = self._name.value.lower()
        bold = b"bold" in name or _font_weight(self._page, number) >= BOLD_WEIGHT
        return bold, bool(self._flags.value & ITALIC_FLAG) or b"italic" in name

    def _cells(self, start: int, end: int, size: float, turn: int) -> tuple[Cell, ...]:
        """The cells that wide gaps make of the line; none where it has no such gap.

        Only plain spaces are looked at: PDFium writes one for a gap, the no-break ones are the author's.
        """
        words = [word.span() for word in _WORD.finditer(self._text, start, end + 1)]
        if len(words) < 2:
            return ()
        spans = [self._span(first, after - 1, turn) for first, after in words]
        gaps = [max(right[0] - left[1], left[0] - right[1]) for left, right in pairwise(spans)]
        least = _least_gap(gaps, size)
        cells: list[Cell] = []
        begin = 0
        for at in range(1, len(words) + 1):
            ends_sentence = at < len(words) and self._text[words[at - 1][1] - 1] in ".!?:"
            if at == len(words) or gaps[at - 1] > (max(least, SENTENCE_GAP * size) if ends_sentence else least):
                text = one_line(self._text[words[begin][0] : words[at - 1][1]])
                text = text.translate(_LIGATURES) if self._has_ligatures else text
                inside = spans[begin:at]
                cells.append(Cell(text, min(left for left, _ in inside), max(right for _, right in inside)))
                begin = at
        return tuple(cells) if len(cells) > 1 else ()


class _Letters(NamedTuple):
    """A cell that is put together letter by letter."""

    text: str
    left: float
    right: float
    base: float
    size: float
    turn: int
    bold: bool
    italic: bool

    def goes_on_at(self, left: float, base: float, turn: int) -> bool:
        return turn == self.turn and abs(base - self.base) < 0.1 * self.size and left > self.right - 0.3 * self.size

    def with_letter(self, letter: str, right: float) -> _Letters:
        return self._replace(text=self.text + letter, right=right)


def _line_of(letters: list[_Letters]) -> Iterator[Line]:
    if not letters:
        return
    first, text = letters[0], " ".join(each.text for each in letters)
    cells = tuple(Cell(each.text, each.left, each.right) for each in letters) if len(letters) > 1 else ()
    yield Line(
        text, first.left, letters[-1].right, first.base, first.base, first.size, first.bold, first.italic, cells,
        turn=first.turn % 4,
    )  # fmt: skip


def _least_gap(gaps: list[float], size: float) -> float:
    """How wide a gap must be to part cells, in points."""
    smallest = min(gaps)
    if len(gaps) > 2 and STRETCHED[0] * size < smallest < STRETCHED[1] * size:
        return max(CELL_GAP * size, 1.8 * smallest)
    between = any(SPACE * size < gap < NARROW_GAP * size for gap in gaps)
    return (CELL_GAP if between or smallest > SPACE * size else NARROW_GAP) * size


def _may_have_gaps(text: str, width: float, size: float) -> bool:
    return " " in text and (width > WIDE * size * len(text) or text[-1] in "0123456789%)\u2014\u2013-")
