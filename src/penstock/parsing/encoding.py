"""Bytes of unknown origin to text: which encoding, and never a `UnicodeDecodeError`.

What is certain comes first: a byte order mark, the escapes of ISO-2022, the shape of UTF-32, UTF-16 and UTF-8. Then
the spelling of the few accents there may be, then statistics. A text of one or two words in an old code page cannot be
told: one byte is è in the West, č in Prague and и in Sofia; the encoding that more files have is taken then.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import chardet

from penstock.parsing.spelling import encoding_by_spelling

SAMPLE_BYTES = 256 * 1024
"""How much of a file is looked at to find its encoding, from where it first leaves ASCII."""
GUESS_BYTES = 32 * 1024
"""Statistics beyond this many bytes get slower, not better."""
LONGEST_LINE = 64 * 1024
"""Characters; a longer line comes in pieces, so that a file of one line does not fill the memory."""

_SCAN_BYTES = 1024 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_PLAIN_WIDE = re.compile("[\t\n -~\u3001\u3002\u3041-\u30fe\uff01-\uff5e]")
"""ASCII, kana and the punctuation of East Asia: letters of the other byte order are hardly ever among them."""
_WORDS = re.compile(rb"[A-Za-z ]{10}")
"""Plain letters, which five characters of UTF-16 in a row do not look like."""
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ESCAPES = (
    (re.compile(rb"\x1b\$\)C"), "iso2022_kr"),
    (re.compile(rb"\x1b\(I"), "iso2022_jp_ext"),
    (re.compile(rb"\x1b\$(?:[@B]|\(D)"), "iso2022_jp_2"),
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_SAID_IN_TEXT = re.compile(rb"^[^\r\n]{0,200}?coding[:=][ \t]*([-\w.]{2,40})|\\usepackage\[(\w{2,20})\]\{inputenc\}")
"""What editors and Python look for in the first lines, and what LaTeX is told."""
_MEANT = {
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "iso8859-8": "cp1255",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
    "cp950": "big5hkscs", "iso2022_jp": "iso2022_jp_2",
}  # fmt: skip
"""What those who declare the name on the left write in truth: supersets, as browsers take them too."""
_ALIASES = {
    "x-sjis": "cp932", "x-euc-jp": "euc_jp", "x-gbk": "gb18030", "cp936": "gb18030", "x-x-big5": "big5hkscs",
    "windows-949": "cp949", "x-windows-949": "cp949", "windows-874": "cp874", "dos-874": "cp874",
    "macintosh": "mac_roman", "x-mac-roman": "mac_roman", "applemac": "mac_roman", "x-mac-cyrillic": "mac_cyrillic",
    "iso-8859-8-i": "cp1255", "iso-8859-8-e": "cp1255", "ansinew": "cp1252", "x-user-defined": "cp1252",
    "unicode-1-1-utf-7": "utf-7", "x-unicode-2-0-utf-7": "utf-7", "unicode-1-1-utf-8": "utf-8", "utf8x": "utf-8",
}  # fmt: skip
"""Names in use that Python does not know."""
_CODE_PAGES = {
    0: "cp1252", 708: "iso8859-6", 1200: "utf-16-le", 1201: "utf-16-be", 10000: "mac_roman", 10001: "cp932",
    10006: "mac_greek", 10007: "mac_cyrillic", 10029: "mac_latin2", 10081: "mac_turkish", 20127: "ascii",
    20866: "koi8-r", 20932: "euc_jp", 20936: "gb18030", 21866: "koi8-u", 32768: "mac_roman", 32769: "cp1252",
    38598: "cp1255", 50220: "iso2022_jp", 50221: "iso2022_jp", 50222: "iso2022_jp", 50225: "iso2022_kr",
    51932: "euc_jp", 51936: "gb18030", 51949: "euc_kr", 52936: "hz", 54936: "gb18030", 65000: "utf-7", 65001: "utf-8",
    **{28590 + part: f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15)},
}  # fmt: skip
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"})
"""Codecs of Python that are no character sets; a long text takes some of them hours."""
_CANDIDATES = (
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859-1", "iso8859-2",
    "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-13", "iso8859-15", "koi8-r",
    "koi8-u", "cp866", "cp437", "cp850", "cp852", "cp874", "tis-620", "mac-roman", "mac-cyrillic", "mac-greek", "cp932",
    "euc_jis_2004", "gb18030", "big5hkscs", "cp949", "euc_kr", "johab",
)  # fmt: skip
"""What text files are written in; with rarer ones short texts would be taken for those."""


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Stray bytes in otherwise sound text are nearly always pasted Windows-1252."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("penstock", _as_windows_1252)


def charset(label: str) -> str | None:
    """Python's codec for what is meant by a declared character set; None if there is none of that name."""
    name = label.strip(" \t\"'").lower()
    try:
        codec = codecs.lookup(_ALIASES.get(name, name)).name
        b"a".decode(codec, "replace")  # the lookup finds codecs that make no text, too
    except (LookupError, UnicodeError, ValueError):
        return None
    return None if codec in _NO_CHARSETS else _MEANT.get(codec, codec)


