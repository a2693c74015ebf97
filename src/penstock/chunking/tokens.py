"""Counting tokens as the model does, without asking the tokenizer about every word again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from penstock.errors import ModelUnavailable

BLANKS = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What parts words for every tokenizer. Not `\\s`: BERT drops a form feed and reads the words around it as one."""
_WORD = re.compile(f"[^{BLANKS}]+")
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

    def count(self, text: str) -> int:
        """Tokens of a text that stands alone."""
        return sum(self._count_each([text]))

    def joint_at(self, text: str, position: int) -> bool:
        """Whether what follows `position` is tokenized as if nothing stood before it (with the blank that may)."""
        if position <= 0 or self._joint.match(text, position) is not None:
            return True
        return self._joint.match(text, position - 1) is not None

    def atoms(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and token count of each piece that a cut may keep whole: a word, or a piece of a long word."""
        if len(self._known) > _KNOWN_WORDS:
            self._known.clear()
        words = [(found.start(), found.group()) for found in _WORD.finditer(text)]
        self._learn({word for _, word in words if word not in self._known})
        for start, word in words:
            if len(word) <= self._longest_atom:
                yield start, self._known[word]
            else:
                yield from self._atoms_of_long_word(word, start)

    def _atoms_of_long_word(self, word: str, start: int) -> Iterator[tuple[int, int]]:
        for found in self._pieces.finditer(word):
            piece = found.group()
            if len(piece) <= self._longest_atom:
                yield start + found.start(), self._known[piece]
            else:
                yield from self._atoms_of_long_piece(piece, start + found.start())

    def _atoms_of_long_piece(self, piece: str, start: int) -> Iterator[tuple[int, int]]:
        """Its tokens. Those that share a character (the bytes of an emoji) are one atom: no cut parts them."""
        offsets = self._tokenizer.encode(piece, add_special_tokens=False).offsets
        position, count = 0, 0
        for token_start, _ in offsets:
            if token_start > position:
                yield start + position, count
                position, count = token_start, 0
            count += 1
        yield start + position, count

    def _learn(self, words: set[str]) -> None:
        """Learn the counts of `words`, unless they are long, from those of their pieces."""
        pieces = {word: self._pieces.findall(word) for word in words}
        unknown = {piece for found in pieces.values() for piece in found if piece not in self._known}
        unknown = {piece for piece in unknown if len(piece) <= self._longest_atom}
        if unknown:
            self._known.update(zip(unknown, self._count_each(unknown), strict=True))
        for word, found in pieces.items():
            if len(word) <= self._longest_atom:
                self._known[word] = sum(self._known[piece] for piece in found)

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


def _pieces(tokenizer: Tokenizer) -> re.Pattern[str]:
    """What BERT's pre-tokenizer parts a word into, as far as ASCII goes: far fewer to know than whole words."""
    added = (token.content for token in tokenizer.get_added_tokens_decoder().values())
    whole = "|".join(re.escape(content) for content in sorted(added, key=len, reverse=True))
    return re.compile(f"{whole and whole + '|'}[{_PUNCTUATION}]|[^{BLANKS}{_PUNCTUATION}]+")
