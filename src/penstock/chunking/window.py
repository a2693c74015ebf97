"""The stretch of text that is being cut: a few thousand characters of it, however long the file."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from penstock.chunking.assembly import Part
from penstock.chunking.tokens import TokenCounter

_VISIBLE = re.compile(r"\S")


class Window:
    """Text with its token counts and Parts. All positions count from the start of the extracted text."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self.base = 0
        """Position of the first character still held."""
        self.text = ""
        self._atoms: list[int] = []
        """Where each atom starts."""
        self._before: list[int] = [0]
        """Tokens before each atom, and behind the last."""
        self._parts: list[Part] = []
        self._seams: list[int] = []
        """Places where words had to be measured in two halves: counts across one are estimates."""

    @property
    def end(self) -> int:
        return self.base + len(self.text)

    def append(self, piece: str, part: Part) -> None:
        if self._parts and self._parts[-1].end == part.start:
            self._mark_seam(part.start, piece)
        starts, tokens = self._counter.atoms(piece, at=self.end)
        self._atoms += starts
        self._before += accumulate(tokens, initial=self._before.pop())
        self.text += piece
        self._parts.append(part)

    def forget(self, position: int) -> None:
        """Drop what lies before `position`, but for the character there that says whether a word was cut."""
        kept = max(position - 1, self.base)
        self.text = self.text[kept - self.base :]
        self.base = kept
        first = bisect_left(self._atoms, position)
        del self._atoms[:first], self._before[:first]
        gone = next((at for at, part in enumerate(self._parts) if part.end > position), len(self._parts))
        # The last Part stays: the next piece is compared with it.
        del self._parts[: min(gone, len(self._parts) - 1)]
        self._seams = [seam for seam in self._seams if seam > position]

    def slice(self, start: int, end: int) -> str:
        return self.text[start - self.base : end - self.base]

    def past_blanks(self, position: int) -> int:
        """The first character that is not white space, from `position` on."""
        found = _VISIBLE.search(self.text, position - self.base)
        return self.base + found.start() if found else self.end

    def tokens(self, start: int, end: int) -> int:
        """Tokens of the atoms that start in the range."""
        return self._before[bisect_left(self._atoms, end)] - self._before[bisect_left(self._atoms, start)]

    def reach(self, start: int, tokens: int) -> int:
        """How far from `start` that many tokens go: the start of the first atom that no longer fits."""
        first = bisect_left(self._atoms, start)
        last = bisect_right(self._before, self._before[first] + tokens, lo=first) - 1
        return self._atoms[last] if last < len(self._atoms) else self.end

    def atoms_back(self, end: int, start: int, tokens: int) -> Iterator[int]:
        """Starts of the atoms from `end` back to `start`, as long as they have that many tokens together."""
        behind = bisect_left(self._atoms, end)
        for at in range(behind - 1, -1, -1):
            if self._atoms[at] <= start or self._before[behind] - self._before[at] > tokens:
                return
            yield self._atoms[at]

    def is_exact(self, start: int, end: int) -> bool:
        """Whether `tokens(start, end)` is the count by the tokenizer, given that it measured from `start` on."""
        return self._counter.additive and self.is_joint(end) and not any(start < seam < end for seam in self._seams)

    def is_joint(self, position: int) -> bool:
        """Whether a cut here changes no count on either side."""
        between = position >= self.end or self._is_atom(position) or self.slice(position - 1, position).isspace()
        return between and self._counter.joint_at(self.text, position - self.base)

    def is_measured_from(self, position: int) -> bool:
        """Whether the counts from here on hold for a text that starts here, as far as they are ever exact."""
        return self._is_atom(position) and (not self._counter.additive or self.is_joint(position))

    def _is_atom(self, position: int) -> bool:
        at = bisect_left(self._atoms, position)
        return at < len(self._atoms) and self._atoms[at] == position

    def measure_again(self, start: int, length: int) -> None:
        """Count anew from a cut inside a word up to the next joint, or for about `length` characters.

        What is left of a word has other tokens than it had as part of the word.
        """
        first = behind = bisect_left(self._atoms, start)
        while behind < len(self._atoms) and not self._stops_measuring(self._atoms[behind], start, length):
            behind += 1
        end = self._atoms[behind] if behind < len(self._atoms) else self.end
        self._atoms[first:behind], tokens = self._counter.atoms(self.slice(start, end), at=start)
        # Fitted to the counts behind: those before `start` are not asked for again.
        self._before[first : behind + 1] = accumulate(tokens, initial=self._before[behind] - sum(tokens))
        self._mark_seam(end, self.slice(end, end + 1))

    def _stops_measuring(self, atom: int, start: int, length: int) -> bool:
        return atom > start and (atom - start >= length or self.is_joint(atom))

    def parts(self, after: int, up_to: int) -> Iterator[Part]:
        """The Parts that end behind `after` and start at `up_to` or before."""
        return (part for part in self._parts if part.end > after and part.start <= up_to)

    def _mark_seam(self, position: int, following: str) -> None:
        both = self.slice(position - 1, position) + following[:1]
        if not self._counter.joint_at(both, 1):
            self._seams.append(position)
