"""PDF: what PDFium reads, and the rules that make Blocks of lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, NoText
from penstock.parsing import media_type as types
from penstock.parsing.formats import read
from penstock.parsing.formats.layout import Layout, Outline
from penstock.parsing.formats.page_lines import Cell, Line, Page


def pdf(pages: list[list[tuple[int, int, int, str]]]) -> bytes:
    """A PDF of one font; each page is lines of left, bottom, size and text."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, lines in enumerate(pages):
        shown = "\n".join(f"BT /F1 {size} Tf {left} {bottom} Td ({text}) Tj ET" for left, bottom, size, text in lines)
        objects += [
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * at} 0 R "
                "/Resources << /Font << /F1 3 0 R >> >> >>"
            ),
            f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        ]
    out, offsets = "%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    out += "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    return f"{out}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode("latin-1")


def blocks(tmp_path: Path, content: bytes) -> list[Block]:
    path = tmp_path / "object"
    path.write_bytes(content)
    return list(read(path, types.PDF))


LONG = "These words fill the line from the left to the right edge of the column, as a paragraph does"


def test_pages_headings_and_paragraphs(tmp_path: Path) -> None:
    pages = [
        [
            (50, 700, 20, "Annual report"),
            (50, 660, 10, LONG),
            (50, 648, 10, "and end here."),
            (50, 600, 10, "Another one."),
        ],
        [(50, 700, 10, "Second page")],
    ]
    assert [(block.kind.value, block.level, block.page, block.text) for block in blocks(tmp_path, pdf(pages))] == [
        ("heading", 1, 1, "Annual report"),
        ("paragraph", 0, 1, f"{LONG} and end here."),
        ("paragraph", 0, 1, "Another one."),
        ("paragraph", 0, 2, "Second page"),
    ]


def test_a_scan_says_that_it_is_one_and_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(NoText, match=r"2 pages.*OCR.*apt-get install tesseract-ocr-eng.*PENSTOCK_PARSING_OCR_DATA"):
        blocks(tmp_path, pdf([[], []]))


@pytest.mark.parametrize("content", [b"%PDF-1.4", b"%PDF-1.7\n" + bytes(5000), pdf([[(50, 700, 10, "x")]])[:150]])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((CorruptFile, NoText)):
        blocks(tmp_path, content)


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(pdf([[(50, 700, 10, f"Page {number}")] for number in range(300)]))
    reader = read(path, types.PDF)
    assert next(reader).page == 1


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_every_page_comes_once_where_the_document_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("penstock.parsing.formats.pdf.PAGES_OF_AN_OPENING", 3)
    pages = [[(50, 700, 10, f"Only page {at} says this sentence.")] for at in range(1, count + 1)]
    found = [(block.page, block.text) for block in blocks(tmp_path, pdf(pages))]
    assert found == [(at, f"Only page {at} says this sentence.") for at in range(1, count + 1)]


def test_form_fields_and_notes_are_read(tmp_path: Path) -> None:
    annotations = (
        "/Annots [<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace) /Rect [0 0 9 9] >> "
        "<< /Type /Annot /Subtype /Widget /FT /Btn /V /Yes /Rect [0 0 9 9] >> "
        "<< /Type /Annot /Subtype /Text /Contents (A remark) /Rect [0 0 9 9] >>] /Resources"
    )
    content = pdf([[(50, 700, 10, "Name:")]]).replace(b"/Resources", annotations.encode(), 1)
    assert [(block.kind.value, block.text) for block in blocks(tmp_path, content)] == [
        ("paragraph", "Name:"),
        ("page_furniture", "Ada Lovelace"),
        ("page_furniture", "A remark"),
    ]
    assert [block.origin.value for block in blocks(tmp_path, content)] == ["body", "form_field", "comment"]


def drawn(*shown: str) -> bytes:
    """A page of which each text is shown as said, in PDF's own operators."""
    content = pdf([[(50, 700, 10, " " * 4000)]])
    start = content.index(b"BT /F1 10 Tf")
    end = content.index(b"ET", start) + 2
    return content[:start] + "\n".join(shown).encode().ljust(end - start) + content[end:]


def test_a_page_written_sideways(tmp_path: Path) -> None:
    content = drawn(
        "BT /F1 10 Tf 0 1 -1 0 100 50 Tm (A sideways line of words that goes) Tj ET",
        "BT /F1 10 Tf 0 1 -1 0 112 50 Tm (on in the next line and ends.) Tj ET",
        "BT /F1 20 Tf 0 1 -1 0 60 50 Tm (Sideways title) Tj ET",
    )
    assert [(block.kind.value, block.text) for block in blocks(tmp_path, content)] == [
        ("heading", "Sideways title"),
        ("paragraph", "A sideways line of words that goes on in the next line and ends."),
    ]


