"""What a Chunk is found by beside its text: file, headings and column names; and where in the file it stands."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minilm import count, tokenizer_file

from penstock.chunking.chunker import Chunker
from penstock.chunking.context import title_of
from penstock.chunking.document import Block, BlockKind, Origin
from penstock.chunking.recipe import ChunkRecipe
from penstock.models import NewChunk, embedded_text


@functools.cache
def chunker(max_tokens: int) -> Chunker:
    return Chunker(ChunkRecipe(tokenizer_file(), max_tokens))


def cut(blocks: Iterable[Block], *, max_tokens: int = 64, title: str = "") -> list[NewChunk]:
    return list(chunker(max_tokens).chunk(blocks, write=lambda _: None, title=title))


def heading(text: str, level: int = 1) -> Block:
    return Block(text, BlockKind.HEADING, level)


def row(text: str, *, names_columns: bool = False) -> Block:
    return Block(text, BlockKind.TABLE_ROW, names_columns=names_columns)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("reports/2026/annual_report-final.pdf", "annual report-final"),
        ("C:\\Users\\me\\Minutes of May.docx", "Minutes of May"),
        ("README", "README"),
        ("archive.tar.gz", "archive.tar"),
        ("v1.2 notes", "v1.2 notes"),
        ("", ""),
    ],
)
def test_a_title_is_the_name_as_words(name: str, title: str) -> None:
    assert title_of(name) == title


def test_a_chunk_is_found_by_its_file_and_the_headings_above_it() -> None:
    blocks = [heading("Dams"), heading("Gates", 2), Block("word " * 40), Block("water " * 60)]
    first, *_, last = cut(blocks, title="manual")
    assert first.context == "manual"
    assert first.text.startswith("Dams\n\nGates")
    assert last.context == "manual > Dams > Gates"
    assert "Gates" not in last.text


def test_a_heading_that_a_chunk_starts_with_is_not_repeated() -> None:
    blocks = [heading("Dams"), Block("word " * 50), heading("Gates", 2), Block("water " * 50)]
    _, second = cut(blocks, title="manual")
    assert second.text.startswith("Gates")
    assert second.context == "manual > Dams"


def test_rows_are_found_by_what_their_columns_are_called() -> None:
    table = [
        row("Year | Revenue | Profit", names_columns=True),
        *(row(f"{year} | 12 | 3") for year in range(1990, 2030)),
    ]
    chunks = cut([Block("Figures."), *table, Block("water " * 60), row("a | b")])
    with_rows = [chunk for chunk in chunks if chunk.text.startswith(("199", "200", "201", "202"))]
    assert len(with_rows) >= 3
    assert {chunk.context for chunk in with_rows} == {"Year | Revenue | Profit"}
    assert chunks[0].context == "", "the first row is in the text itself"
    assert chunks[-1].context == "", "another table begins without column names"


def test_a_table_goes_on_over_a_running_header_but_not_over_a_paragraph() -> None:
    header = Block("Page 2", BlockKind.PAGE_FURNITURE, origin=Origin.HEADER)
    rows = [row(f"{year} | 12 | 3") for year in range(2000, 2020)]
    over = cut([row("Year | A | B", names_columns=True), *rows, header, *rows], max_tokens=32)
    assert {chunk.context for chunk in over[1:]} <= {"Year | A", "Year | A | B"}
    parted = cut([row("Year | A | B", names_columns=True), *rows, Block("Then."), *rows], max_tokens=32)
    assert parted[-1].context == ""


def test_what_is_nearest_is_kept_where_the_context_has_no_room() -> None:
    trail = [heading(f"chapter {'very ' * 5}{level}", level) for level in range(1, 7)]
    chunk = cut([*trail, Block("water " * 200)], max_tokens=64, title="manual")[-1]
    assert chunk.context.startswith("manual")
    assert chunk.context.endswith("chapter very very very very very 6")
    assert count(embedded_text(chunk.context, chunk.text)) <= 64


def test_a_longer_title_than_there_is_room_is_cut_behind_a_word() -> None:
    chunk = cut([Block("water " * 200)], max_tokens=64, title="water " * 50)[-1]
    assert set(chunk.context.split()) == {"water"}
    assert chunk.context_tokens <= 16


def test_comments_are_cut_off_from_the_body_and_told_apart() -> None:
    comments = [Block("remark " * 8, BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)] * 3
    body, aside = cut([Block("water " * 45), *comments])
    assert body.metadata == {}
    assert "remark" not in body.text
    assert aside.metadata == {"origins": ["comment"]}


def test_however_short_they_are_body_and_comment_are_chunks_of_their_own() -> None:
    comment = Block("Really?", BlockKind.PAGE_FURNITURE, origin=Origin.COMMENT)
    chunks = cut([Block("Body."), comment, comment, Block("More body.")])
    assert [(chunk.text, chunk.metadata) for chunk in chunks] == [
        ("Body.", {}), ("Really?\n\nReally?", {"origins": ["comment"]}), ("More body.", {}),
    ]  # fmt: skip


def test_slides_and_sheets_are_chunks_of_their_own_and_pages_of_prose_are_not() -> None:
    blocks = [Block(f"Slide {page}.", page=page) for page in (1, 1, 2, 3)]
    together = list(chunker(64).chunk(blocks, write=lambda _: None))
    apart = list(chunker(64).chunk(blocks, write=lambda _: None, pages_apart=True))
    assert [chunk.pages for chunk in together] == [(1, 3)]
    assert [(chunk.pages, chunk.text) for chunk in apart] == [
        ((1, 1), "Slide 1.\n\nSlide 1."), ((2, 2), "Slide 2."), ((3, 3), "Slide 3."),
    ]  # fmt: skip


def test_an_overlap_does_not_reach_into_another_slide() -> None:
    blocks = [Block("water " * 30, page=page) for page in (1, 2)]
    overlapping = Chunker(ChunkRecipe(tokenizer_file(), 64, 16))
    chunks = list(overlapping.chunk(blocks, write=lambda _: None, pages_apart=True))
    assert [chunk.pages for chunk in chunks] == [(1, 1), (2, 2)]


def test_a_chunk_of_several_origins_names_each_but_the_body() -> None:
    note = Block("See there.", BlockKind.PAGE_FURNITURE, origin=Origin.FOOTNOTE)
    hidden = Block("Not shown.", origin=Origin.HIDDEN)
    [chunk] = cut([Block("Body."), note, hidden])
    assert chunk.metadata == {"origins": ["footnote", "hidden"]}


def test_equal_texts_share_a_vector_in_equal_contexts_only() -> None:
    [one], [two], [other] = (cut([Block("water")], title=title) for title in ("a", "a", "b"))
    assert one.text_hash == two.text_hash != other.text_hash


BLOCKS = st.lists(
    st.builds(
        Block,
        st.text(alphabet="ab cd.\u00e9\u4e2d|\n", min_size=1, max_size=120),
        st.sampled_from(BlockKind),
        st.integers(0, 4),
        st.none() | st.integers(1, 3),
        st.sampled_from(Origin),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(blocks=BLOCKS, title=st.text(alphabet="ab \u4e2d_", max_size=40), max_tokens=st.integers(16, 80))
def test_context_and_text_together_are_what_the_model_takes(blocks: list[Block], title: str, max_tokens: int) -> None:
    for chunk in cut(blocks, max_tokens=max_tokens, title=title):
        assert chunk.context_tokens == count(chunk.context) <= max_tokens // 4
        assert count(embedded_text(chunk.context, chunk.text)) == chunk.token_count + chunk.context_tokens <= max_tokens
