"""Blocks in, Chunks out: greedy cutting of a window that moves along the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from penstock.chunking.assembly import Part, assemble
from penstock.chunking.context import Context, ContextMaker
from penstock.chunking.cutting import Boundary, Strength, between_characters, boundaries_inside, furthest, strongest
from penstock.chunking.document import Block, BlockKind, Origin
from penstock.chunking.recipe import ChunkRecipe
from penstock.chunking.tokens import TokenCounter
from penstock.chunking.window import Window
from penstock.models import NewChunk

LONGEST_PIECE = 16_384
"""Characters of a Block that are taken in at once: with the window this bounds the memory."""


class Chunker:
    """Cuts texts by one recipe. Raises `ModelUnavailable` where the tokenizer cannot be read."""

    def __init__(self, recipe: ChunkRecipe) -> None:
        self._recipe = recipe
        self._counter = TokenCounter(recipe.tokenizer_file, max_tokens=recipe.max_tokens)

    def chunk(
        self, blocks: Iterable[Block], *, write: Callable[[str], None], title: str = "", pages_apart: bool = False
    ) -> Iterator[NewChunk]:
        """The Chunks of the text that the Blocks make, in order; `write` gets each piece of that text once.

        With `pages_apart` no Chunk holds text of two pages: of slides and sheets each is a whole of its own.
        `title` says of which file they are: it becomes a part of each Chunk's context, which together with the
        Chunk's text is within the recipe's tokens.

        `text == extracted[char_span[0]:char_span[1]]`, in characters. Between two Chunks there is nothing but
        white space, and without overlap no text is in two of them. Lazy: a Chunk comes as soon as the Blocks
        behind it can no longer change it, so that a file of any size takes a few MB.
        """
        contexts = ContextMaker(self._counter, title=title, max_tokens=self._recipe.max_tokens)
        cutter = _Cutter(self._recipe, self._counter, contexts)
        for piece, part in assemble(
            blocks, piece_size=max(LONGEST_PIECE, self._recipe.max_characters), pages_apart=pages_apart
        ):
            write(piece)
            cutter.window.append(piece, part)
            yield from cutter.chunks(needed_ahead=self._recipe.max_characters)
        yield from cutter.chunks(needed_ahead=0)


class _Stretch(NamedTuple):
    """From where to where a Chunk goes, white space at its end included, its exact token count and its context."""

    start: int
    cut: int
    tokens: int
    context: Context


class _Cutter:
    """One text on its way through the window."""

    def __init__(self, recipe: ChunkRecipe, counter: TokenCounter, contexts: ContextMaker) -> None:
        self.window = Window(counter)
        self._recipe = recipe
        self._counter = counter
        self._contexts = contexts
        self._start = 0
        """Where the next Chunk starts."""
        self._covered = 0
        """Up to where the text is in a Chunk already; behind `_start` only where Chunks overlap."""
        self._index = 0

    def chunks(self, *, needed_ahead: int) -> Iterator[NewChunk]:
        """Chunks, as long as the window holds more text than `needed_ahead` characters."""
        while True:
            self._start = self.window.past_blanks(self._start)
            self._covered = self.window.past_blanks(self._covered)
            if self.window.end - self._covered <= needed_ahead:
                return
            if self._covered - self._start > self._recipe.overlap_characters:
                self._start = self._covered
            yield self._next()

    def _next(self) -> NewChunk:
        stretch = self._fit(self._start) or self._fit(self._covered)
        assert stretch, "a Chunk without overlap always fits"
        chunk = self._describe(stretch)
        self._index += 1
        self._covered = stretch.cut
        self._start = self._overlap_start(stretch)
        self.window.forget(self._start)
        return chunk

    def _fit(self, start: int) -> _Stretch | None:
        """The best stretch from `start`; None where its overlap leaves no room for new text."""
        recipe, window = self._recipe, self.window
        if not window.is_measured_from(start):
            window.measure_again(start, recipe.max_characters)
        context = self._context(start)
        budget = recipe.max_tokens - context.tokens
        limit = window.past_blanks(min(window.reach(start, budget), start + recipe.max_characters))
        border = self._border(limit)
        while limit > self._covered:
            limit = min(limit, border)
            cut = limit if limit in (window.end, border) else self._choose(start, limit, budget)
            tokens = self._count(start, cut)
            if tokens <= budget:
                return _Stretch(start, cut, tokens, context)
            limit = min(cut - 1, start + (cut - start) * budget // tokens)
        return None

    def _border(self, limit: int) -> int:
        """Where the text that is not in a Chunk yet must end: what follows stands apart from it."""
        parts = self.window.parts(self._covered, limit)
        return next((part.start for part in parts if part.apart and part.start > self._covered), self.window.end)

    def _context(self, start: int) -> Context:
        """What the text from `start` on does not say itself: a heading that it starts with is its own."""
        part = next(self.window.parts(start, start))
        around = part.headings[:-1] if part.kind is BlockKind.HEADING else part.headings
        return self._contexts.make(around, part.columns)

    def _choose(self, start: int, limit: int, budget: int) -> int:
        """The strongest boundary of those that fill the Chunk by half; else the furthest; else between any letters."""
        covered, window = self._covered, self.window
        half = min(window.reach(start, budget // 2), (start + limit) // 2)
        filled = max(half - 1, covered)
        return (
            strongest(self._boundaries(filled, limit, budget))
            or furthest(self._boundaries(covered, filled, budget))
            or window.base + between_characters(window.text, covered - window.base, limit - window.base)
        )

    def _boundaries(self, after: int, up_to: int, budget: int) -> Iterator[Boundary]:
        """Every boundary between Parts, and the last ones inside them."""
        window, base = self.window, self.window.base
        for part in window.parts(after, up_to):
            whole = self._keep_whole(part, budget)
            # A heading goes with what follows it, but where that can be cut, and not where both are whole.
            if part.start > after and (part.strength > Strength.AFTER_HEADING or whole):
                yield Boundary(part.strength, part.start)
            if not whole:
                inside = boundaries_inside(window.text, max(after, part.start) - base, min(up_to, part.end) - base)
                yield from (Boundary(strength, base + position) for strength, position in inside)

    def _keep_whole(self, part: Part, budget: int) -> bool:
        """Whether no cut may fall inside: a heading or a table row, if a Chunk can hold it."""
        return (
            part.entire
            and part.kind in (BlockKind.HEADING, BlockKind.TABLE_ROW)
            and part.end - part.start <= self._recipe.max_characters
            and self.window.tokens(part.start, part.end) <= budget
        )

    def _count(self, start: int, cut: int) -> int:
        if self.window.is_exact(start, cut):
            return self.window.tokens(start, cut)
        return self._counter.count(self.window.slice(start, cut).rstrip())

    def _describe(self, stretch: _Stretch) -> NewChunk:
        text = self.window.slice(stretch.start, stretch.cut).rstrip()
        end = stretch.start + len(text)
        parts = list(self.window.parts(stretch.start, end - 1))
        pages = [part.page for part in parts if part.page is not None]
        origins = sorted({part.origin for part in parts} - {Origin.BODY})
        return NewChunk(
            index=self._index,
            text=text,
            token_count=stretch.tokens,
            context=stretch.context.text,
            context_tokens=stretch.context.tokens,
            pages=(min(pages), max(pages)) if pages else None,
            char_span=(stretch.start, end),
            headings=list(_trail(parts)),
            metadata={"origins": [origin.value for origin in origins]} if origins else {},
        )

    def _overlap_start(self, stretch: _Stretch) -> int:
        """The first word of the overlap with the next Chunk; the cut itself where it parts a word."""
        recipe, window = self._recipe, self.window
        if not recipe.overlap_tokens or not window.is_joint(stretch.cut) or self._stands_apart(stretch.cut):
            return stretch.cut
        after = max(stretch.start, stretch.cut - recipe.overlap_characters)
        atoms = list(window.atoms_back(stretch.cut, after, recipe.overlap_tokens))
        words = (atom for atom in reversed(atoms) if _starts_word(window.slice(atom - 1, atom + 1)))
        fitting = (word for word in words if self._count(word, stretch.cut) <= recipe.overlap_tokens)
        return next(fitting, stretch.cut)

    def _stands_apart(self, cut: int) -> bool:
        return any(part.apart and part.start == cut for part in self.window.parts(cut, cut))


def _trail(parts: list[Part]) -> tuple[str, ...]:
    """The headings that hold where the body of a Chunk starts: its first text but for headings and furniture."""
    aside = (BlockKind.HEADING, BlockKind.PAGE_FURNITURE)
    body = next((part for part in parts if part.kind not in aside), parts[-1])
    return body.headings


def _starts_word(two_characters: str) -> bool:
    return two_characters[0].isspace() and not two_characters[1].isspace()