def test_gaps_make_cells(tmp_path: Path) -> None:
    content = drawn(
        "BT /F1 10 Tf 50 720 Td (In millions) Tj 200 0 Td (2016) Tj 100 0 Td (2015) Tj ET",
        "BT /F1 10 Tf 50 700 Td (Net sales) Tj 200 0 Td (39,528) Tj 100 0 Td (40,339) Tj ET",
    )
    found = blocks(tmp_path, content)
    assert [block.text for block in found] == ["In millions | 2016 | 2015", "Net sales | 39,528 | 40,339"]
    assert [block.names_columns for block in found] == [True, False]


# ---- layout ----


def line(
    text: str, base: float, *, left: float = 50, right: float = 500, size: float = 10, bold: bool = False,
    hyphen: bool = False,
) -> Line:  # fmt: skip
    return Line(text, left, right, base, base, size, bold, hyphen=hyphen)


def row(base: float, *cells: tuple[str, float, float], bold: bool = False) -> Line:
    """A line with wide gaps between its cells, each of which has a text, a left and a right edge."""
    parts = tuple(Cell(*cell) for cell in cells)
    text = " ".join(part.text for part in parts)
    return Line(text, parts[0].left, parts[-1].right, base, base, 10, bold, cells=parts)


def blocks_of(*pages: list[Line], outline: Outline | None = None) -> list[Block]:
    layout = Layout(outline or {})
    found = [block for number, lines in enumerate(pages, start=1) for block in layout.add_page(Page(number, lines))]
    return [*found, *layout.finish()]


def laid_out(*pages: list[Line], outline: Outline | None = None) -> list[tuple[str, int, str]]:
    return [(block.kind.value, block.level, block.text) for block in blocks_of(*pages, outline=outline)]


def test_full_lines_go_on_and_short_ones_end() -> None:
    page = [line("One full line", 700), line("then an end.", 690, right=200), line("A new one", 680)]
    assert laid_out(page) == [("paragraph", 0, "One full line then an end."), ("paragraph", 0, "A new one")]


def test_a_short_line_goes_on_in_the_middle_of_a_sentence() -> None:
    page = [line("Ragged lines", 700, right=300), line("go on, too", 690), line("Here", 680)]
    assert laid_out(page)[0] == ("paragraph", 0, "Ragged lines go on, too Here")


def test_white_space_separates() -> None:
    page = [line("One", 700), line("one", 688), line("Two", 660), line("two", 648)]
    assert [text for _, _, text in laid_out(page)] == ["One one", "Two two"]


def test_columns() -> None:
    page = [
        line("Left side ends", 700, right=290), line("open and", 690, right=290),
        line("goes on here.", 700, left=310, right=550), line("Right side", 690, left=310, right=550),
    ]  # fmt: skip
    assert [text for _, _, text in laid_out(page)] == ["Left side ends open and goes on here. Right side"]


def test_rows_of_numbers_are_rows() -> None:
    page = [
        line("Revenue was as follows:", 700),
        row(690, ("Sales", 50, 80), ("1,200", 300, 330), ("(300)", 400, 430)),
        row(680, ("Cost", 50, 80), ("$", 290, 295), ("5", 320, 325), ("7", 410, 415), ("%", 425, 430)),
        line("Tax 3 (4)", 670),
    ]
    assert [(kind, text) for kind, _, text in laid_out(page)] == [
        ("paragraph", "Revenue was as follows:"),
        ("table_row", "Sales | 1,200 | (300)"),
        ("table_row", "Cost | $ 5 | 7 %"),
        ("table_row", "Tax 3 (4)"),
    ]
    assert laid_out([line("It happened on January 30, 2016", 700)])[0][0] == "paragraph"


def test_bullets_are_items() -> None:
    page = [line("Of these:", 700), line("\u2022 first", 690), line("(a) second", 680), line("12. third", 670)]
    assert [kind for kind, _, _ in laid_out(page)] == ["paragraph", "list_item", "list_item", "list_item"]


def test_headings_by_outline_size_and_weight() -> None:
    page = [
        line("Body text of the page, long enough to be the usual size", 700),
        line("Chapter", 660, size=16.5), line("Section", 630, size=11.6), line("Bold one", 600, bold=True),
        line("By outline", 570), line("Bold, but a sentence.", 540, bold=True), line("more body text", 500),
    ]  # fmt: skip
    found = laid_out(page, outline={None: {"by outline": 2}})
    assert [(level, text) for kind, level, text in found if kind == "heading"] == [
        (1, "Chapter"),
        (3, "Section"),
        (4, "Bold one"),
        (2, "By outline"),
    ]


