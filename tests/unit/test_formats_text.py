"""Text formats: encodings, plain text, Markdown and its like, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile, NoText, UnsupportedFormat
from penstock.parsing import media_type as types
from penstock.parsing.dialect import find_delimiter
from penstock.parsing.encoding import LONGEST_LINE, decoded, find_encoding, lines
from penstock.parsing.formats import READABLE, read
from penstock.parsing.formats.cleaning import clean
from penstock.parsing.formats.markup import markdown_blocks

Reading = Callable[[bytes | str, str], list[Block]]


@pytest.fixture
def blocks(tmp_path: Path) -> Reading:
    def read_content(content: bytes | str, media_type: str) -> list[Block]:
        path = tmp_path / "object"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read(path, media_type))

    return read_content


def kinds(found: Iterable[Block]) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in found]


# ---- encodings ----

UMLAUTS = "Grüße aus Köln, schöne Wörter über Äpfel und Öl. " * 3


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "latin-1", "cp1252"],
)
def test_encodings_are_found(encoding: str) -> None:
    assert decoded(UMLAUTS.encode(encoding)) == UMLAUTS


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("shift-jis", "日本語のテキストです。これは長い文章です。東京は日本の首都です。"),
        ("gb18030", "这是一个中文文本。北京是中华人民共和国的首都。我们正在测试编码检测。"),
        ("euc-kr", "이것은 한국어 텍스트입니다. 서울은 대한민국의 수도입니다."),
        ("cp1251", "Это русский текст. Москва является столицей Российской Федерации."),
    ],
)
def test_code_pages_are_found(encoding: str, text: str) -> None:
    assert decoded((text * 8).encode(encoding)) == text * 8


def test_text_of_a_mainframe_is_read() -> None:
    text = "00042 TORONTO   STREET LIGHT OUT   2018-04-10 " * 8
    assert decoded(text.encode("cp037")) == text


def test_stray_bytes_in_utf8_are_windows_1252() -> None:
    assert decoded("Grüße äöü, ".encode() * 20 + b"it\x92s") == "Grüße äöü, " * 20 + "it\u2019s"


def test_a_late_stray_byte_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"ascii only " * 100_000 + b"caf\xe9")
    assert "".join(lines(path)).endswith("café")


def test_binary_is_no_text() -> None:
    assert find_encoding(bytes(range(256)) * 4) is None
    assert find_encoding(bytes(100)) is None


@given(st.binary(max_size=300))
def test_no_bytes_raise_a_decode_error(data: bytes) -> None:
    decoded(data).encode("utf-8", "replace")


@given(st.text(max_size=200))
def test_clean_text_is_storable(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert cleaned == cleaned.strip() == clean(cleaned)


def test_cleaning_keeps_words_whole() -> None:
    assert clean("co\u00adop\u200beration\xa0of\r\ntwo\x00\x07") == "cooperation of\ntwo"


# ---- plain text ----


def test_paragraphs_end_at_blank_lines(blocks: Reading) -> None:
    found = blocks("One\r\ntwo\r\n\r\n \t\r\nThree", types.PLAIN)
    assert [block.text for block in found] == ["One\ntwo", "Three"]


def test_no_block_grows_with_the_file(blocks: Reading) -> None:
    found = blocks("word " * 200_000, types.PLAIN)
    assert max(len(block.text) for block in found) <= 2 * LONGEST_LINE
    assert sum(block.text.count("word") for block in found) >= 199_980


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_text("A paragraph.\n\n" * 100_000)
    reader = read(path, types.PLAIN)
    assert next(reader).text == "A paragraph."


def test_no_words_is_no_text(blocks: Reading) -> None:
    with pytest.raises(NoText):
        blocks("--- *** ...", types.PLAIN)


def test_unknown_media_types_are_unsupported(blocks: Reading) -> None:
    with pytest.raises(UnsupportedFormat):
        blocks("text", "image/x-photoshop")


@pytest.mark.parametrize("media_type", list(READABLE))
def test_every_readable_type_has_a_reader(blocks: Reading, media_type: str) -> None:
    with pytest.raises((NoText, CorruptFile)):
        blocks(" ", media_type)


# ---- Markdown ----


def test_markdown_structure() -> None:
    source = """---
