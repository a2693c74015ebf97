"""Words that a line's end parts: is the hyphen the printer's or the author's? What else the document says, tells."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence

from penstock.parsing.formats.page_lines import HYPHEN, Line

MOST_WORDS = 200_000
"""Words are no longer collected beyond these; a long book has 40,000."""
_WORD = re.compile(r"\w{1,64}(?:[-\u2010\u2011]\w{1,64})*")
_LAST = re.compile(r"[\w\u2019'-]+$")
_FIRST = re.compile(r"\w+(?:[-\u2010\u2011]\w+)*")
HYPHENS = "-\u2010\u2011\u00ad"


class Vocabulary:
    """The words of a document that are seen whole, with and without hyphens, case folded."""

    def __init__(self, pages: int) -> None:
        """`pages` is how many of the last pages are kept for the first word in doubt; from then on all are learnt."""
        self._unread: deque[Sequence[Line]] = deque(maxlen=pages)
        self._words: set[str] = set()

    def add(self, lines: Sequence[Line]) -> None:
        """Take a page's lines for evidence, tables left out."""
        self._unread.append(lines)

    def join(self, before: str, after: str) -> tuple[str, ...]:
        """Two lines of which a hyphen that `before` does not hold parts a word, as one text; as two if none is."""
        last, first = _LAST.search(before), _FIRST.match(after)
        if last is None or first is None:
            return f"{before}-", after
        return (f"{before}-{after}" if self._is_the_authors(last[0], first[0]) else before + after,)

    def mended(self, text: str) -> str:
        """The text with the words joined that marked hyphens part."""
        first, *others = text.split(HYPHEN)
        parts = [first]
        for other in others:
            parts[-1:] = self.join(parts[-1], other) if other.strip() else (f"{parts[-1]}-{other}",)
        return " ".join(parts)

    def _is_the_authors(self, head: str, tail: str) -> bool:
        if len(head) == 1 or not tail[0].isalpha() or not head[-1].isalpha():
            return True  # printers leave no single letter behind, and part no numbers
        if tail[0].isupper() and not head.isupper():
            return True
        self._read()
        head, tail = head.casefold(), tail.casefold()
        segment, syllable = head.rpartition("-")[2], tail.partition("-")[0]
        whole = segment + syllable in self._words
        if f"{head}-{tail}" in self._words or f"{segment}-{syllable}" in self._words:
            return not whole
        # Unseen as one word. Printers part syllables, authors words.
        return not whole and len(segment) > 2 and segment in self._words and syllable in self._words

    def _read(self) -> None:
        while self._unread:
            lines = self._unread.popleft()
            if len(self._words) < MOST_WORDS:
                found = set(_WORD.findall("\n".join(_whole_words(lines)).casefold()))
                self._words |= found
                self._words.update(part for word in found if "-" in word for part in word.split("-"))


def _whole_words(lines: Sequence[Line]) -> Iterator[str]:
    """The text of the lines without the halves of words at their ends and beginnings, which are no evidence."""
    parted = False
    for line in lines:
        text = line.text.partition(" ")[2] if parted else line.text
        parted = line.hyphen or ends_in_hyphen(line.text)
        if not line.cells:
            yield text.rpartition(" ")[0] if parted else text


def ends_in_hyphen(text: str) -> bool:
    """Whether a line ends in a hyphen that its reader has not taken for one."""
    return len(text) > 1 and text[-1] in HYPHENS and text[-2].isalpha()
