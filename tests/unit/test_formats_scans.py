"""PDFs whose pages are pictures: which of them are recognised, and what comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pictures import BOOK, GATE, PROSE, page_of_text, recogniser, scanned_pdf, word_recall
from PIL import Image

from penstock.chunking.document import Block, Origin
from penstock.errors import NoText
from penstock.parsing import media_type as types
from penstock.parsing.coverage import Coverage
from penstock.parsing.formats import read
from penstock.parsing.recognition.tesseract import NO_LANGUAGE_DATA, NoRecogniser, Recogniser

__all__ = ["recogniser"]

pytestmark = pytest.mark.slow

SMALL = (1200, 400)


def blocks(tmp_path: Path, content: bytes, recogniser: Recogniser) -> list[Block]:
    path = tmp_path / "object"
    path.write_bytes(content)
    return list(read(path, types.PDF, recogniser=recogniser))


def texts(tmp_path: Path, content: bytes, recogniser: Recogniser) -> list[str]:
    return [block.text for block in blocks(tmp_path, content, recogniser)]


def test_a_scan_is_read_word_for_word(tmp_path: Path, recogniser: Recogniser) -> None:
    found = blocks(tmp_path, scanned_pdf([(page_of_text(PROSE), ""), (page_of_text([BOOK]), "")]), recogniser)
    for number, truth in ((1, PROSE), (2, [BOOK])):
        assert word_recall(truth, [block.text for block in found if block.page == number]) >= 0.98
    assert {block.origin for block in found} == {Origin.RECOGNISED}


def test_only_the_pages_without_text_are_recognised(tmp_path: Path, recogniser: Recogniser) -> None:
    picture = page_of_text(["Drawn words."], size=SMALL)
    content = scanned_pdf([(None, "Real words"), (picture, ""), (picture, GATE[:110]), (None, "The end")])
    announced: list[int | None] = []
    found = blocks(tmp_path, content, Recogniser(recogniser.data, announce=announced.append))
    assert [(block.page, block.origin.value, block.text) for block in found] == [
        (1, "body", "Real words"),
        (2, "recognised", "Drawn words."),
        (3, "body", GATE[:110]),
        (4, "body", "The end"),
    ]
    assert announced == [2, None]


def test_a_scan_with_a_stamp_is_a_scan(tmp_path: Path, recogniser: Recogniser) -> None:
    content = scanned_pdf([(page_of_text(["Drawn words."], size=SMALL), "Received 2 May")])
    assert texts(tmp_path, content, recogniser) == ["Received 2 May", "Drawn words."]


@pytest.mark.parametrize("turned", [90, 180])
def test_pages_that_the_viewer_turns(tmp_path: Path, recogniser: Recogniser, turned: int) -> None:
    as_scanned = page_of_text([GATE]).rotate(turned, expand=True)
    content = scanned_pdf([(as_scanned, "")], turned=turned)
    assert word_recall([GATE], texts(tmp_path, content, recogniser)) >= 0.98


@pytest.mark.parametrize("scale", [0.02, 5])
def test_pages_of_odd_sizes_are_drawn_within_bounds(tmp_path: Path, recogniser: Recogniser, scale: float) -> None:
    content = scanned_pdf([(page_of_text([GATE]), "")], scale=scale)
    assert word_recall([GATE], texts(tmp_path, content, recogniser)) >= 0.98


def test_empty_pages_and_pictures_without_text_give_nothing(tmp_path: Path, recogniser: Recogniser) -> None:
    white, grain = Image.new("L", SMALL, "white"), Image.effect_noise(SMALL, 150)
    with pytest.raises(NoText, match=r"no text on its 3 pages, and none was recognised in their pictures, as eng"):
        texts(tmp_path, scanned_pdf([(white, ""), (grain, ""), (None, "")]), recogniser)


def test_where_nothing_is_drawn_nothing_is_looked_for(
    tmp_path: Path, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recogniser, "_look", None)  # four looks, one for each turn, cost half a second
    with pytest.raises(NoText, match="no text on its 2 pages"):
        texts(tmp_path, scanned_pdf([(None, ""), (Image.new("L", SMALL, "white"), "")]), recogniser)


def test_a_page_whose_picture_is_huge_is_left_out_with_a_word(tmp_path: Path, recogniser: Recogniser) -> None:
    content = scanned_pdf([(None, "Real words"), (Image.new("L", (10_000, 9_500), "white"), "")])
    assert texts(tmp_path, content, recogniser) == [
        "Real words",
        "(Page 2 was not recognised: its picture has 10000 x 9500 pixels.)",
    ]


def test_without_a_recogniser_the_other_pages_are_read(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(scanned_pdf([(None, "Real words"), (page_of_text(["Drawn words."], size=SMALL), "")]))
    assert [block.text for block in read(path, types.PDF)] == ["Real words"]


# ---- pages that were left unread ----


def unread(tmp_path: Path, content: bytes, recogniser: Recogniser | NoRecogniser) -> list[int]:
    path, coverage = tmp_path / "object", Coverage()
    path.write_bytes(content)
    assert list(read(path, types.PDF, coverage, recogniser=recogniser))
    return coverage.unread_pages


def mixed() -> bytes:
    """Two scans, one of them with a stamp, among text, a figure below text, and a page without anything."""
    picture = page_of_text(["Drawn words."], size=SMALL)
    pages = [(None, "Real words"), (picture, ""), (picture, "Received 2 May"), (picture, GATE[:110]), (None, "")]
    return scanned_pdf(pages)


def test_scans_that_nothing_can_recognise_are_unread(tmp_path: Path) -> None:
    assert unread(tmp_path, mixed(), NO_LANGUAGE_DATA) == [2, 3]


@pytest.mark.parametrize(("side", "pages"), [(0.35, [2]), (0.15, [])])
def test_a_picture_on_a_page_without_text_is_unread_unless_it_is_small(
    tmp_path: Path, side: float, pages: list[int]
) -> None:
    picture = page_of_text(["Drawn words."], size=SMALL)
    content = scanned_pdf([(None, "Real words"), (picture, ""), (picture, "Received 2 May")], side=side)
    assert unread(tmp_path, content, NO_LANGUAGE_DATA) == pages


def test_recognised_scans_are_read(tmp_path: Path, recogniser: Recogniser) -> None:
    assert unread(tmp_path, mixed(), recogniser) == []


def test_pages_over_their_time_are_unread(tmp_path: Path, recogniser: Recogniser) -> None:
    content = scanned_pdf([(None, "Real words"), (page_of_text(PROSE), "")])
    assert unread(tmp_path, content, Recogniser(recogniser.data, page_seconds=0.05)) == [2]


def test_scans_of_empty_sheets_are_read_and_pictures_without_text_are_not(
    tmp_path: Path, recogniser: Recogniser
) -> None:
    empty, dark = Image.new("L", SMALL, 250), Image.new("L", SMALL, "white")
    empty.paste(0, (0, 0, 8, 400))  # the shadow at the edge of a scan
    empty.paste(90, (600, 200, 604, 204))
    dark.paste(0, (200, 100, 500, 300))
    huge = Image.new("L", (10_000, 9_500), "white")
    content = scanned_pdf([(None, "Real words"), (empty, ""), (dark, ""), (huge, "")])
    assert unread(tmp_path, content, recogniser) == [3, 4]


def test_pages_that_cannot_be_loaded_are_unread(tmp_path: Path) -> None:
    content = scanned_pdf([(None, "Real words"), (None, "More")])
    [broken] = re.findall(rb"/Kids \[\d+ 0 R (\d+) 0 R\]", content)
    damaged = content.replace(b"\n%s 0 obj\n<< /Type /Page " % broken, b"\n%s 0 obj\n<< /Type /Gone " % broken)
    assert damaged != content
    assert unread(tmp_path, damaged, NO_LANGUAGE_DATA) == [2]
