"""The chunker: Chunks tile the text, keep the budget and cut where a reader would."""

from __future__ import annotations

import atexit
import functools
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minilm import tokenizer_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from penstock.chunking.chunker import Chunker
from penstock.chunking.document import Block, BlockKind
from penstock.chunking.recipe import ChunkRecipe
from penstock.errors import ModelUnavailable
from penstock.models import NewChunk


@functools.cache
def folder() -> Path:
    made = TemporaryDirectory(prefix="penstock-tokenizers-")
    atexit.register(made.cleanup)
    return Path(made.name)


def bert() -> Path:
    return tokenizer_file()


PROSE = ["The water runs down the penstock to the turbines, again and again.", "Nothing is lost; nothing is invented."]


@functools.cache
def byte_pairs() -> Path:
    """As remote models have: a blank belongs to the word behind it, a letter may be several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(PROSE, trainer)
    return _saved(tokenizer, "bpe.json")


@functools.cache
def unigram() -> Path:
    """As multilingual models have."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=80, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(PROSE, trainer)
    return _saved(tokenizer, "unigram.json")


def _saved(tokenizer: Tokenizer, name: str) -> Path:
    tokenizer.save(str(folder() / name))
    return folder() / name


TOKENIZERS = [bert, byte_pairs, unigram]


@functools.cache
def chunker(file: Path, max_tokens: int, overlap_tokens: int) -> Chunker:
    return Chunker(ChunkRecipe(file, max_tokens, overlap_tokens))


@functools.cache
def reference(file: Path) -> Tokenizer:
    """The model's tokenizer, used here without anything of ours."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def count(file: Path, text: str) -> int:
    return len(reference(file).encode(text, add_special_tokens=False).ids)


def cut(
    blocks: Iterable[Block], *, file: Path, max_tokens: int = 254, overlap_tokens: int = 0
) -> tuple[str, list[NewChunk]]:
    """The extracted text and the Chunks."""
    written: list[str] = []
    chunks = list(chunker(file, max_tokens, overlap_tokens).chunk(blocks, write=written.append))
    return "".join(written), chunks


def check(text: str, chunks: Sequence[NewChunk], *, file: Path, max_tokens: int, overlap_tokens: int = 0) -> None:
    """What holds of the Chunks of any text."""
    covered = 0
    for index, chunk in enumerate(chunks):
        start, end = chunk.char_span
        assert chunk.index == index
        assert chunk.text == text[start:end] == chunk.text.strip() != ""
        assert chunk.token_count == count(file, chunk.text) <= max_tokens
        assert end > covered
        if start >= covered:
            assert not text[covered:start].strip()
        else:
            assert overlap_tokens
            assert count(file, text[start:covered]) <= overlap_tokens
        covered = end
    assert not text[covered:].strip()


def _ignore(_text: str) -> None:
    """The text is of no interest here."""


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
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@thorough
@given(blocks=BLOCKS, max_tokens=st.sampled_from([16, 24, 64, 254]))
def test_chunks_tile_any_text_within_the_budget(
    tokenizer: Callable[[], Path], blocks: list[Block], max_tokens: int
) -> None:
    file = tokenizer()
    text, chunks = cut(blocks, file=file, max_tokens=max_tokens)
    check(text, chunks, file=file, max_tokens=max_tokens)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@thorough
@given(blocks=BLOCKS, max_tokens=st.sampled_from([16, 24, 64]), part=st.sampled_from([0.1, 0.25, 0.5]))
def test_overlapping_chunks_lose_and_invent_nothing(
    tokenizer: Callable[[], Path], blocks: list[Block], max_tokens: int, part: float
) -> None:
    file, overlap = tokenizer(), int(max_tokens * part)
    text, chunks = cut(blocks, file=file, max_tokens=max_tokens, overlap_tokens=overlap)
    check(text, chunks, file=file, max_tokens=max_tokens, overlap_tokens=overlap)


@settings(thorough, max_examples=15)
@given(blocks=BLOCKS)
def test_equal_blocks_make_equal_chunks(blocks: list[Block]) -> None:
    """Whatever the chunker has learnt in between, and in another chunker too."""
    fresh = list(Chunker(ChunkRecipe(bert(), 24)).chunk(blocks, write=_ignore))
    assert cut(blocks, file=bert(), max_tokens=24)[1] == fresh


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.sampled_from(["a", "water", "Water.", "end.", "x,y", "\n", "penstock"]), max_size=400))
def test_it_makes_no_difference_in_how_many_pieces_a_block_is_taken_in(words: list[str]) -> None:
    blocks = [Block(" ".join(words)), Block("The end.")]
    with pytest.MonkeyPatch.context() as patch:
        whole = cut(blocks, file=bert(), max_tokens=16)
        patch.setattr("penstock.chunking.chunker.LONGEST_PIECE", 256)
        assert cut(blocks, file=bert(), max_tokens=16) == whole


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("piece", ["x", "x,", "水", "AbC+/9", "\u200b", "http://a.example/b?c=d&"])
def test_a_word_of_any_length_takes_time_in_proportion(tokenizer: Callable[[], Path], piece: str) -> None:
    """A line of a megabyte without a blank: minified JSON, base64, a text in Chinese."""
    file = tokenizer()
    seconds: list[float] = []
    for length in (20_000, 160_000):
        block = Block("A " + piece * (length // len(piece)))
        began = time.process_time()
        text, chunks = cut([block], file=file)
        seconds.append(time.process_time() - began)
        check(text, chunks, file=file, max_tokens=254)
        assert max(len(chunk.text) for chunk in chunks) <= 254 * 16
    assert seconds[1] < 8 * 4 * seconds[0]


def test_chunks_come_before_the_last_block_and_memory_stays_flat() -> None:
    """A hundred times the text must not take more memory than the chunker's few MB."""
    page = [Block(f"{word} " * 400) for word in ("water", "penstock", "turbine", "river")]

    def peak(pages: int) -> int:
        made = Chunker(ChunkRecipe(bert(), 254)).chunk((block for _ in range(pages) for block in page), write=_ignore)
        tracemalloc.start()
        for _ in made:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(100) < 1.5 * peak(5) < 16 * 1024 * 1024


def test_a_tokenizer_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json"):
        Chunker(ChunkRecipe(tmp_path / "tokenizer.json", 254))