title: Front
---

# One #

Text over
two lines.

Setext
------

- item
  goes on
* other
1. first

| a | b |
|---|:-:|
| 1 | `x` |

***

```python
# not a heading

code()
```
<!-- a comment -->
Last | line
"""
    assert kinds(markdown_blocks(source.splitlines(keepends=True))) == [
        ("paragraph", "title: Front\n"),
        ("heading", "One"),
        ("paragraph", "Text over\ntwo lines.\n"),
        ("heading", "Setext\n"),
        ("list_item", "item\n  goes on\n"),
        ("list_item", "other\n"),
        ("list_item", "1. first\n"),
        ("table_row", "a | b"),
        ("table_row", "1 | `x`"),
        ("code", "# not a heading\n\ncode()\n"),
        ("paragraph", "Last | line\n"),
    ]


def test_heading_levels(blocks: Reading) -> None:
    found = blocks("# a1\n## b2\n###### c6\nd1\n==\ne2\n--\n", types.MARKDOWN)
    assert [(block.text, block.level) for block in found] == [("a1", 1), ("b2", 2), ("c6", 6), ("d1", 1), ("e2", 2)]


def test_a_fence_that_is_never_closed_keeps_its_text(blocks: Reading) -> None:
    assert kinds(blocks("```\nline one\n# two\n", types.MARKDOWN)) == [("code", "line one\n# two")]


def test_the_first_row_of_each_markdown_table_names_its_columns() -> None:
    source = "| a | b |\n|---|---|\n| 1 | 2 |\n\n| c | d |\n| 3 | 4 |\ntext\ne | f\n--|--\n5 | 6\n"
    found = [block for block in markdown_blocks(source.splitlines(keepends=True)) if block.kind is BlockKind.TABLE_ROW]
    assert [block.text.strip() for block in found if block.names_columns] == ["a | b", "c | d", "e | f"]
    assert len(found) == 6


def test_table_without_outer_bars(blocks: Reading) -> None:
    assert kinds(blocks("a | b\n--|--\n1 | 2\n\nend", types.MARKDOWN)) == [
        ("table_row", "a | b"),
        ("table_row", "1 | 2"),
        ("paragraph", "end"),
    ]


@given(st.lists(st.text(alphabet="ab#-=`|* \n1.", max_size=30), max_size=8))
def test_markdown_loses_no_letters(pieces: list[str]) -> None:
    source = "\n".join(pieces).splitlines(keepends=True)
    text = "".join(block.text for block in markdown_blocks(source))
    wanted = "".join(source)
    fences = wanted.count("```")  # the word after a fence names the language of the code
    assert fences or [letter for letter in text if letter in "ab"] == [letter for letter in wanted if letter in "ab"]


# ---- other markup ----


@pytest.mark.parametrize(
    ("source", "media_type", "headings"),
    [
        ("Title\n=====\n\nText\n\nPart\n----\nmore", types.RST, [("Title", 1), ("Part", 2)]),
        ("* Title\nText\n** Part\nmore", types.ORG, [("Title", 1), ("Part", 2)]),
        ("= Title\n\nText\n\n== Part\nmore", types.ASCIIDOC, [("Title", 1), ("Part", 2)]),
        ("\\section{Title}\nText\n% no\n\\subsection*{Part}\nmore", types.LATEX, [("Title", 2), ("Part", 3)]),
    ],
)
def test_headings_of_markup(blocks: Reading, source: str, media_type: str, headings: list[tuple[str, int]]) -> None:
    found = blocks(source, media_type)
    assert [(block.text, block.level) for block in found if block.kind is BlockKind.HEADING] == headings
    assert [block.text for block in found if block.kind is BlockKind.PARAGRAPH] == ["Text", "more"]


# ---- delimited values ----


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_dialects(blocks: Reading, delimiter: str) -> None:
    source = (
        delimiter.join(["name", "note"]) + "\n" + delimiter.join(["Ada", f'"a{delimiter} ""quoted""\nnote"']) + "\n"
    )
    assert find_delimiter(source.splitlines()) == delimiter
    assert kinds(blocks(source, types.CSV)) == [
        ("table_row", "name | note"),
        ("table_row", f'Ada | a{delimiter.strip()} "quoted" note' if delimiter != "\t" else 'Ada | a "quoted" note'),
    ]


def test_empty_cells_keep_their_place(blocks: Reading) -> None:
    assert kinds(blocks("a,,c,\n,,,\n", types.CSV)) == [("table_row", "a |  | c")]


def test_the_first_row_names_the_columns(blocks: Reading) -> None:
    found = blocks(",\nname,age\nAda,36\n", types.CSV)
    assert [(block.text, block.names_columns) for block in found] == [("name | age", True), ("Ada | 36", False)]
    assert [block.names_columns for block in blocks("name\nAda\n", types.CSV)] == [True, False]


def test_a_quote_that_is_never_closed_ends(blocks: Reading) -> None:
    found = blocks('a,b\n"open,' + "word,\n" * 100_000, types.CSV)
    assert found[0].text == "a | b"


def test_nul_in_csv(blocks: Reading) -> None:
    assert kinds(blocks("a,b\nx\0y,2\n" * 2000, types.CSV))[1] == ("table_row", "xy | 2")


# ---- JSON ----


def test_objects_of_a_list_are_records(blocks: Reading) -> None:
    value = [{"name": "Ada", "born": 1815, "tags": ["x", "y"]}, {"name": "Alan", "address": {"city": "London"}}]
    assert [block.text for block in blocks(json.dumps(value), types.JSON)] == [
        "name: Ada\nborn: 1815\ntags: x, y",
        "name: Alan\naddress.city: London",
    ]


def test_json_lines_are_records(blocks: Reading) -> None:
    found = blocks('{"a": "one"}\n{"a": "two", "b": {}}\n', types.JSON_LINES)
    assert [block.text for block in found] == ["a: one", "a: two\nb:"]


def test_escapes_are_resolved(blocks: Reading) -> None:
    assert [block.text for block in blocks('{"a": "\\u00e4\\n\\"b\\""}', types.JSON)] == ['a: ä\n"b"']


def test_cut_json_gives_what_is_there(blocks: Reading) -> None:
    assert [block.text for block in blocks('{"a": "one", "b": ["two", "thr', types.JSON)] == ["a: one\nb: two, thr"]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_json_does_not_recurse(blocks: Reading, opening: str) -> None:
    found = blocks(opening * 30_000 + '"deep"', types.JSON)
    assert "deep" in found[-1].text


def test_a_string_longer_than_a_piece_is_whole(blocks: Reading) -> None:
    text = 'word \\"x\\" ' * 50_000
    found = blocks('{"a": "' + text + '", "b": "end"}', types.JSON)
    assert sum(block.text.count('"x"') for block in found) == 50_000
    assert found[-1].text.endswith("end")


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.integers() | st.text(st.characters(categories=("L", "N"))),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(categories=("L", "N")), min_size=1), inner)
        ),
    ),
    st.integers(1, 7),
)
def test_every_value_is_written(value: object, width: int) -> None:
    from penstock.parsing.formats.records import _marks, _Walker  # noqa: PLC0415 # pyright: ignore[reportPrivateUsage]

    source = json.dumps(value)
    pieces = [source[at : at + width] for at in range(0, len(source), width)]
    text = "\n".join(block.text for block in _Walker().read(_marks(pieces)))
    for leaf in leaves(value):
        assert str(leaf) in text


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from leaves(inner)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            yield from leaves(inner)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield value


def test_notebooks(blocks: Reading) -> None:
    notebook = {
        "nbformat": 4,
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "Text"]},
            {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["1\n"]}, {"data": {"text/plain": "2"}}]},
        ],
    }
    assert kinds(blocks(json.dumps(notebook), types.NOTEBOOK)) == [
        ("heading", "Title"),
        ("paragraph", "Text"),
        ("code", "print(1)"),
        ("paragraph", "1"),
        ("paragraph", "2"),
    ]


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": 5}', '{"cells": [5]}', "[" * 100_000])
def test_damaged_notebooks(blocks: Reading, content: str) -> None:
    with pytest.raises((CorruptFile, NoText)):
        blocks(content, types.NOTEBOOK)
