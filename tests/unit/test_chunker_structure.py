"""Where the chunker cuts, and what a Chunk says of its place."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from minilm import tokenizer_file

from penstock.chunking.chunker import Chunker
from penstock.chunking.document import Block, BlockKind
from penstock.chunking.recipe import ChunkRecipe
from penstock.models import NewChunk

FURNITURE = BlockKind.PAGE_FURNITURE


@functools.cache
def chunker(max_tokens: int, overlap_tokens: int = 0) -> Chunker:
    return Chunker(ChunkRecipe(tokenizer_file(), max_tokens, overlap_tokens))


def cut(blocks: Iterable[Block], *, max_tokens: int = 20, overlap_tokens: int = 0) -> tuple[str, list[NewChunk]]:
    written: list[str] = []
    chunks = list(chunker(max_tokens, overlap_tokens).chunk(blocks, write=written.append))
    return "".join(written), chunks


def texts(chunks: Sequence[NewChunk]) -> list[str]:
    return [chunk.text for chunk in chunks]


def heading(text: str, level: int = 1) -> Block:
    return Block(text, BlockKind.HEADING, level)


def row(text: str, page: int | None = None) -> Block:
    return Block(text, BlockKind.TABLE_ROW, page=page)


def item(text: str) -> Block:
    return Block(text, BlockKind.LIST_ITEM)


def words(count: int, word: str = "water") -> str:
    """As many tokens as words."""
    return " ".join([word] * count)


def test_blank_lines_part_blocks_and_line_ends_part_rows_and_items() -> None:
    blocks = [heading("Title"), Block("One."), row("a\tb"), row("c\td"), item("x"), item("y"), Block("Two."), Block("")]
    text, _ = cut(blocks)
    assert text == "Title\n\nOne.\n\na\tb\nc\td\n\nx\ny\n\nTwo."


def test_rows_of_two_sheets_are_two_tables() -> None:
    text, _ = cut([row("a", page=1), row("b", page=1), row("c", page=2)])
    assert text == "a\nb\n\nc"


def test_what_fits_into_one_chunk_is_one_chunk() -> None:
    text, chunks = cut([heading("Title"), Block("One."), Block("Two.")])
    assert texts(chunks) == [text]


def test_no_blocks_make_no_chunks() -> None:
    assert cut([Block(" \n"), Block("")]) == ("", [])


@pytest.mark.parametrize(
    ("blocks", "first"),
    [
        pytest.param([Block(words(12)), heading("Then"), Block(words(12))], words(12), id="heading before paragraph"),
        pytest.param(
            [Block(words(11)), heading("Top"), Block("x"), heading("Sub", 2), Block("x y z"), Block(words(9))],
            words(11),
            id="strong heading before weak one",
        ),
        pytest.param([Block(words(11)), Block("a b. c d"), Block(words(9))], words(11) + "\n\na b. c d", id="furthest"),
        pytest.param([Block(words(11) + "\nx y. z w"), Block(words(9))], words(11) + "\nx y. z w", id="paragraph"),
        pytest.param([Block(words(11) + "\nx y. " + words(9))], words(11), id="line before sentence"),
        pytest.param([Block(words(11) + ". X " + words(12))], words(11) + ".", id="sentence before word"),
        pytest.param([Block(words(30))], words(20), id="word"),
        pytest.param([Block(words(4)), Block(words(18))], words(4) + "\n\n" + words(16), id="not too empty"),
    ],
)
def test_the_strongest_boundary_of_the_second_half_wins(blocks: list[Block], first: str) -> None:
    _, chunks = cut(blocks)
    assert chunks[0].text == first


@pytest.mark.parametrize(
    ("sentence", "next_sentence"),
    [
        ("He saw Dr. ", "Smith there."),
        ("It was J. ", "Smith himself."),
        ("See e.g. ", "Smith for it."),
        ("Fewer than p. ", "of all others"),
        ("Three dots... ", "and on it goes"),
    ],
)
def test_not_every_full_stop_ends_a_sentence(sentence: str, next_sentence: str) -> None:
    _, chunks = cut([Block("Here it ends. " + words(6) + ". " + sentence + next_sentence + " " + words(9))])
    assert not chunks[0].text.endswith(sentence.strip())


def test_a_wide_full_stop_ends_a_sentence() -> None:
    _, chunks = cut([Block("水" * 12 + "。" + "水" * 12)])
    assert texts(chunks) == ["水" * 12 + "。", "水" * 12]


def test_a_heading_goes_with_what_follows_it() -> None:
    blocks = [Block(words(14)), heading("A heading of words"), Block(words(14))]
    _, chunks = cut(blocks)
    assert texts(chunks) == [words(14), "A heading of words\n\n" + words(14)]


def test_a_heading_goes_with_its_text_across_a_running_header() -> None:
    blocks = [Block(words(12)), heading("Heading"), Block("Page 3 of 9", FURNITURE), Block(words(14))]
    _, chunks = cut(blocks)
    assert texts(chunks) == [words(12), "Heading\n\nPage 3 of 9\n\n" + words(14)]


def test_a_heading_is_not_left_alone_by_an_overlong_word() -> None:
    _, chunks = cut([heading("Title"), Block("water" * 200)])
    assert chunks[0].text.startswith("Title\n\nwater")


def test_nothing_but_headings_is_cut_between_them() -> None:
    _, chunks = cut([heading(f"Chapter {number} of this book") for number in range(20)])
    assert all(text.startswith("Chapter") and text.endswith("book") for text in texts(chunks))


def test_rows_that_fit_are_not_cut() -> None:
    rows = [row(f"{number} | " + words(9 + number % 7)) for number in range(30)]
    _, chunks = cut(rows)
    assert [line for text in texts(chunks) for line in text.split("\n")] == [block.text for block in rows]


def test_a_row_that_does_not_fit_is_cut_between_words() -> None:
    _, chunks = cut([row("short | row"), row(words(50)), row("short | row")])
    assert all(chunk.token_count <= 20 for chunk in chunks)
    assert all(word in ("water", "short", "|", "row") for text in texts(chunks) for word in text.split())


def test_a_word_longer_than_a_chunk_is_cut_but_no_emoji_nor_accent() -> None:
    family, accented = "👩\u200d👩\u200d👧", "e\u0301\u0323"
    for cluster in (family, accented):
        _, chunks = cut([Block(cluster * 400)])
        assert len(chunks) > 1
        assert all(text == cluster * (len(text) // len(cluster)) for text in texts(chunks))


def test_the_trail_is_what_holds_where_the_body_of_the_chunk_starts() -> None:
    blocks = [
        Block(words(12)),
        heading("One"),
        heading("One A", 2),
        Block(words(15)),
        heading("One B", 2),
        Block(words(33)),
        Block("Page 7", FURNITURE),
        heading("Two"),
        Block(words(12)),
    ]
    _, chunks = cut(blocks)
    assert [(chunk.headings, chunk.text[:7]) for chunk in chunks] == [
        ([], "water w"),
        (["One", "One A"], "One\n\nOn"),
        (["One", "One B"], "One B\n\n"),
        (["One", "One B"], "water w"),
        (["Two"], "Page 7\n"),
    ]


def test_a_long_title_is_shortened_in_the_trail_only() -> None:
    title = "title " * 100
    text, chunks = cut([heading(title), Block("Body.")], max_tokens=254)
    assert text == title.strip() + "\n\nBody."
    assert chunks[-1].headings == [title[:256]]


def test_pages_are_those_of_the_text_in_the_chunk() -> None:
    blocks = [Block(words(18), page=1), Block(words(9), page=2), Block(words(8), page=4), Block(words(9))]
    _, chunks = cut(blocks)
    assert [chunk.pages for chunk in chunks] == [(1, 1), (2, 4), None]


def test_overlap_starts_with_a_word_of_the_last_chunk() -> None:
    text, chunks = cut([Block(" ".join(f"{letter}at" for letter in "bcefhmopqrstvw" * 5))], overlap_tokens=6)
    for before, after in itertools.pairwise(chunks):
        repeated = text[after.char_span[0] : before.char_span[1]]
        assert before.text.endswith(repeated)
        assert after.text.startswith(repeated)
        assert repeated.strip()


def test_characters_that_no_database_takes_are_replaced() -> None:
    text, [chunk] = cut([Block("a\0b\ud800c")])
    assert text == chunk.text == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(("max_tokens", "overlap"), [(15, 0), (254, 128), (254, -1)])
def test_a_recipe_that_cannot_be_kept_is_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        ChunkRecipe(Path("tokenizer.json"), max_tokens, overlap)
