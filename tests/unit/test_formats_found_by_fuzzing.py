"""What `make fuzz` found, each as the smallest file of its kind. All of them took minutes, or the process with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.chunking.document import Block, BlockKind
from penstock.parsing import media_type as types
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect

LONG = 60_000
"""Characters of a line; a pattern that looks at each place twice looks two thousand million times."""


def blocks(tmp_path: Path, content: str | bytes, media_type: str) -> list[Block]:
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(path, media_type))


@pytest.mark.parametrize("line", ["# a" + " " * LONG + "x", "# a" + " #" * (LONG // 2) + " x"])
def test_a_heading_with_blanks_without_end(tmp_path: Path, line: str) -> None:
    [heading] = blocks(tmp_path, f"{line}\n", types.MARKDOWN)
    assert heading.kind is BlockKind.HEADING


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# a", "a"), ("#\ta #", "a"), ("## a b ##  ", "a b"), ("# a#", "a#"), ("# a # b", "a # b"), ("# C# #", "C#"),
        ("#", ""), ("# #", ""), ("### ###", ""),
    ],
)  # fmt: skip
def test_marks_that_close_a_heading_are_not_its_title(tmp_path: Path, line: str, title: str) -> None:
    found = blocks(tmp_path, f"{line}\n\ntext\n", types.MARKDOWN)
    assert [block.text for block in found] == [*filter(None, [title]), "text"]


@pytest.mark.parametrize("rule", [" " * LONG + "|x", "| " + "-" * LONG + "x", "|" + " :- |" * (LONG // 5) + "x"])
def test_a_table_whose_rule_is_none(tmp_path: Path, rule: str) -> None:
    assert "x" in blocks(tmp_path, f"a | b\n{rule}\n", types.MARKDOWN)[-1].text


@pytest.mark.parametrize("word", ["x", "2026 ", "From "])
def test_a_line_of_a_mailbox_that_begins_like_a_postmark(tmp_path: Path, word: str) -> None:
    line = "From " + word * (LONG // len(word))
    box = f"From a@example.com Mon Nov 23 10:00:00 2026\nFrom: a\nSubject: s\n\n{line}.\n"
    assert [block.text[:5] for block in blocks(tmp_path, box, types.MBOX)][:2] == ["s", "From:"]
    (tmp_path / "file").write_text(f"{line}.\nFrom: a\nTo: b\n\ntext", encoding="utf-8")
    assert detect(tmp_path / "file", "a.txt") == types.PLAIN


def test_a_boundary_of_megabytes(tmp_path: Path) -> None:
    """It cost a gigabyte."""
    mail = b"Subject: s\nContent-Type: multipart/mixed; boundary=" + b"\xcc\x81" * 2_000_000 + b"\n\n--x\n\ntext\n"
    assert blocks(tmp_path, mail, types.EML)[0].text == "s"


def test_a_pdf_that_claims_more_pages_than_it_has(tmp_path: Path) -> None:
    """Each page that was not there was looked for among all others."""
    content = b"BT /F 12 Tf 72 700 Td (Water runs.) Tj ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 60000/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%b\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, each) for number, each in enumerate(objects, start=1))
    found = blocks(tmp_path, b"%PDF-1.4\n" + body + b"trailer\n<</Size 6/Root 1 0 R>>\n%%EOF\n", types.PDF)
    assert [(block.text, block.page) for block in found] == [("Water runs.", 1)]
