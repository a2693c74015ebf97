"""What holds of the Chunks of any document, against a reading of the Blocks that knows nothing of the chunker's own."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from languages import SENTENCES
from minilm import count, tokenizer_file

from penstock.chunking.chunker import Chunker
from penstock.chunking.document import Block, BlockKind, Origin
from penstock.chunking.recipe import ChunkRecipe
from penstock.models import NewChunk, embedded_text


@functools.cache
def chunker(max_tokens: int, overlap_tokens: int = 0) -> Chunker:
    return Chunker(ChunkRecipe(tokenizer_file(), max_tokens, overlap_tokens))


def cut(
    blocks: Iterable[Block], max_tokens: int, overlap_tokens: int = 0, title: str = "A file"
) -> tuple[str, list[NewChunk]]:
    written: list[str] = []
    chunks = list(chunker(max_tokens, overlap_tokens).chunk(blocks, write=written.append, title=title))
    return "".join(written), chunks


# ---- documents ----

CLUSTERS = (
    "e\u0301\u0323", "👩\u200d👩\u200d👧\u200d👦", "👍🏽", "❤\ufe0f", "🇩🇪", "1\ufe0f\u20e3",
    "क्षि", "น้ำ", "각", "מְלֶךְ", "بِسْمِ", "\U00020000", "ﷺ",
)  # fmt: skip
"""What a reader sees as one character, or nearly."""
SCRIPTS = tuple(SENTENCES[language] for language in ("German", "Hebrew", "Arabic", "Thai", "Japanese", "Korean"))
ODDITIES = (
    "\ud800",
    "\udfff",
    "\0",
    "\u202e",
    "\u200f",
    "\ufeff",
    "\u2028",
    "\x85",
    "\x1f",
    "\u00ad",
    "\u3000",
    "[SEP]",
    "\t",
)


def _repeated(piece: str, times: int) -> str:
    return piece * times


WORDS = st.one_of(
    st.sampled_from(["water", "penstock", "Dr.", "3.5", "end.", "a", "|", "\n"]),
    st.sampled_from(CLUSTERS),
    st.sampled_from(SCRIPTS).flatmap(lambda text: st.integers(0, len(text) - 1).map(lambda at: text[at : at + 40])),
    st.sampled_from(ODDITIES),
    st.text(max_size=10),
    st.builds(_repeated, st.sampled_from([*CLUSTERS, "x", "水", "x,"]), st.integers(2, 300)),
)
TEXTS = st.lists(WORDS, max_size=40).map(" ".join)
BLOCKS = st.lists(
    st.builds(
        Block,
        text=TEXTS,
        kind=st.sampled_from(list(BlockKind)),
        level=st.integers(0, 10),
        page=st.none() | st.integers(1, 4),
        origin=st.sampled_from(list(Origin)),
        names_columns=st.booleans(),
    ),
    max_size=14,
)
BUDGETS = st.sampled_from([16, 32, 64, 254])
thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Placed:
    """A Block with its place in the extracted text and the headings above it."""

    block: Block
    start: int
    end: int
    trail: tuple[str, ...]


def placed(text: str, blocks: Iterable[Block]) -> list[Placed]:
    """Finds each Block in the text, in order, with nothing but one or two line ends between them."""
    found: list[Placed] = []
    open_headings: list[tuple[int, str]] = []
    at = 0
    for block in blocks:
        content = as_stored(block.text)
        if not content:
            continue
        if found:
            ends = 2 if text.startswith("\n\n", at) else 1
            assert text[at : at + ends] == "\n" * ends
            at += ends
        assert text.startswith(content, at)
        if block.kind is BlockKind.HEADING:
            level = min(max(block.level, 1), 9)
            open_headings = [*((above, title) for above, title in open_headings if above < level), (level, content)]
        trail = tuple(" ".join(title.split())[:256] for _, title in open_headings)
        found.append(Placed(block, at, at + len(content), trail))
        at += len(content)
    assert at == len(text)
    return found


def as_stored(text: str) -> str:
    """Without what no database takes, and what only some programs see as a blank."""
    storable = "".join("\ufffd" if unicodedata.category(each) == "Cs" or each == "\0" else each for each in text)
    return "".join(" " if each in "\x0b\x0c\x1c\x1d\x1e\x1f\x85" else each for each in storable).strip()


def inside(chunk: NewChunk, places: Iterable[Placed]) -> list[Placed]:
    start, end = chunk.char_span
    return [place for place in places if place.start < end and place.end > start]


# ---- laws ----


@thorough
@given(blocks=BLOCKS, budget=BUDGETS)
def test_the_text_is_all_blocks_in_order_and_the_chunks_are_all_the_text(blocks: list[Block], budget: int) -> None:
    text, chunks = cut(blocks, budget)
    assert placed(text, blocks) or not text
    covered = 0
    for index, chunk in enumerate(chunks):
        start, end = chunk.char_span
        assert chunk.index == index
        assert text[start:end] == chunk.text == chunk.text.strip() != ""
        assert text[covered:start].strip() == ""
        assert covered <= start
        covered = end
    assert text[covered:].strip() == ""
    text.encode()


@thorough
@given(blocks=BLOCKS, budget=BUDGETS, title=st.text(max_size=80))
def test_what_is_embedded_is_within_what_the_model_takes(blocks: list[Block], budget: int, title: str) -> None:
    for chunk in cut(blocks, budget, title=title)[1]:
        assert chunk.token_count == count(chunk.text)
        assert count(embedded_text(chunk.context, chunk.text)) <= chunk.context_tokens + chunk.token_count <= budget


@thorough
@given(blocks=BLOCKS, budget=BUDGETS)
def test_pages_origins_and_headings_are_those_of_the_blocks_in_the_chunk(blocks: list[Block], budget: int) -> None:
    text, chunks = cut(blocks, budget)
    places = placed(text, blocks)
    for chunk in chunks:
        here = inside(chunk, places)
        pages = [place.block.page for place in here if place.block.page is not None]
        assert chunk.pages == ((min(pages), max(pages)) if pages else None)
        origins = {place.block.origin.value for place in here} - {Origin.BODY.value}
        assert chunk.metadata.get("origins", []) == sorted(origins)
        aside = (BlockKind.HEADING, BlockKind.PAGE_FURNITURE)
        body = next((place for place in here if place.block.kind not in aside), here[-1])
        assert tuple(chunk.headings) == body.trail


@thorough
@given(blocks=BLOCKS, budget=BUDGETS)
def test_rows_and_headings_that_fit_are_never_cut(blocks: list[Block], budget: int) -> None:
    """The context of a Chunk takes a quarter of its tokens at most; the rest is there for the row."""
    text, chunks = cut(blocks, budget)
    cuts = [chunk.char_span[1] for chunk in chunks[:-1]]
    for place in placed(text, blocks):
        content = text[place.start : place.end]
        fits = count(content) <= budget - budget // 4 and len(content) <= 16 * budget
        if place.block.kind in (BlockKind.TABLE_ROW, BlockKind.HEADING) and fits:
            assert not [at for at in cuts if place.start < at < place.end]


@thorough
@given(pieces=st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=400), budget=BUDGETS)
def test_no_cut_parts_what_a_reader_sees_as_one_character(pieces: list[str], budget: int) -> None:
    """In a word of any length, such as scripts without blanks write."""
    _, chunks = cut([Block("".join(pieces))], budget)
    for before, after in itertools.pairwise(chunks):
        assert not unicodedata.category(after.text[0]).startswith("M")
        assert after.text[0] not in "\u200c\u200d\ufe0e\ufe0f"
        assert not "\U0001f3fb" <= after.text[0] <= "\U0001f3ff"
        assert not before.text.endswith("\u200d")


@thorough
@given(blocks=BLOCKS, budget=st.sampled_from([16, 32, 64]), share=st.sampled_from([0.1, 0.25, 0.5]))
def test_overlaps_repeat_whole_words_of_the_chunk_before_and_nothing_else(
    blocks: list[Block], budget: int, share: float
) -> None:
    overlap = int(budget * share)
    text, chunks = cut(blocks, budget, overlap)
    rebuilt, covered = "", 0
    for before, after in itertools.pairwise([None, *chunks]):
        assert after is not None
        start, end = after.char_span
        assert end > covered
        assert start >= (before.char_span[0] if before else 0)
        if start < covered:
            assert count(text[start:covered]) <= overlap
            assert text[start - 1].isspace()
            assert not text[start].isspace()
        rebuilt += text[covered : max(start, covered)] + text[max(start, covered) : end]
        covered = end
    assert rebuilt.split() == text.split()


# ---- the same, whatever goes on around it ----


@thorough
@given(blocks=BLOCKS, other=BLOCKS, budget=BUDGETS)
def test_two_documents_in_turns_are_cut_as_each_alone(blocks: list[Block], other: list[Block], budget: int) -> None:
    """They share what the chunker has learnt of words."""
    alone = [cut(blocks, budget)[1], cut(other, budget)[1]]
    streams = [chunker(budget).chunk(each, write=lambda _: None, title="A file") for each in (blocks, other)]
    taken: list[list[NewChunk]] = [[], []]
    for pair in itertools.zip_longest(*streams):
        for chunks, chunk in zip(taken, pair, strict=True):
            if chunk is not None:
                chunks.append(chunk)
    assert taken == alone


@settings(thorough, max_examples=40)
@given(blocks=BLOCKS, budget=BUDGETS, size=st.sampled_from([256, 1000, 4096]))
def test_the_laws_hold_in_whatever_pieces_a_block_is_taken_in(blocks: list[Block], budget: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.chunking.chunker.LONGEST_PIECE", size)
        text, chunks = cut(blocks, budget)
    assert placed(text, blocks) or not text
    assert all(text[slice(*chunk.char_span)] == chunk.text for chunk in chunks)
    assert all(chunk.token_count == count(chunk.text) <= budget for chunk in chunks)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())


def documents() -> list[list[Block]]:
    return [
        [
            Block(language, BlockKind.HEADING, 1),
            *(Block(sentence, page=page) for page, sentence in enumerate([text] * 9, 1)),
        ]
        for language, text in SENTENCES.items()
    ]


def cut_elsewhere(order: Sequence[int]) -> dict[int, list[NewChunk]]:
    """In a process of its own, the documents in an order of its own."""
    return {number: cut(documents()[number], 64)[1] for number in order}


@pytest.mark.slow
def test_any_process_cuts_alike_whatever_it_has_cut_before() -> None:
    numbers = list(range(len(SENTENCES)))
    orders = [numbers, numbers[::-1], numbers[::2] + numbers[1::2]]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, *others = pool.map(cut_elsewhere, orders)
    assert first == cut_elsewhere(numbers)
    assert all(other == first for other in others)


@pytest.mark.parametrize("piece", ["x", "水", "ab,", "👩\u200d👩\u200d👧", "e\u0301", "\u05d0\u05b0", "\u200b"])
def test_a_word_of_a_megabyte_is_cut_within_the_budget(piece: str) -> None:
    text, chunks = cut([Block("A " + piece * (1_000_000 // len(piece.encode())))], 254)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())
    assert all(chunk.token_count == count(chunk.text) <= 254 for chunk in chunks[::50])
    assert max(len(chunk.text) for chunk in chunks) <= 254 * 16
