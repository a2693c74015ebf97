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
from dataclasses import dataclass, field

from penstock.chunking.document import Block

MOST_WORDS = 50_000
"""Different ones that are counted one by one."""
BUCKETS = 1 << 20
"""For all others: 4 MiB, however long the file is."""
MOST_UNREAD_PAGES = 1000
"""The first ones; a file that left out more is told well enough by these."""
MOST_LOST = 100_000
"""Different words that are looked for again; a file that lost more has a coverage that says so."""

_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_LONE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that do not part words: here each character is one."""
_JOINTS = ("-", "|", "\u00ad", "\u2010", "\ufffe")
"""Hyphens at the ends of lines, and what stands between cells."""
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
    unread_pages: list[int] = field(default_factory=list[int])
    """Pages, from 1 and in order, that show something of which no text came, or not all."""

    def leave_out(self, page: int) -> None:
        """Count a page as unread."""
        if len(self.unread_pages) < MOST_UNREAD_PAGES:
            self.unread_pages.append(page)

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
    """How often each word was said: by word as long as there are few, in buckets beyond, so that memory is bounded.

    Two words may share a bucket. What is said takes its own count away, so that only what the text has beyond the
    file's own words (labels, numbers of lists) can hide a loss: about once in a million.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._buckets: array[int] | None = None

    def add(self, text: str) -> None:
        self._counts.update(words(text))
        if len(self._counts) > MOST_WORDS:
            self._buckets = self._buckets or array("I", [0]) * BUCKETS
            for word, count in self._counts.items():
                self._buckets[_bucket(word)] += count
            self._counts.clear()

    def take(self, counts: Counter[str]) -> Counter[str]:
        """Those of `counts` that were not said as often; the others can be taken no more."""
        missed = counts - self._counts
        self._counts -= counts
        if self._buckets:
            for word, count in missed.items():
                bucket = _bucket(word)
                taken = min(count, self._buckets[bucket])
                self._buckets[bucket] -= taken
                missed[word] -= taken
        return +missed


def supplemented(blocks: Iterable[Block], scan: Callable[[], Iterable[Block]], coverage: Coverage) -> Iterator[Block]:
    """`blocks`, and behind them those of the `scan` that hold words which `blocks` do not.

    The scan is asked for once if nothing is lost, else up to three more times.
    """
    said = Words()
    for block in blocks:
        said.add(block.text)
        yield block
    lost: Counter[str] = Counter()
    for counts in _counted(scan()):
        coverage.counted += counts.total()
        missed = said.take(counts)
        coverage.missed += missed.total()
        for word, count in missed.items():
            if word in lost or len(lost) < MOST_LOST:
                lost[word] += count
    coverage.lost += coverage.missed
    if lost:
        yield from _holding(scan, lost, coverage)


def _counted(blocks: Iterable[Block]) -> Iterator[Counter[str]]:
    """The words of all the Blocks, in portions of a bounded size."""
    counts: Counter[str] = Counter()
    for block in blocks:
        counts.update(words(block.text))
        if len(counts) > MOST_WORDS:
            yield counts
            counts = Counter()
    yield counts


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


PAGES_BACK, PAGES_AHEAD = 2, 1
"""A paragraph stands on the page on which it begins and may go on for a page or two; others come a page early."""


@dataclass
class _Page:
    lines: list[str]
    said: list[str] = field(default_factory=list[str])
    compact: str | None = None


class PageCoverage:
    """The count for formats with pages, of which each is at hand as lines while it is being read.

    A line is found in what was said of the pages around it: as it is, else without white space, hyphens and the bars
    between cells, else word by word. So lines may be joined, cut into cells and put into another order.
    """

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._pages: dict[int, _Page] = {}
        self._settled = 0

    def heard(self, page: int, lines: Iterable[str]) -> None:
        """What the file says on a page, before anybody has looked at what it is.

        Pages come in their order, lines with single spaces between words.
        """
        self._pages.setdefault(page, _Page([])).lines += lines

    def passed(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """`blocks`, and what they left out of the pages that they are through with."""
        for block in blocks:
            yield block
            if block.page is not None:
                self._pages.setdefault(block.page, _Page([])).said.append(block.text)
                while self._settled + 1 < block.page - PAGES_AHEAD:
                    yield from self._settle(self._settled + 1)

    def rest(self) -> Iterator[Block]:
        """What was left out of the last pages."""
        last = max(self._pages, default=0)
        while self._settled < last:
            yield from self._settle(self._settled + 1)

    def _settle(self, number: int) -> Iterator[Block]:
        around = [self._pages[at] for at in range(number - PAGES_BACK, number + PAGES_AHEAD + 1) if at in self._pages]
        page = self._pages.get(number)
        if page is not None:
            for line in self._left_out(page.lines, around):
                yield Block(line, page=number)
            page.lines = []
        self._settled = number
        self._pages.pop(number - PAGES_BACK, None)

    def _left_out(self, lines: list[str], around: list[_Page]) -> Iterator[str]:
        said = "\n".join(text for page in around for text in page.said)
        at = 0
        for line in lines:
            self._coverage.counted += line.count(" ") + 1  # as lines are given, and half as dear as to split them
            found = said.find(line, at)
            if found >= 0:
                at = found
            elif line not in said and (missed := _missing_words(line, around)):
                self._coverage.missed += len(missed)
                yield line


def _missing_words(line: str, around: list[_Page]) -> list[str]:
    if any(_compact(line) in _compact_page(page) for page in around):
        return []
    return [word for word in line.split() if not any(_compact(word) in _compact_page(page) for page in around)]


def _compact_page(page: _Page) -> str:
    if page.compact is None:
        page.compact = _compact("\n".join(page.said))
    return page.compact


def _compact(text: str) -> str:
    for sign in _JOINTS:
        text = text.replace(sign, "")
    return "".join(text.split())


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS
