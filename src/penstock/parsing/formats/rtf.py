"""Rich Text Format, and the compressed kind of it that Outlook keeps ([MS-OXRTFCP])."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, TooLarge
from penstock.parsing.encoding import code_page
from penstock.parsing.formats.delimited import table_row

MAX_BYTES = 512 * 1024**2
"""An RTF file is in memory while it is read; most of a large one is pictures."""
MAX_DEPTH = 10_000
"""Groups within groups."""

_TOKEN = re.compile(
    r"\\(?:([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|'([0-9a-fA-F]{2})|([^a-zA-Z']))|([{}])|([^\\{}\r\n]+)",
    re.DOTALL,
)
_UNSHOWN = frozenset(
    {
        "fonttbl", "colortbl", "stylesheet", "info", "pict", "objdata", "objclass", "nonshppict", "fldinst", "sn", "sv",
        "listtable", "listoverridetable", "revtbl", "rsidtbl", "generator", "themedata", "colorschememapping",
        "datastore", "latentstyles", "xmlnstbl", "filetbl", "atnid", "atnauthor", "atrfstart", "atrfend", "bkmkstart",
        "bkmkend", "pgptbl", "mmathPr", "pntext", "xe", "tc", "rxe", "txe",
    }
)  # fmt: skip
"""Destinations that hold no text of the page."""
_OPTIONAL_SHOWN = frozenset({"shpinst", "shptxt", "annotation", "picprop"})
"""Of the destinations marked as optional (`\\*`), those with text."""
_ASIDE = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), Origin.HEADER),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), Origin.FOOTER),
    "footnote": Origin.FOOTNOTE,
    "annotation": Origin.COMMENT,
}
"""Destinations whose text stands beside the flow."""
_DESCRIPTION = "wzDescription"
"""Name of the property of a picture that holds its alternative text."""
_SPECIAL = {
    "tab": "\t", "line": "\n", "emdash": "\u2014", "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019",
    "ldblquote": "\u201c", "rdblquote": "\u201d", "bullet": "\u2022", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_SYMBOLS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}", "\t": "\t", "-": ""}
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 78: "cp932", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030",
    136: "big5hkscs", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_TWO_BYTES = frozenset({"cp932", "cp949", "johab", "gb18030", "big5hkscs"})


def read_rtf(path: Path) -> Iterator[Block]:
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"RTF files are read up to {MAX_BYTES // 1024**2} MiB; save it as docx.")
    return rtf_blocks(path.read_bytes())


def rtf_blocks(data: bytes) -> Iterator[Block]:
    """The Blocks of a document; one that was cut gives what is there."""
    return _Reader(data.decode("latin-1")).read()


@dataclass(frozen=True, slots=True)
class _Group:
    """What a group inherits from the one around it."""

    shown: bool = True
    destination: str = ""
    codec: str = "cp1252"
    skipped_after_unicode: int = 1
    hidden: bool = False
    """Whether the text is hidden, or was deleted while changes were tracked."""


@dataclass
class _Reader:
    """Follows the groups and control words; gathers paragraphs and cells."""

    source: str
    groups: list[_Group] = field(default_factory=lambda: [_Group()])
    text: list[str] = field(default_factory=list[str])
    hidden: list[str] = field(default_factory=list[str])
    """Text of the open paragraph that is not shown."""
    around: list[list[str]] = field(default_factory=list[list[str]])
    """The text of the paragraph in which a note stands that is open now."""
    later: list[Block] = field(default_factory=list[Block])
    """What stands beside the open paragraph or row, and follows it."""
    is_endnote: bool = False
    property_name: list[str] = field(default_factory=list[str])
    has_header: bool = False
    """Whether the open table had a row that names its columns."""
    pending: bytearray = field(default_factory=bytearray)
    """Bytes of a code page, which may take two for a character."""
    cells: list[str] = field(default_factory=list[str])
    in_table: bool = False
    fonts: dict[int, str] = field(default_factory=dict[int, str])
    font: int = 0
    default_font: int = 0
    styles: dict[int, int] = field(default_factory=dict[int, int])
    """Heading level by style number."""
    style: int = 0
    level: int = 0
    optional: bool = False
    to_skip: int = 0
    html_only: bool = False
    at: int = 0

    def read(self) -> Iterator[Block]:
        while match := _TOKEN.search(self.source, self.at):
            self.at = match.end()
            word, number, code, symbol, brace, text = match.groups()
            if word:
                yield from self._word(word, int(number) if number else None)
            elif brace == "{":
                self._open()
            elif brace:
                yield from self._close()
            elif symbol == "*":
                self.optional = True
            else:
                self._characters(code, symbol, text)
        yield from self._end_paragraph()

    @property
    def _target(self) -> list[str]:
        return self.hidden if self._group.hidden else self.text

    @property
    def _group(self) -> _Group:
        return self.groups[-1]

    def _open(self) -> None:
        self._decode_pending()
        if len(self.groups) > MAX_DEPTH:
            raise CorruptFile("The file is damaged: its groups are nested without end.")
        self.groups.append(self._group)

    def _close(self) -> Iterator[Block]:
        self._decode_pending()
        closed = self.groups.pop() if len(self.groups) > 1 else self._group
        if closed.destination == "sv" and closed.shown:
            self.text.append(" ")
        elif closed.destination in _ASIDE and self._group.destination != closed.destination and self.around:
            origin = Origin.ENDNOTE if self.is_endnote else _ASIDE[closed.destination]
            self.later.append(Block(self._taken(), BlockKind.PAGE_FURNITURE, origin=origin))
            self.text, self.is_endnote = self.around.pop(), False
            if not self.text and not self.cells:
                yield from self._take_later()

    def _take_later(self) -> Iterator[Block]:
        """What stands beside the paragraph or the row that has ended."""
        if self.hidden:
            self.later.append(Block("".join(self.hidden), BlockKind.PAGE_FURNITURE, origin=Origin.HIDDEN))
        later, self.later, self.hidden = self.later, [], []
        yield from later

    def _characters(self, code: str | None, symbol: str | None, text: str | None) -> None:
        if self._group.destination == "stylesheet" and text:
            self._name_style(text)
        elif self._group.destination == "sn":
            self.property_name.append(text or "")
        if not self._group.shown or self.html_only:
            return
        if self.to_skip and (code or text):
            skipped = min(self.to_skip, 1 if code else len(text or ""))
            self.to_skip -= skipped
            code, text = None, (text or "")[skipped:]
        if code:
            self.pending.append(int(code, 16))
        elif symbol in ("\r", "\n"):
            self._write("\n")
        else:
            self._write(_SYMBOLS.get(symbol or "", "") + (text or ""))

    def _write(self, text: str) -> None:
        if self.pending and self._group.codec in _TWO_BYTES:
            # The second byte of a character may look like a plain letter, and is written as one then.
            self.pending += text.encode("latin-1")
            text = ""
        self._decode_pending()
        if text.isascii():
            self._target.append(text)
        else:
            self._target.append(text.encode("latin-1").decode(self._group.codec, "penstock"))

    def _name_style(self, name: str) -> None:
        """The name of a style in the style sheet."""
        level = name.lower().partition("heading ")[2][:1]
        if level.isdigit() or name.strip(" ;") == "Title":
            self.styles[self.style] = int(level) if level.isdigit() else 1

    def _decode_pending(self) -> None:
        if self.pending:
            self._target.append(self.pending.decode(self._group.codec, "penstock"))
            self.pending.clear()

    def _word(self, word: str, number: int | None) -> Iterator[Block]:
        if word in ("par", "sect", "page", "row", "cell", "nestcell", "nestrow"):
            yield from self._boundary(word)
        elif word == "bin":
            self.at += max(number or 0, 0)
        elif word == "u" and number is not None:
            self._unicode(number)
        elif word in _SPECIAL:
            if self._group.shown and not self.html_only:
                self._decode_pending()
                self._target.append(_SPECIAL[word])
        elif word in _UNSHOWN or self.optional or word in _ASIDE:
            self._destination(word)
        else:
            self._state(word, number)
        self.optional = False

    def _destination(self, word: str) -> None:
        self._decode_pending()
        if word == "sn":
            self.property_name = []
        if word in _ASIDE and self._group.destination not in _ASIDE and self._group.shown:
            self.around.append(self.text)
            self.text = []
        is_description = word == "sv" and "".join(self.property_name).strip() == _DESCRIPTION
        if is_description:
            self.text.append(" ")
        shown = is_description or (word not in _UNSHOWN and (not self.optional or word in _OPTIONAL_SHOWN))
        # The properties of a picture stand among its bytes, which are no text.
        inherited = self._group.shown or word == "picprop"
        self.groups[-1] = replace(self._group, shown=inherited and shown, destination=word)

    def _state(self, word: str, number: int | None) -> None:
        change = _CHANGES.get(word)
        if change:
            self._decode_pending()
            change(self, number if number is not None else 1)

    def _boundary(self, word: str) -> Iterator[Block]:
        self._decode_pending()
        if not self._group.shown:
            return
        if self.around:
            self.text.append("\n")
        elif word in ("cell", "nestcell"):
            self.cells.append(self._taken())
        elif word in ("row", "nestrow"):
            yield from self._end_row()
        elif self.cells or self.in_table:
            self.text.append(" ")
        else:
            yield from self._end_paragraph()

    def _end_row(self) -> Iterator[Block]:
        """A row with a single filled cell is layout, or a title."""
        filled = [cell for cell in self.cells if cell.strip()]
        if len(filled) == 1:
            yield Block(filled[0])
        elif filled:
            yield table_row(self.cells, names_columns=not self.has_header)
            self.has_header = True
        self.cells = []
        yield from self._take_later()

    def _end_paragraph(self) -> Iterator[Block]:
        self._decode_pending()
        level = self.level or self.styles.get(self.style, 0)
        text = self._taken()
        if self.cells:
            self.cells.append(text)
            yield from self._end_row()
            return
        self.has_header = False
        yield Block(text, BlockKind.HEADING if level else BlockKind.PARAGRAPH, level)
        yield from self._take_later()

    def _taken(self) -> str:
        text = "".join(self.text)
        self.text = []
        # \\u writes what is beyond the first 65,536 characters as two surrogates.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _unicode(self, number: int) -> None:
        if self._group.shown and not self.html_only:
            self._decode_pending()
            self._target.append(chr(number & 0xFFFF))
            self.to_skip = self._group.skipped_after_unicode

    def set_font(self, number: int) -> None:
        self.font = number
        if self._group.destination != "fonttbl":
            self.groups[-1] = replace(self._group, codec=self.fonts.get(number, self.groups[0].codec))

    def set_default_font(self, number: int) -> None:
        self.default_font = number

    def set_charset(self, number: int) -> None:
        """Inside the font table."""
        if number in _CHARSETS:
            self.fonts[self.font] = _CHARSETS[number] if number else self.groups[0].codec

    def set_code_page(self, number: int) -> None:
        if codec := code_page(number):
            self.groups = [replace(group, codec=codec) for group in self.groups]

    def set_font_code_page(self, number: int) -> None:
        """Inside the font table; stronger than the character set."""
        if codec := code_page(number):
            self.fonts[self.font] = codec

    def set_skipped(self, number: int) -> None:
        self.groups[-1] = replace(self._group, skipped_after_unicode=max(number, 0))

    def set_style(self, number: int) -> None:
        self.style = number

    def set_level(self, number: int) -> None:
        self.level = number + 1 if 0 <= number < 9 else 0

    def set_html_only(self, number: int) -> None:
        """Between these words stands what a mail program added to HTML that is wrapped in RTF."""
        self.html_only = number != 0

    def set_hidden(self, number: int) -> None:
        self.groups[-1] = replace(self._group, hidden=number != 0)

    def reset_characters(self, _: int) -> None:
        self.set_hidden(0)
        self.set_font(self.default_font)

    def mark_endnote(self, _: int) -> None:
        self.is_endnote = True

    def set_in_table(self, _: int) -> None:
        self.in_table = True

    def reset_paragraph(self, _: int) -> None:
        self.level = self.style = 0
        self.in_table = False


_CHANGES: dict[str, Callable[[_Reader, int], None]] = {
    "f": _Reader.set_font,
    "fcharset": _Reader.set_charset,
    "ansicpg": _Reader.set_code_page,
    "mac": lambda reader, _: reader.set_code_page(10000),
    "pc": lambda reader, _: reader.set_code_page(437),
    "pca": lambda reader, _: reader.set_code_page(850),
    "cpg": _Reader.set_font_code_page,
    "deff": _Reader.set_default_font,
    "plain": _Reader.reset_characters,
    "uc": _Reader.set_skipped,
    "s": _Reader.set_style,
    "outlinelevel": _Reader.set_level,
    "htmlrtf": _Reader.set_html_only,
    "intbl": _Reader.set_in_table,
    "v": _Reader.set_hidden,
    "deleted": _Reader.set_hidden,
    "ftnalt": _Reader.mark_endnote,
    "pard": _Reader.reset_paragraph,
}

_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20"
    b"\\b\\i\\u\\tab\\tx"
)
_COMPRESSED, _PLAIN = b"LZFu", b"MELA"


def decompressed(data: bytes) -> bytes:
    """The RTF inside a compressed stream. Raises `CorruptFile` for any other."""
    if len(data) < 16:
        raise CorruptFile("The message's text is damaged.")
    size, kind = struct.unpack_from("<4xI4s", data)
    if kind == _PLAIN:
        return data[16 : 16 + size]
    if kind != _COMPRESSED:
        raise CorruptFile("The message's text is in an unknown compression.")
    return _inflate(data[16:], size)


def _inflate(data: bytes, size: int) -> bytes:
    """Runs of eight steps, each a byte or a reference into what was written, behind a byte that says which."""
    ring = bytearray(_DICTIONARY.ljust(4096, b"\0"))
    to, written, at = len(_DICTIONARY), bytearray(), 0
    while at < len(data) and len(written) < size:
        control, at = data[at], at + 1
        for bit in range(8):
            is_reference = control >> bit & 1
            if at + is_reference >= len(data):
                return bytes(written)
            if not is_reference:
                run, at = data[at : at + 1], at + 1
            else:
                reference, at = int.from_bytes(data[at : at + 2], "big"), at + 2
                if reference >> 4 == to:
                    return bytes(written)
                run = bytes(_copied(ring, reference >> 4, to, (reference & 0xF) + 2))
            for byte in run:
                ring[to] = byte
                to = (to + 1) % 4096
            written += run
    return bytes(written)


def _copied(ring: bytearray, start: int, to: int, count: int) -> Iterator[int]:
    """A run that may reach into itself."""
    distance = (to - start) % 4096
    fresh: list[int] = []
    for offset in range(count):
        fresh.append(ring[(start + offset) % 4096] if offset < distance else fresh[offset - distance])
        yield fresh[-1]
