"""The independent count: what it finds, what it costs a reader to lose text, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office_files import document_with_an_unknown_part, word_document, word_paragraph

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import NoText
from penstock.parsing import coverage as module
from penstock.parsing import formats
from penstock.parsing.coverage import MOST_UNREAD_PAGES, Coverage, PageCoverage, Words, supplemented, words
from penstock.parsing.formats import read
from penstock.parsing.media_type import DOCX, PLAIN


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Pumps, valves; 1,200.50", ["pumps", "valves", "1", "200", "50"]),
        ("ＷＩＤＥ ﬁle Straße", ["wide", "file", "strasse"]),  # noqa: RUF001 - that is what is tested
        ("inter\u00adnational", ["international"]),
        ("漢字(かな)word", ["漢", "字", "か", "な", "word"]),
        (" … ", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize("most", [0, 2, 50_000])
def test_a_word_is_taken_as_often_as_it_was_said(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """However many are counted one by one."""
    monkeypatch.setattr(module, "MOST_WORDS", most)
    said = Words()
    said.add("to be or not")
    said.add("to be")
    assert said.take(Counter(["to", "be", "hamlet"])) == Counter(["hamlet"])
    assert said.take(Counter(["to", "to", "not"])) == Counter(["to"])
    assert said.take(Counter(["not", "or"])) == Counter(["not"])


def blocks(*texts: str) -> list[Block]:
    return [Block(text) for text in texts]


def test_nothing_is_counted_where_there_is_no_text() -> None:
    coverage = Coverage()
    assert list(supplemented([], list, coverage)) == []
    assert coverage.share is None


def test_the_share_is_rounded_down() -> None:
    assert Coverage(counted=30_000, lost=1).share == 0.9999
    assert Coverage(counted=3, lost=1).share == 0.6666
    assert Coverage(counted=3).share == 1


def test_what_is_lost_as_a_whole_comes_back_alone() -> None:
    """Its words stand in other paragraphs, too, which need not be repeated."""
    source = blocks("The total revenue grew.", "Total revenue", "Revenue by region")
    coverage = Coverage()
    found = list(supplemented([source[0], source[2]], lambda: source, coverage))
    assert found == [source[0], source[2], source[1]]
    assert (coverage.counted, coverage.missed, coverage.lost) == (9, 2, 0)


def test_a_paragraph_that_lost_a_word_comes_again() -> None:
    coverage = Coverage()
    found = list(supplemented(blocks("one three"), lambda: blocks("one two three"), coverage))
    assert [block.text for block in found] == ["one three", "one two three"]
    assert (coverage.missed, coverage.share) == (1, 1)


def test_more_than_can_be_looked_for_is_said_to_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOST", 2)
    coverage = Coverage()
    found = list(supplemented([], lambda: blocks("a", "b", "c", "d"), coverage))
    assert [block.text for block in found] == ["a", "b"]
    assert (coverage.missed, coverage.lost, coverage.share) == (4, 2, 0.5)


@given(st.lists(st.tuples(st.text(alphabet="ab cß漢1.", max_size=12), st.booleans()), max_size=12))
def test_no_word_is_lost_whatever_the_reader_loses(paragraphs: list[tuple[str, bool]]) -> None:
    source = blocks(*(text for text, _ in paragraphs))
    brought = blocks(*(text for text, kept in paragraphs if kept))
    coverage = Coverage()
    found = list(supplemented(brought, lambda: source, coverage))
    wanted = Counter(word for block in source for word in words(block.text))
    assert wanted <= Counter(word for block in found for word in words(block.text))
    assert found[: len(brought)] == brought
    assert coverage.counted == wanted.total()
    assert coverage.lost == 0
    assert (len(found) > len(brought)) == (coverage.missed > 0)


# ---- pages ----


def checked(pages: list[list[str]], said: list[Block]) -> tuple[list[Block], Coverage]:
    """`said` in the order of its pages, each after the lines of its page."""
    coverage = Coverage()
    check = PageCoverage(coverage)
    found: list[Block] = []
    for number, lines in enumerate(pages, start=1):
        check.heard(number, lines)
        found += check.passed(block for block in said if block.page == number)
    found += check.rest()
    return [block for block in found if block not in said], coverage


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["one two", "three"], ["one two three"]),
        (["inter-", "national trade"], ["international trade"]),
        (["Pumps 12 40"], ["Pumps | 12 | 40"]),
        (["left column right column", "left goes on"], ["left column left goes on", "right column"]),
    ],
)
def test_lines_that_were_joined_cut_and_moved_are_found(lines: list[str], said: list[str]) -> None:
    lost, coverage = checked([lines], [Block(text, page=1) for text in said])
    assert (lost, coverage.missed, coverage.share) == ([], 0, 1)
    assert coverage.counted == sum(len(line.split()) for line in lines)


def test_lines_that_were_left_out_come_back_on_their_page() -> None:
    pages = [["kept one", "lost on the first"], ["kept two"], ["kept three"], ["lost at last"]]
    said = [Block(f"kept {text}", page=page) for page, text in enumerate(("one", "two", "three"), start=1)]
    lost, coverage = checked(pages, said)
    assert lost == [Block("lost on the first", page=1), Block("lost at last", page=4)]
    assert (coverage.counted, coverage.missed, coverage.share) == (13, 6, 1)


def test_a_paragraph_may_go_on_for_two_pages_and_no_more() -> None:
    lines = ["it begins", "goes on", "and on", "and on for ever"]
    lost, _ = checked([[line] for line in lines], [Block(" ".join(lines), page=1)])
    assert lost == [Block("and on for ever", page=4)]


def test_few_pages_are_held() -> None:
    check = PageCoverage(Coverage())
    for number in range(1, 1000):
        check.heard(number, ["a line"])
        list(check.passed([Block("a line", page=number)]))
        assert len(check._pages) <= 6


# ---- Office files ----


def read_all_as(monkeypatch: pytest.MonkeyPatch, *found: Block) -> None:
    def reader(path: Path, *, embedded: object) -> Iterator[Block]:
        return iter(found)

    monkeypatch.setattr(formats, "_HOLDING_FILES", {DOCX: reader})


def counted(path: Path, content: bytes) -> tuple[list[Block], Coverage]:
    path.write_bytes(content)
    coverage = Coverage()
    return list(read(path, DOCX, coverage)), coverage


def test_a_part_that_the_reader_does_not_know_costs_its_place_only(tmp_path: Path) -> None:
    found, coverage = counted(tmp_path / "object", document_with_an_unknown_part("The body.", "A new kind of note."))
    assert [block.text for block in found] == ["The body.", "A new kind of note."]
    assert (coverage.counted, coverage.missed, coverage.share) == (7, 5, 1)


def test_a_reader_that_loses_text_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    footer = f'<w:ftr xmlns:w="urn:w">{word_paragraph("Page foot")}</w:ftr>'
    content = word_document(word_paragraph("Body"), {"footer1.xml": footer}, footer1="footer1.xml")
    read_all_as(monkeypatch, Block("Body"))
    found, coverage = counted(tmp_path / "object", content)
    assert found == [Block("Body"), Block("Page foot", BlockKind.PAGE_FURNITURE, origin=Origin.FOOTER)]
    assert (coverage.missed, coverage.share) == (2, 1)


def test_a_reader_that_finds_nothing_is_no_reason_for_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_all_as(monkeypatch)
    found, coverage = counted(tmp_path / "object", word_document(word_paragraph("Body")))
    assert [block.text for block in found] == ["Body"]
    assert coverage.share == 1


def test_what_is_not_shown_is_not_counted(tmp_path: Path) -> None:
    variants = (
        '<mc:AlternateContent xmlns:mc="urn:mc"><mc:Choice><w:t>new</w:t></mc:Choice>'
        "<mc:Fallback><w:t>old</w:t></mc:Fallback></mc:AlternateContent>"
    )
    chart = variants.replace("<w:t>new</w:t>", "<c:chart xmlns:c='urn:c'/>")
    body = (
        f"<w:p><w:r>{variants}</w:r><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom>"
        f"<w:del><w:r><w:delText>away</w:delText></w:r></w:del></w:p><w:p><w:r>{chart}</w:r></w:p>"
    )
    found, coverage = counted(tmp_path / "object", word_document(body))
    assert [block.text for block in found] == ["new"]
    assert (coverage.counted, coverage.missed) == (1, 0)


def test_what_parts_words_for_the_reader_parts_them_for_the_count(tmp_path: Path) -> None:
    run = "<w:r><w:t>a</w:t>{}<w:t>b</w:t></w:r>".format
    marks = ("<w:br/>", "<w:tab/>", '<w:footnoteReference w:id="1"/>', "<w:noBreakHyphen/>", '<docPr descr="pump"/>')
    body = "".join(f"<w:p>{run(mark)}</w:p>" for mark in marks)
    half = "<m:f><m:num><m:t>1</m:t></m:num><m:den><m:t>2</m:t></m:den></m:f>"
    math = f'<w:p><m:oMath xmlns:m="urn:m">{half}</m:oMath></w:p>'
    found, coverage = counted(tmp_path / "object", word_document(body + math))
    assert [block.text for block in found] == ["a\nb", "a\tb", "a[1]b", "a-b", "a pump b", "1/2"]
    assert (coverage.counted, coverage.missed) == (12, 0)


@pytest.mark.parametrize(
    "parts",
    [
        {"sticky.xml": "<n:p><n:t>x"},
        {"sticky.xml": "<n/>", "_rels/sticky.xml.rels": "<Relationships"},
    ],
)
def test_a_damaged_part_that_nobody_reads_is_no_reason_to_fail(tmp_path: Path, parts: dict[str, str | bytes]) -> None:
    content = word_document(word_paragraph("Body"), parts, stickyNotes1="sticky.xml")
    found, coverage = counted(tmp_path / "object", content)
    assert [block.text for block in found] == ["Body"]
    assert coverage.share == 1


def test_formats_without_a_count(tmp_path: Path) -> None:
    (tmp_path / "object").write_text("Plain text.")
    coverage = Coverage()
    assert len(list(read(tmp_path / "object", PLAIN, coverage))) == 1
    assert coverage.share is None
    (tmp_path / "object").write_text("…")
    with pytest.raises(NoText):
        list(read(tmp_path / "object", PLAIN, coverage))


def test_unread_pages_are_noted_up_to_a_bound() -> None:
    coverage = Coverage()
    for page in range(1, 2000):
        coverage.leave_out(page)
    assert coverage.unread_pages == list(range(1, MOST_UNREAD_PAGES + 1))
