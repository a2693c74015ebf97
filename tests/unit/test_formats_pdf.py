"""PDF: what PDFium reads, and the rules that make Blocks of lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, NoText
from penstock.parsing import media_type as types
from penstock.parsing.formats import read
from penstock.parsing.formats.layout import Layout, Line, Page


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


# ---- layout ----


def line(
    text: str, bottom: float, *, left: float = 50, right: float = 500, size: float = 10, bold: bool = False
) -> Line:
    return Line(text, left, right, bottom, bottom, size, bold)


def laid_out(*pages: list[Line], outline: dict[str, int] | None = None) -> list[tuple[str, int, str]]:
    layout = Layout(outline or {})
    found = [block for number, lines in enumerate(pages, start=1) for block in layout.add_page(Page(number, lines))]
    found += layout.finish()
    return [(block.kind.value, block.level, block.text) for block in found]


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
    page = [line("Revenue in millions as follows", 700), line("Sales 1,200 (300)", 690), line("Cost $ 5 % 7%", 680)]
    assert [kind for kind, _, _ in laid_out(page)] == ["paragraph", "table_row", "table_row"]
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
    found = laid_out(page, outline={"by outline": 2})
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
