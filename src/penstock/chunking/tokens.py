"""Counting tokens as the model does, without asking the tokenizer about every word again."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate, repeat
from operator import add
from pathlib import Path
from typing import cast

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from penstock.errors import ModelUnavailable

BLANKS = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What parts words for every tokenizer. Not `\\s`: BERT drops a form feed and reads the words around it as one."""
_WORD = re.compile(f"[^{BLANKS}]+")
_BLANKS = re.compile(f"[{BLANKS}]+")
_BLANK = re.compile(f"[{BLANKS}]")
_PUNCTUATION = "!-/:-@\\[-`{-~"
_JOINT = re.compile(f"[{BLANKS}{_PUNCTUATION}\u3001-\u3003\u3008-\u3011\u3400-\u4dbf\u4e00-\u9fff]")
"""Blanks, and characters that are a word of their own to BERT's pre-tokenizer wherever they stand."""
_MOST_TOKENS_OF_A_CHARACTER = 4
_KNOWN_WORDS = 65_536
"""About 8 MiB; the vocabulary of a long book is half of it."""


class TokenCounter:
    """Counts by a `tokenizer.json`. Raises `ModelUnavailable` where that cannot be read."""

    def __init__(self, file: Path, *, max_tokens: int) -> None:
        self._tokenizer = _load(file)
        self._known: dict[str, int] = {}
        self._longest_atom = max_tokens // (2 * _MOST_TOKENS_OF_A_CHARACTER)
        self.additive = _is_additive(self._tokenizer)
        """Whether a text has exactly as many tokens as its words have together."""
        self._joint = _JOINT if self.additive else _BLANK
        self._pieces = _pieces(self._tokenizer) if self.additive else _WORD
        self._whole = _whole_words(self._tokenizer) if self.additive else frozenset[str]()
        """Words of ASCII letters and digits that are one token, as the vocabulary has them."""
        self._lowers = isinstance(normalizer := self._tokenizer.normalizer, BertNormalizer) and normalizer.lowercase

    def count(self, text: str) -> int:
        """Tokens of a text that stands alone."""
        return sum(self._count_each([text]))

    def joint_at(self, text: str, position: int) -> bool:
        """Whether what follows `position` is tokenized as if nothing stood before it (with the blank that may)."""
        if position <= 0 or self._joint.match(text, position) is not None:
            return True
        return self._joint.match(text, position - 1) is not None

    def atoms(self, text: str, *, at: int = 0) -> tuple[list[int], list[int]]:
        """Starts and token counts of the pieces that a cut may keep whole: words, and pieces of long words.

        The text is one that `assemble` made, and begins at `at`. All of it at the speed of C, but for what is new.
        """
        if len(self._known) > _KNOWN_WORDS:
            self._known.clear()
        words = text.split()  # at BLANKS: the text has none of what Python takes for others
        gaps = _gaps(text, words)
        counts = self._counts_of(words)
        if None in counts:
            gaps = list(gaps)
            self._part_long_words(words, counts, gaps)
        starts = accumulate(map(add, map(len, words), gaps), initial=at + len(text) - len(text.lstrip()))
        return list(starts)[: len(words)], cast("list[int]", counts)

    def _counts_of(self, words: list[str]) -> list[int | None]:
        """The tokens of each word; None for long ones, which are not learnt."""
        counts = list(map(self._known.get, words))
        if None not in counts:
            return counts
        new = {word for word, count in zip(words, counts, strict=True) if count is None}
        self._learn({word for word in new if len(word) <= self._longest_atom})
        return list(map(self._known.get, words))

    def _part_long_words(self, words: list[str], counts: list[int | None], gaps: list[int]) -> None:
        """Put the pieces of each word without a count in its place, with nothing between them."""
        for place in [place for place, count in enumerate(counts) if count is None][::-1]:
            pieces, tokens = self._parted(words[place])
            words[place : place + 1], counts[place : place + 1] = pieces, tokens
            gaps[place:place] = repeat(0, len(pieces) - 1)

    def _parted(self, word: str) -> tuple[list[str], list[int]]:
        """A long word's pieces, and the tokens of each."""
        found = self._pieces.findall(word)
        self._learn({piece for piece in found if len(piece) <= self._longest_atom and piece not in self._known})
        pieces: list[str] = []
        tokens: list[int] = []
        for piece in found:
            if len(piece) <= self._longest_atom:
                pieces.append(piece)
                tokens.append(self._known[piece])
            else:
                for part, count in self._parts_of_long_piece(piece):
                    pieces.append(part)
                    tokens.append(count)
        return pieces, tokens

    def _parts_of_long_piece(self, piece: str) -> Iterator[tuple[str, int]]:
        """Its tokens. Those that share a character (the bytes of an emoji) are one atom: no cut parts them."""
        offsets = self._tokenizer.encode(piece, add_special_tokens=False).offsets
        position, count = 0, 0
        for token_start, _ in offsets:
            if token_start > position:
                yield piece[position:token_start], count
                position, count = token_start, 0
            count += 1
        yield piece[position:], count

    def _learn(self, words: Collection[str]) -> None:
        """Learn the counts of short words from those of their pieces."""
        pieces = {word: (word,) if self._is_whole(word) else self._pieces.findall(word) for word in words}
        unknown = {piece for found in pieces.values() for piece in found if piece not in self._known}
        whole = {piece for piece in unknown if self._is_whole(piece)}
        self._known.update(zip(whole, repeat(1)))
        if unknown := unknown - whole:
            self._known.update(zip(unknown, self._count_each(unknown), strict=True))
        for word, found in pieces.items():
            self._known[word] = sum(self._known[piece] for piece in found)

    def _is_whole(self, piece: str) -> bool:
        return (piece.lower() if self._lowers else piece) in self._whole and piece.isascii()

    def _count_each(self, texts: Iterable[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]


def _load(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the Rust side raises bare Exceptions
        raise ModelUnavailable(f"{file} is not a tokenizer.json that can be read: {error}") from error
    # A shipped tokenizer.json may cut every text at 128 tokens and fill it up to 128.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _is_additive(tokenizer: Tokenizer) -> bool:
    """True of BERT's: blanks and punctuation part words, and no word changes another.

    Others (byte-level BPE, Unigram) take the blank before a word into its tokens, so that counts of words
    are estimates there and every Chunk is counted again.
    """
    added: Iterable[AddedToken] = tokenizer.get_added_tokens_decoder().values()
    return (
        isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and not any(token.lstrip or token.rstrip or _BLANK.search(token.content) for token in added)
    )


def _whole_words(tokenizer: Tokenizer) -> frozenset[str]:
    """Those that are one token without asking: WordPiece takes the longest piece first, which is all of the word."""
    if not isinstance(tokenizer.model, WordPiece):
        return frozenset()
    added = {token.content.lower() for token in tokenizer.get_added_tokens_decoder().values()}
    if any(map(str.isalnum, added)):  # such a one is found inside other words
        return frozenset()
    return frozenset(word for word in tokenizer.get_vocab(with_added_tokens=False) if word.isascii() and word.isalnum())


def _gaps(text: str, words: list[str]) -> Iterable[int]:
    """How far each word is from the next."""
    if len(text.strip()) == sum(map(len, words)) + len(words) - 1:
        return repeat(1, len(words))
    return map(len, _BLANKS.findall(text.strip()))


def _pieces(tokenizer: Tokenizer) -> re.Pattern[str]:
    """What BERT's pre-tokenizer parts a word into, as far as ASCII goes: far fewer to know than whole words."""
    added = (token.content for token in tokenizer.get_added_tokens_decoder().values())
    whole = "|".join(re.escape(content) for content in sorted(added, key=len, reverse=True))
    return re.compile(f"{whole and whole + '|'}[{_PUNCTUATION}]|[^{BLANKS}{_PUNCTUATION}]+")