def code_page(number: int) -> str | None:
    """Python's codec for a code page as Windows numbers them; None if there is none."""
    return charset(_CODE_PAGES.get(number, f"cp{number}"))


def find_encoding(sample: bytes) -> str | None:
    """The encoding of a text that starts with `sample`, or None where the bytes are not text."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    for escape, encoding in _ESCAPES:
        if escape.search(sample):
            return encoding
    # Zeros are in no other text, but where something went wrong here and there.
    if 0 in sample[:4096] and (wide := _wide_encoding(sample)):
        return wide
    good, wrong = _utf8_sequences(sample)
    encoding = "utf-8" if wrong < good or not wrong else _narrow_encoding(sample, good, wrong)
    # Nor has other text control characters, but that of East Asia in UTF-16.
    return encoding if _looks_like_text(sample.decode(encoding, "replace")) else _wide_encoding(sample)


def _narrow_encoding(sample: bytes, good: int, wrong: int) -> str:
    """A code page; or UTF-8, where lines of two encodings have come together."""
    if _is_ebcdic(sample):
        return "cp037"
    telling = b"\n".join(line for line in sample.splitlines() if not line.isascii())[:GUESS_BYTES]
    # By chance some bytes are sound UTF-8 in other scripts, not in Western text.
    if good * 4 >= wrong and encoding_by_spelling(_UTF8_SEQUENCE.sub(b"", telling)) == "cp1252":
        return "utf-8"
    return encoding_by_spelling(telling) or _guess(telling)


def declared_encoding(sample: bytes) -> str | None:
    """What an HTML `meta`, an XML declaration or a line for editors near the start says, where it can be true."""
    if sample.startswith(tuple(mark for mark, _ in _MARKS)):
        return None
    found = _DECLARED.search(sample[:4096]) if sample.lstrip().startswith(b"<") else _said_in_text(sample)
    if not found:
        return None
    encoding = believed(next(filter(None, found.groups())).decode("ascii", "replace"), sample)
    # A declaration that can be read as ASCII cannot stand in UTF-16; who writes that means UTF-8.
    return None if encoding is None or encoding.startswith(("utf-16", "utf-32", "utf-7")) else encoding


def believed(label: str, sample: bytes) -> str | None:
    """The codec for the character set that a text which starts with `sample` is said to have, if that can be true."""
    encoding = charset(label)
    if encoding in (None, "ascii"):  # who says ASCII of anything else says nothing
        return None
    good, wrong = _utf8_sequences(sample)
    if encoding.startswith("utf-8"):
        return encoding if wrong <= good else None
    # Programs convert pages to UTF-8 and leave the declaration as it was. By chance nothing else reads as UTF-8.
    return None if good > 1 and not wrong else encoding


def _said_in_text(sample: bytes) -> re.Match[bytes] | None:
    first_lines = b"\n".join(sample[:4096].splitlines()[:2])
    return _SAID_IN_TEXT.search(first_lines) or _SAID_IN_TEXT.search(sample[:4096])


def decoded(data: bytes, encoding: str | None = None) -> str:
    """`data` as text, in `encoding` or the one found; what does not fit is read as Windows-1252."""
    return data.decode(encoding or _encoding_of_text(data[:SAMPLE_BYTES]), "penstock")


def read_head(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def read_sample(path: Path, size: int = SAMPLE_BYTES) -> bytes:
    """The start of a file; where all of that is ASCII, what follows its first other byte as well."""
    with path.open("rb") as file:
        head = file.read(size)
        return head if len(head) < size or not head.isascii() else head + _first_beyond_ascii(file, size)


def lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The lines of a text file, each with a plain newline at its end; holds one line in memory."""
    encoding = encoding or _encoding_of_text(read_sample(path))
    with path.open(encoding=encoding, errors="penstock") as file:
        yield from iter(partial(file.readline, LONGEST_LINE), "")