def test_a_heading_of_two_lines_is_one() -> None:
    page = [
        line("A long", 700, size=20),
        line("heading", 680, size=20),
        line("and then the body text of the page", 640),
    ]
    assert laid_out(page)[0] == ("heading", 1, "A long heading")


def test_running_headers_are_furniture_on_every_page() -> None:
    pages = [
        [line(f"Annual report {year}", 780), line(f"Body of page {word}", 700), line("more of it", 600), line(word, 30)]
        for year, word in [(2024, "1"), (2025, "2"), (2026, "3")]
    ]
    found = laid_out(*pages)
    assert [text for kind, _, text in found if kind == "page_furniture"] == [
        "Annual report 2024", "1", "Annual report 2025", "2", "Annual report 2026", "3",
    ]  # fmt: skip


def test_no_line_is_lost() -> None:
    pages = [[line(f"word{page}x{at}", 700 - 10 * at, right=200 + 40 * at) for at in range(7)] for page in range(4)]
    text = " ".join(text for _, _, text in laid_out(*pages))
    assert all(line.text in text for page in pages for line in page)


# ---- reading order ----


def texts(*pages: list[Line]) -> list[str]:
    return [text for _, _, text in laid_out(*pages)]


def test_a_raised_figure_does_not_end_its_line() -> None:
    page = [
        line("as was found", 700, right=200),
        line("1", 704, left=200, right=204, size=6),
        line("and", 700, left=206),
    ]
    assert texts(page) == ["as was found 1 and"]


def test_columns_drawn_as_one_line_are_read_one_after_the_other() -> None:
    page = [
        line("A title over both of the columns", 760, size=16),
        *(
            row(700 - 12 * at, (f"left line {at} goes on to", 50, 290), (f"right line {at} goes on to", 320, 560))
            for at in range(8)
        ),
    ]
    left = " ".join(f"left line {at} goes on to" for at in range(8))
    assert texts(page) == ["A title over both of the columns", f"{left} {left.replace('left', 'right')}"]


def test_boxes_drawn_in_any_order_are_read_column_by_column() -> None:
    def box(word: str, top: float, left: float) -> list[Line]:
        return [line(f"{word} line {at}.", top - 12 * at, left=left, right=left + 240) for at in range(3)]

    title = [line("A title from the left to the right of the page.", 760, right=560)]
    page = [*box("D", 500, 320), *box("B", 600, 50), *title, *box("C", 700, 320), *box("A", 700, 50)]
    first_letters = [word for text in texts(page) for word in text.split() if word in "ABCD"]
    assert "".join(first_letters) == "AAAABBBCCCDDD"


def test_what_is_written_sideways_comes_after_the_rest() -> None:
    sideways = line("Written up the margin", 30)._replace(turn=1)
    page = [line("One full line", 700), sideways, line("that goes on here.", 688)]
    assert texts(page) == ["One full line that goes on here.", "Written up the margin"]


# ---- tables ----


def test_a_header_of_several_lines_is_one_row_that_names_the_columns() -> None:
    page = [
        line("Stores at the end of the year:", 760),
        row(720, ("Fiscal 2015", 220, 330), ("Fiscal 2016", 420, 530)),
        line("Stores", 708, left=200, right=240), line("Opened", 698, left=198, right=242),
        line("Closed", 703, left=300, right=340), line("Opened", 703, left=400, right=440),
        line("Closed", 703, left=500, right=540),
        row(680, ("Mall", 50, 90), ("1", 235, 240), ("(5)", 325, 340), ("\u2014", 430, 440), ("7", 535, 540)),
        row(668, ("Street", 50, 90), ("2", 235, 240), ("6", 335, 340), ("3", 435, 440), ("8", 535, 540)),
    ]  # fmt: skip
    found = blocks_of(page)
    assert [block.text for block in found if block.names_columns] == [
        "Fiscal 2015 Stores Opened | Closed | Fiscal 2016 Opened | Closed"
    ]
    assert [block.text for block in found][2:] == ["Mall | 1 | (5) | \u2014 | 7", "Street | 2 | 6 | 3 | 8"]


def test_years_and_units_name_columns() -> None:
    page = [
        line("Net sales", 740, right=90, bold=True),
        line("(Dollars in Millions)", 720, right=140),
        row(720, ("2019", 300, 320), ("2018", 400, 420)),
        line("Consumer", 708, right=100),
        row(696, ("Oral care", 50, 90), ("$", 280, 285), ("1,528", 300, 325), ("1,555", 400, 425)),
        row(684, ("Total", 50, 75), ("5,898", 300, 325), ("5,853", 400, 425)),
    ]
    found = blocks_of(page)
    assert [(block.kind.value, block.names_columns, block.text) for block in found] == [
        ("heading", False, "Net sales"),
        ("table_row", True, "(Dollars in Millions) | 2019 | 2018"),
        ("table_row", False, "Consumer"),
        ("table_row", False, "Oral care | $ 1,528 | 1,555"),
        ("table_row", False, "Total | 5,898 | 5,853"),
    ]


