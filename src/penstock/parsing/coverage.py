"""How much of a file's text is in what was read of it, by a second count that knows nothing of the reader.

The scan of a format goes through the file again and takes all that looks like text, without order or structure. What
the reader did not bring is handed in at the end, so that a structure which the reader does not know costs its place
and not its words.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from penstock.chunking.document import Block

BUCKETS = 1 << 20
"""Of the words counted: 4 MiB, however long the file is."""
MOST_LOST = 100_000
"""Different words that are looked for again; a file that lost more has a coverage that says so."""

_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_LONE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that do not part words: here each character is one."""
_WORD = re.compile(rf"[{_LONE}]|[^\W{_LONE}]+")
_ASCII_WORD = re.compile(r"\w+")


@dataclass
class Coverage:
    """What the count found. The fields grow while the file is read."""

    counted: int = 0
    """Words that the independent count found."""
    missed: int = 0
    """Those of them that the reader did not bring."""
    lost: int = 0
    """Those that are not in the text, even so."""

    @property
    def share(self) -> float | None:
        """Of the counted words those that are in the text, rounded down to 4 digits; None where nothing was counted."""
        return (self.counted - self.lost) * 10_000 // self.counted / 10_000 if self.counted else None


def words(text: str) -> list[str]:
    """Runs of letters and digits, without regard to case, width and invisible marks."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold())


class Words:
    """How often each word was said, in buckets.

    Two words may share a bucket. What is said takes its own count away, so that only what the text has beyond the
    file's own words (labels, numbers of lists) can hide a loss: about once in a million.
    """

    def __init__(self) -> None:
        self._counts = array("I", [0]) * BUCKETS

    def add(self, text: str) -> None:
        for word in words(text):
            self._counts[_bucket(word)] += 1

    def take(self, word: str) -> bool:
        """Whether the word was said once more than it was taken."""
        bucket = _bucket(word)
        if not self._counts[bucket]:
            return False
        self._counts[bucket] -= 1
        return True


def supplemented(blocks: Iterable[Block], scan: Callable[[], Iterable[Block]], coverage: Coverage) -> Iterator[Block]:
    """`blocks`, and behind them those of the `scan` that hold words which `blocks` do not.

    The scan is asked for once if nothing is lost, else up to three more times.
    """
    said = Words()
    for block in blocks:
        said.add(block.text)
        yield block
    lost: Counter[str] = Counter()
    for block in scan():
        for word in words(block.text):
            coverage.counted += 1
            if not said.take(word):
                coverage.missed += 1
                if word in lost or len(lost) < MOST_LOST:
                    lost[word] += 1
    coverage.lost += coverage.missed
    if lost:
        yield from _holding(scan, lost, coverage)


def _holding(scan: Callable[[], Iterable[Block]], lost: Counter[str], coverage: Coverage) -> Iterator[Block]:
    """The Blocks that make up for the `lost` words: first those that are lost as a whole, so that few are repeated."""
    for share in (1, 0.5, 0):
        for block in scan():
            found = Counter(words(block.text)) & lost
            if found and found.total() >= share * len(words(block.text)):
                lost -= found
                coverage.lost -= found.total()
                yield block
            if not lost:
                return


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS
