"""What the chunker believes of words: where each begins, and that it has as many tokens as the tokenizer says."""

from __future__ import annotations

from pathlib import Path

import pytest
from minilm import count, tokenizer_file
from tokenizers import Tokenizer

from penstock.chunking.tokens import TokenCounter

LONG = "https://example.org/a/very/long/path/that-nobody/learns.html?and=more&of=it"
TEXTS = (
    "",
    "one",
    "One word, then (another) one.\nA line",
    "\n\nblanks before, and  two   inside\n\tand behind  ",
    f"see {LONG} and  {LONG}\n",
    f"{'unbroken' * 20} end",
    "No\u00a0break\u2003and\u3000wide ones, caf\u00e9, \u4e2d\u6587, \U0001f469\u200d\U0001f467",
    "[UNK] [SEP]inside[SEP] words",
)


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_tile_the_text_and_their_counts_are_the_tokenizers(text: str) -> None:
    counter = TokenCounter(tokenizer_file(), max_tokens=254)
    starts, tokens = counter.atoms(text, at=100)
    ends = [*starts[1:], 100 + len(text)]
    pieces = [text[start - 100 : end - 100] for start, end in zip(starts, ends, strict=False)]
    assert "".join(pieces) == text.lstrip()
    assert sum(tokens) == count(text)
    # Those that were learnt are asked for again, from the table.
    assert counter.atoms(text, at=100) == (starts, tokens)


def test_each_word_counts_as_it_does_alone() -> None:
    counter = TokenCounter(tokenizer_file(), max_tokens=254)
    words = ["The", "penstock", "HOUSE", "house", "xylophonist", "2024", "9f8e7d", "word,", "na\u00efve"]
    assert counter.atoms(" ".join(words))[1] == [count(word) for word in words]


def test_a_vocabulary_is_not_trusted_where_a_token_of_letters_was_added(tmp_path: Path) -> None:
    """`house` is in the vocabulary, but holds `ous`, which is now a token wherever it stands."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.add_tokens(["ous"])  # pyright: ignore[reportUnknownMemberType]  # an untyped list
    tokenizer.no_padding()
    tokenizer.no_truncation()
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    expected = len(tokenizer.encode("house", add_special_tokens=False).ids)
    assert expected > 1
    assert TokenCounter(file, max_tokens=254).atoms("house") == ([0], [expected])