def test_figures_stand_under_their_columns_and_wrapped_labels_in_their_rows() -> None:
    page = [
        row(720, ("Total", 200, 230), ("Retained", 300, 340), ("Treasury", 400, 440)),
        row(700, ("Balance", 50, 90), ("9", 225, 230), ("3", 335, 340), ("1", 435, 440)),
        line("Repurchase of shares, held for the plans of", 688, right=180),
        row(676, ("the employees", 50, 110), ("7", 225, 230), ("8", 435, 440)),
    ]
    assert texts(page) == [
        "Total | Retained | Treasury",
        "Balance | 9 | 3 | 1",
        "Repurchase of shares, held for the plans of the employees | 7 | | 8",
    ]


def test_cells_drawn_one_after_the_other_are_a_row() -> None:
    page = [
        line("Ada Lovelace", 700, right=120), line("wrote the first", 690, right=125),
        line("1815", 700, left=200, right=220), line("London", 700, left=300, right=340),
        line("Grace Hopper", 670, right=120), line("wrote a compiler", 660, right=130),
        line("1906", 670, left=200, right=220), line("New York", 670, left=300, right=345),
    ]  # fmt: skip
    assert texts(page) == [
        "Ada Lovelace wrote the first | 1815 | London",
        "Grace Hopper wrote a compiler | 1906 | New York",
    ]


def test_a_number_and_its_title_are_no_row() -> None:
    assert texts([row(700, ("1.", 50, 58), ("Introduction", 80, 150))]) == ["1. Introduction"]
    assert texts([row(680, ("Item 7.", 50, 80), ("Risks", 100, 130))]) == ["Item 7. Risks"]


# ---- words parted at a line's end ----


@pytest.mark.parametrize(
    ("said", "before", "after", "joined"),
    [
        ("An international word", "inter", "national", "international"),
        ("A long-term view", "long", "term", "long-term"),
        ("The term was long, they said", "long", "term", "long-term"),
        ("Nothing of the kind", "mono", "cistronic", "monocistronic"),
        ("Nothing of the kind", "non", "GAAP", "non-GAAP"),
        ("Nothing of the kind", "e", "mail", "e-mail"),
        ("Nothing of the kind", "1999", "2001", "1999-2001"),
        ("Isoprenoids are associated", "plastid-associ", "ated", "plastid-associated"),
    ],
)
def test_hyphens_at_line_ends(said: str, before: str, after: str, joined: str) -> None:
    page = [line(f"{said}.", 700), line(f"It was {before}", 600, hyphen=True), line(f"{after} once.", 588)]
    assert texts(page)[1] == f"It was {joined} once."


def test_a_hyphen_on_another_page_tells() -> None:
    pages = [
        [line("It was inter", 600, hyphen=True), line("national once.", 588)],
        [line("An international word", 700)],
    ]
    assert texts(*pages)[0] == "It was international once."


# ---- from page to page ----


def test_a_paragraph_that_goes_on_overleaf_is_not_parted_by_furniture() -> None:
    pages = [
        [
            line("Annual report", 780), line(f"Text of page {word}.", 700), line(f"{word} begins a sentence that", 600),
            line(f"{at}", 30),
        ]
        for at, word in enumerate(["One", "two", "three"], start=1)
    ]  # fmt: skip
    pages[1][1:2] = [line("goes on overleaf.", 700)]
    found = [(block.page, block.origin.value, block.text) for block in blocks_of(*pages)]
    assert found[:6] == [
        (1, "header", "Annual report"),
        (1, "body", "Text of page One."),
        (1, "footer", "1"),
        (1, "body", "One begins a sentence that"),
        (2, "body", "goes on overleaf."),
        (2, "header", "Annual report"),
    ]


def test_footnotes_come_after_the_text() -> None:
    page = [
        line("The first column says something, with a note.", 700, right=290),
        line("1 The note, in small print.", 60, right=290, size=8),
        line("The second column says more of it.", 700, left=310, right=560),
    ]
    found = [(block.origin.value, block.kind.value, block.text[:10]) for block in blocks_of(page)]
    assert found == [
        ("body", "paragraph", "The first "),
        ("body", "paragraph", "The second"),
        ("footnote", "page_furniture", "1 The note"),
    ]


def test_a_title_is_a_heading_on_the_page_that_the_outline_says() -> None:
    pages = [[line("Results", 700 - 50 * at, right=80), line("Text of a page.", 500)] for at in range(2)]
    found = blocks_of(*pages, outline={2: {"results": 2}})
    assert [(block.page, block.level) for block in found if block.kind.value == "heading"] == [(2, 2)]