def pieces(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The text of a file in pieces of bounded size, wherever they end."""
    encoding = encoding or _encoding_of_text(read_sample(path))
    with path.open(encoding=encoding, errors="penstock") as file:
        yield from iter(partial(file.read, LONGEST_LINE), "")


def _encoding_of_text(sample: bytes) -> str:
    return declared_encoding(sample) or find_encoding(sample) or "utf-8"


def _first_beyond_ascii(file: BinaryIO, size: int) -> bytes:
    """A sample that starts where the first byte beyond ASCII stands; reads on to the end if there is none."""
    for piece in iter(partial(file.read, max(size, _SCAN_BYTES)), b""):
        if found := _HIGH_RUN.search(piece):
            sample = piece[found.start() : found.start() + size]
            return sample + file.read(size - len(sample))
    return b""


def _utf8_sequences(sample: bytes) -> tuple[int, int]:
    """How many characters beyond ASCII are sound UTF-8, and how many bytes are not."""
    if sample.isascii():
        return 0, 0
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    wrong = text.count("\ufffd")
    return sum(len(run) for run in re.findall("[^\x00-\x7f]+", text)) - wrong, wrong


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-32 or UTF-16 without a byte order mark: the one in which all is characters, most of them plain ones."""
    head = sample[: min(len(sample), 4096) // 4 * 4 or len(sample) // 2 * 2]
    plain = {
        encoding: len(_PLAIN_WIDE.findall(text))
        for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
        if (text := _characters(head, encoding))
    }
    return max(plain, key=lambda encoding: plain[encoding], default=None)


def _characters(sample: bytes, encoding: str) -> str:
    """The text in this encoding; nothing where it would be none."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return ""
    odd = sum(unicodedata.category(character) in ("Cc", "Cn", "Co") and not character.isspace() for character in text)
    if odd * 100 > len(text) or not text.strip():
        return ""
    return "" if sample.count(0) * 8 < len(sample) and _is_chance(sample, text) else text


def _is_chance(sample: bytes, text: str) -> bool:
    """Without zeros nearly any few bytes are letters, though of scripts that do not stand together."""
    scripts = {unicodedata.name(letter, "?").partition(" ")[0] for letter in set(text) if letter.isalpha()}
    if len(text) < 6 or len(scripts) > 7 or _WORDS.search(sample):
        return True
    return _looks_like_text(sample.replace(b"\0", b"").decode("latin-1"))


def _is_ebcdic(sample: bytes) -> bool:
    """Whether it is a mainframe's text, which has spaces where ASCII has `@`, letters beyond ASCII, no line ends."""
    letters = sum(1 for byte in sample if byte >= 0x80)
    is_spaced = sample.count(0x40) * 16 > len(sample) and not sample.count(0x20) and not sample.count(0x0A)
    return is_spaced and letters * 8 > len(sample)


def _guess(sample: bytes) -> str:
    best = chardet.detect(
        sample,
        max_bytes=len(sample),
        compat_names=False,
        include_encodings=_CANDIDATES,
        no_match_encoding="cp1252",
    )
    return charset(best["encoding"] or "cp1252") or "cp1252"


def _looks_like_text(text: str) -> bool:
    return _binary_share(text) <= 0.01


def _binary_share(text: str) -> float:
    return len(_BINARY.findall(text)) / max(len(text), 1)
