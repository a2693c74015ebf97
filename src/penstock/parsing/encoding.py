"""Bytes of unknown origin to text: which encoding, and never a `UnicodeDecodeError`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from charset_normalizer import from_bytes

SAMPLE_BYTES = 256 * 1024
"""How much of a file is looked at to find its encoding."""
GUESS_BYTES = 32 * 1024
"""Statistics beyond this many bytes get slower, not better."""
LONGEST_LINE = 64 * 1024
"""Characters; a longer line comes in pieces, so that a file of one line does not fill the memory."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Stray bytes in otherwise sound text are nearly always pasted Windows-1252."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("penstock", _as_windows_1252)


def find_encoding(sample: bytes) -> str | None:
    """The encoding of a text that starts with `sample`, or None where the bytes are not text.

    A byte order mark decides; then zeros, which only UTF-16 and UTF-32 have in text; then UTF-8; then statistics.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if 0 in sample[:4096]:
        return _wide_encoding(sample)
    if _reads_as_utf8(sample):
        return "utf-8" if _looks_like_text(sample.decode("utf-8", "replace")) else None
    return _guess(sample)


def declared_encoding(sample: bytes) -> str | None:
    """What an HTML `meta` or an XML declaration near the start says, where it can be true."""
    if any(sample.startswith(mark) for mark, _ in _MARKS):
        return None
    found = _DECLARED.search(sample[:4096])
    try:
        encoding = codecs.lookup(found[1].decode("ascii")).name if found else None
        # A declaration that can be read as ASCII cannot stand in UTF-16; who writes that means UTF-8.
        if encoding is None or encoding.startswith(("utf-16", "utf-32")):
            return None
        sample[:4096].decode(encoding, "penstock")
    except (LookupError, UnicodeError):
        return None
    return "cp1252" if encoding in ("iso8859-1", "ascii") else encoding


def decoded(data: bytes, encoding: str | None = None) -> str:
    """`data` as text, in `encoding` or the one found; what does not fit is read as Windows-1252."""
    return data.decode(encoding or find_encoding(data[:SAMPLE_BYTES]) or "utf-8", "penstock")


def read_sample(path: Path, size: int = SAMPLE_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The lines of a text file, each with a plain newline at its end; holds one line in memory."""
    encoding = encoding or find_encoding(read_sample(path)) or "utf-8"
    with path.open(encoding=encoding, errors="penstock") as file:
        yield from iter(partial(file.readline, LONGEST_LINE), "")


def pieces(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The text of a file in pieces of bounded size, wherever they end."""
    encoding = encoding or find_encoding(read_sample(path)) or "utf-8"
    with path.open(encoding=encoding, errors="penstock") as file:
        yield from iter(partial(file.read, LONGEST_LINE), "")


def _reads_as_utf8(sample: bytes) -> bool:
    """Whether at most a stray byte here and there is not UTF-8."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    wrong = text.count("\ufffd")
    if wrong == 0:
        return True
    good = sum(1 for character in text if character > "\x7f") - wrong
    return wrong * 20 <= good


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark: in Western text every second to fourth byte only is not zero."""
    for encoding, width, place in (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1)):
        whole = sample[: len(sample) // width * width][:4096]
        if len(whole) < 2 * width:
            continue
        zeros = [whole[offset::width].count(0) * width / len(whole) for offset in range(width)]
        if zeros[place] < 0.1 and all(share > 0.6 for at, share in enumerate(zeros) if at != place):
            return encoding if _looks_like_text(whole.decode(encoding, "replace")) else None
    return None


def _guess(sample: bytes) -> str | None:
    if _binary_share(sample.decode("latin-1")) > 0.01:
        return None
    if _is_western(sample):
        return "cp1252"
    best = from_bytes(sample[:GUESS_BYTES], cp_exclusion=["utf_7"]).best()
    return best.encoding if best else "cp1252"


def _is_western(sample: bytes) -> bool:
    """Whether there are a few accented letters among plain ones: too few for statistics, which then find Chinese."""
    accented = sum(map(len, runs := _HIGH_RUN.findall(sample)))
    return accented < 24 and accented * 4 < len(sample) and max(map(len, runs), default=0) <= 3


def _looks_like_text(text: str) -> bool:
    return _binary_share(text) <= 0.01


def _binary_share(text: str) -> float:
    return len(_BINARY.findall(text)) / max(len(text), 1)
