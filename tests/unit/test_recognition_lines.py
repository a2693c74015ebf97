"""From recognised words to Blocks, without a picture."""

from __future__ import annotations

from penstock.chunking.document import Block, Origin
from penstock.parsing.recognition.lines import TextLine, Word, blocks_of, confidence, has_columns, without_noise

HEIGHT = 30


def line(text: str, *, top: int = 0, begins: bool = False, sure: float = 95, height: int = HEIGHT) -> TextLine:
    """Words of 20 pixels a letter with 20 between them; a tab makes a wide gap."""
    words: list[Word] = []
    left = 100
    for cell in text.split("\t"):
        for word in cell.split():
            words.append(Word(word, sure, left, top, left + 20 * len(word), top + height))
            left += 20 * len(word) + 20
        left += 5 * height
    return TextLine(words, begins)


def found(*lines: TextLine) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in blocks_of(lines, 3)]


def test_blocks_have_their_page_and_origin() -> None:
    [block] = blocks_of([line("Some text")], 3)
    assert block == Block("Some text", page=3, origin=Origin.RECOGNISED)


def test_lines_of_a_paragraph_are_joined_and_hyphens_at_their_ends_undone() -> None:
    lines = [
        line("The turbines of the power sta-", begins=True), line("tion and of Baden-"), line("Baden turn."),
        line("Another.", begins=True),
    ]  # fmt: skip
    assert found(*lines) == [
        ("paragraph", "The turbines of the power station and of Baden- Baden turn."),
        ("paragraph", "Another."),
    ]


def test_a_sentence_goes_on_in_the_next_line() -> None:
    first = line("Whoever reads this signs the", top=0, begins=True)
    assert found(first, line("page.", top=40, begins=True)) == [("paragraph", "Whoever reads this signs the page.")]
    assert len(found(first, line("page.", top=90, begins=True))) == 2
    assert len(found(first, line("Page", top=40, begins=True))) == 2
    assert len(found(line("It ends.", begins=True), line("page.", top=40, begins=True))) == 2


def test_wide_gaps_make_cells_and_rows_stand_alone() -> None:
    lines = [line("Name\tYear", begins=True), line("The dam\t1931"), line("as said above it stands")]
    assert found(*lines) == [
        ("table_row", "Name\tYear"),
        ("table_row", "The dam\t1931"),
        ("paragraph", "as said above it stands"),
    ]


def test_items_begin_a_paragraph() -> None:
    assert found(line("To do:", begins=True), line("\u2022 first"), line("2. second")) == [
        ("paragraph", "To do:"),
        ("list_item", "\u2022 first"),
        ("list_item", "2. second"),
    ]


def test_high_lines_are_headings_of_two_levels() -> None:
    body = [line("Body text", begins=True) for _ in range(3)]
    title, part = line("Title", begins=True, height=60), line("Part", begins=True, height=45)
    assert [(block.kind.value, block.level) for block in blocks_of([title, part, *body], 1)][:3] == [
        ("heading", 1),
        ("heading", 2),
        ("paragraph", 0),
    ]


def test_page_numbers_are_beside_the_flow() -> None:
    assert found(line("Text", begins=True), line("17", begins=True), line("Page 3 of 9", begins=True)) == [
        ("paragraph", "Text"),
        ("paragraph", "17"),
        ("page_furniture", "Page 3 of 9"),
    ]


def test_chinese_has_no_spaces_and_korean_has() -> None:
    assert found(line("水 库 大坝 Dam"), line("压力", begins=False)) == [("paragraph", "水库大坝 Dam 压力")]
    assert found(line("댐 수위"), line("압력")) == [("paragraph", "댐 수위 압력")]


def moved(original: TextLine, by: int) -> TextLine:
    words = [Word(word.text, 95, word.left + by, word.top, word.right + by, word.bottom) for word in original.words]
    return TextLine(words, original.begins_paragraph)


def test_columns_are_running_text_beside_running_text() -> None:
    text = [line("Some words that run on", top=40 * at) for at in range(5)]
    assert not has_columns(text)
    assert has_columns([*text, *(moved(each, 900) for each in text)])
    assert not has_columns([*text, *(moved(line("17", top=40 * at), 900) for at in range(5))])


def test_confidence_counts_characters() -> None:
    assert confidence([Word("a", 10, 0, 0, 1, 1), Word("bcd", 90, 0, 0, 1, 1)]) == 70
    assert confidence([]) == 0


def test_noise_is_dropped_and_text_beside_it_kept() -> None:
    lines = [line("ia wW \\I/", sure=35), line("Clear text", sure=93), line("| .", sure=80)]
    assert [[word.text for word in kept.words] for kept in without_noise(lines)] == [["Clear", "text"]]


def test_a_line_with_a_certain_word_is_text_however_the_rest_is_spelled() -> None:
    badly = TextLine([*line("RberprXfen Gr&Xe", sure=20).words, *line("bevor", sure=96).words], begins_paragraph=False)
    assert without_noise([badly]) == [badly]


def test_a_page_without_one_sure_word_has_no_text() -> None:
    assert without_noise([line("LOK ie", sure=58)] * 20) == []
    assert without_noise([line("x y z", sure=95)]) == []
