"""Mail: messages, mailboxes, Outlook, and the RTF inside."""

from __future__ import annotations

import base64
import contextlib
import struct
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, FileError, NoText
from penstock.parsing import media_type as types
from penstock.parsing.formats import read
from penstock.parsing.formats.rtf import decompressed, rtf_blocks
from penstock.parsing.media_type import detect


def blocks(tmp_path: Path, content: bytes, media_type: str) -> list[Block]:
    path = tmp_path / "object"
    path.write_bytes(content)
    return list(read(path, media_type))


def texts(found: list[Block]) -> list[str]:
    return [block.text for block in found]


def message(body: str = "Hello\n\nthere", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = headers.pop("sender", "Ada <ada@example.com>")
    made["To"] = "Alan <alan@example.com>"
    made["Subject"] = headers.pop("subject", "Greetings")
    made["Date"] = "Mon, 23 Nov 2026 10:00:00 +0000"
    made.set_content(body)
    return made


def test_headers_then_body(tmp_path: Path) -> None:
    found = blocks(tmp_path, message().as_bytes(), types.EML)
    assert [(block.kind.value, block.text) for block in found] == [
        ("heading", "Greetings"),
        (
            "paragraph",
            (
                "From: Ada <ada@example.com>\nTo: Alan <alan@example.com>\nSubject: Greetings\n"
                "Date: Mon, 23 Nov 2026 10:00:00 +0000"
            ),
        ),
        ("paragraph", "Hello"),
        ("paragraph", "there"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_message_that_was_saved_in_a_wide_encoding(tmp_path: Path, encoding: str) -> None:
    saved = message("Grüße", subject="Plan").as_bytes().decode().encode(encoding)
    found = texts(blocks(tmp_path, saved, types.EML))
    assert (found[0], found[-1]) == ("Plan", "Grüße")


def test_a_plain_text_that_says_less_than_the_page_is_not_read_instead_of_it(tmp_path: Path) -> None:
    both = message("Please use a program that shows HTML.")
    both.add_alternative(f"<h2>News</h2><p>{'The dam was inspected. ' * 10}", subtype="html")
    assert texts(blocks(tmp_path, both.as_bytes(), types.EML))[2] == "News"


def test_plain_text_is_preferred_and_html_will_do(tmp_path: Path) -> None:
    both = message("plain")
    both.add_alternative("<p>html</p>", subtype="html")
    assert texts(blocks(tmp_path, both.as_bytes(), types.EML))[2:] == ["plain"]
    empty = message(" \n")
    empty.add_alternative("<h1>html</h1><p>text", subtype="html")
    assert texts(blocks(tmp_path, empty.as_bytes(), types.EML))[2:] == ["html", "text"]


def test_encoded_headers_and_code_pages(tmp_path: Path) -> None:
    raw = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\nSubject: =?iso-8859-1?B?R3L832U=?= =?utf-8?Q?_aus?=\n"
        b"Content-Type: text/plain; charset=windows-1251\nContent-Transfer-Encoding: 8bit\n\n"
    ) + "Привет".encode("cp1251")
    found = texts(blocks(tmp_path, raw, types.EML))
    assert found[0] == "Grüße aus"
    assert found[1].startswith("From: Jürgen <j@example.com>")
    assert found[2] == "Привет"


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (b"=?gb2312?B?" + base64.b64encode("關於水庫".encode("gbk")) + b"?=", "關於水庫"),
        (
            b"=?utf-8?B?"
            + base64.b64encode("水".encode()[:2])
            + b"?= =?utf-8?B?"
            + base64.b64encode("水".encode()[2:])
            + b"?=",
            "水",
        ),
        (b"=?us-ascii?Q?Gr=FC=DFe?=", "Grüße"),
        (b"=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?= aus =?iso-8859-1?Q?K=F6ln?=", "Grüße aus Köln"),
        ("水庫の水位".encode("iso2022_jp"), "水庫の水位"),
        ("水庫の水位について".encode("cp932"), "水庫の水位について"),
        ("Größe".encode("latin-1"), "Größe"),
    ],
)
def test_subjects_as_careless_programs_write_them(tmp_path: Path, subject: bytes, text: str) -> None:
    """Labels that say less than there is, words cut inside a character, bytes without any label."""
    assert texts(blocks(tmp_path, b"From: a\nTo: b\nSubject: " + subject + b"\n\nbody", types.EML))[0] == text


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a\nSubject: \xff\xfe raw\n\nbody text",
        b"From: a\nContent-Type: text/plain; charset=no-such\n\nbody text",
        b"From: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nbody text",
        b"From: a\nSubject: =?utf-8?b?!!!?=\n\nbody text",
        b"From: a\nSubject: =?no-such?q?x?=\n\nbody text",
        b"From: a\nContent-Type: text/plain; charset*0=utf-8; filename*=x'y'%ff\n\nbody text",
        b"From: a\nDate: not a date\nTo: <<<>>>,,;\nContent-Type: ;;;\n\nbody text",
    ],
)
def test_broken_messages_are_read(tmp_path: Path, raw: bytes) -> None:
    assert texts(blocks(tmp_path, raw, types.EML))[-1] == "body text"


def test_attachments_are_read_by_their_content(tmp_path: Path) -> None:
    outer = message("see attached")
    outer.add_attachment(
        b"<!doctype html><h1>Inside</h1>", maintype="application", subtype="pdf", filename="report.pdf"
    )
    outer.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="logo.png")
    found = texts(blocks(tmp_path, outer.as_bytes(), types.EML))
    assert found[2:5] == ["see attached", "Attachment: report.pdf", "Inside"]
    assert found[5] == "Attachment: logo.png"
    assert found[6].startswith("(logo.png was not read: it holds no text")


def test_a_saved_web_page_is_its_text_without_its_styles(tmp_path: Path) -> None:
    saved = (
        b"From: <Saved by Blink>\nSubject: A page\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n"
        b"--b\nContent-Type: text/html\n\n<h1>Title</h1><p>Words</p>\n--b\nContent-Type: text/css\n"
        b"Content-Location: https://example.com/a.css\n\nbody { color: red }\n--b--\n"
    )
    (tmp_path / "a.mht").write_bytes(saved)
    assert detect(tmp_path / "a.mht", "a.mht") == types.EML
    assert texts(blocks(tmp_path, saved, types.EML))[2:] == ["Title", "Words"]


def test_forwarded_messages_are_read_to_a_depth(tmp_path: Path) -> None:
    inner = message("innermost", subject="level 0")
    for level in range(1, 9):
        outer = message(f"text {level}", subject=f"level {level}")
        outer.add_attachment(inner)
        inner = outer
    found = texts(blocks(tmp_path, inner.as_bytes(), types.EML))
    assert {"text 8", "text 7", "text 4", "text 3"} <= set(found)
    assert "innermost" not in found


def test_mailboxes_are_one_message_after_the_other(tmp_path: Path) -> None:
    box = b"".join(
        f"From a@example.com Mon Nov 23 10:00:0{number} 2026\n".encode() + message(f"body {number}").as_bytes() + b"\n"
        for number in range(3)
    )
    found = [(block.text, block.page) for block in blocks(tmp_path, box, types.MBOX) if block.text.startswith("body")]
    assert found == [("body 0", 1), ("body 1", 2), ("body 2", 3)]


def test_a_message_without_words(tmp_path: Path) -> None:
    with pytest.raises(NoText):
        blocks(tmp_path, b"X-Nothing: 1\n\n", types.EML)


# ---- RTF ----


def rtf(source: str) -> list[tuple[str, str]]:
    return [
        (block.kind.value, block.text.strip()) for block in rtf_blocks(source.encode("latin-1")) if block.text.strip()
    ]


def test_rtf_paragraphs_and_destinations() -> None:
    assert rtf(
        r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\*\generator no}{\info{\title no}}{\header Head\par}"
        r"\pard\outlinelevel0 Title\par\pard One\tab two\line three\par{\b Bold}ly{\footnote Note}\par"
        r"{\field{\*\fldinst HYPERLINK}{\fldrslt link}}{\pict 0123}}"
    ) == [
        ("page_furniture", "Head"),
        ("heading", "Title"),
        ("paragraph", "One\ttwo\nthree"),
        ("paragraph", "Boldly"),
        ("page_furniture", "Note"),
        ("paragraph", "link"),
    ]


def rtf_origins(source: str) -> list[tuple[str, str]]:
    found = rtf_blocks(source.encode("latin-1"))
    return [(block.origin.value, block.text.strip()) for block in found if block.text.strip()]


def test_rtf_notes_and_hidden_text_do_not_cut_their_paragraph() -> None:
    assert rtf_origins(
        r"{\rtf1 Before{\footnote First\par second} after {\v secret}{\deleted gone} {\v x\plain end}"
        r"{\footnote\ftnalt Last}.\par{\*\annotation Why}{\header Draft\par}{\footerf One}Next\par}"
    ) == [
        ("body", "Before after  end."),
        ("footnote", "First\nsecond"),
        ("endnote", "Last"),
        ("hidden", "secretgonex"),
        ("comment", "Why"),
        ("header", "Draft"),
        ("footer", "One"),
        ("body", "Next"),
    ]


def test_rtf_alternative_texts_of_pictures() -> None:
    properties = r"{\*\picprop{\sp{\sn wzName}{\sv Picture 1}}{\sp{\sn wzDescription}{\sv A map}}}"
    source = r"{\rtf1 See {\pict" + properties + r"0123}here\par}"
    assert rtf_origins(source) == [("body", "See  A map here")]


def test_rtf_characters() -> None:
    source = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f0 Gr\'fc\'dfe \{x\}\~\emdash "
    source += r"\u8364?\uc2\u946 xx!\f1 \'cf\'f0\'e8\f0\u55357??\u56832??}"
    assert rtf(source) == [("paragraph", "Grüße {x} \u2014\u20ac\u03b2!При\U0001f600")]


def test_rtf_tables() -> None:
    assert rtf(
        r"{\rtf1\trowd\cellx1\cellx2\intbl a\par b\cell c\cell\row\trowd\intbl one\cell\cell\row\pard after}"
    ) == [
        ("table_row", "a b | c"),
        ("paragraph", "one"),
        ("paragraph", "after"),
    ]


def test_the_first_row_of_a_table_in_rtf_names_its_columns() -> None:
    row = r"\trowd\cellx1\cellx2\intbl a\cell b\cell\row"
    found = rtf_blocks((r"{\rtf1" + row + row + r"\pard between\par" + row + "}").encode())
    assert [block.names_columns for block in found if block.text] == [True, False, False, True]


def test_rtf_title_is_a_heading() -> None:
    source = r"{\rtf1{\stylesheet{\s0 Normal;}{\s5 Title;}}\pard\s5 Name\par}"
    assert rtf(source) == [("heading", "Name")]


def test_rtf_styles_make_headings() -> None:
    assert rtf(r"{\rtf1{\stylesheet{\s0 Normal;}{\s2 heading 2;}}\pard\s2 Title\par\pard text\par}") == [
        ("heading", "Title"),
        ("paragraph", "text"),
    ]


@given(st.text(alphabet="\\{}'abpuxr0123 \n*;", max_size=120))
def test_broken_rtf_is_read_or_damaged(source: str) -> None:
    with contextlib.suppress(FileError):
        list(rtf_blocks(source.encode()))


def test_compressed_rtf() -> None:
    """The example of [MS-OXRTFCP] 3.1.1.1, and its plain variant."""
    data = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af3206865 6c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )
    assert decompressed(data) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompressed(struct.pack("<II4sI", 20, 4, b"MELA", 0) + b"{\\rtf") == b"{\\rt"
    with pytest.raises(CorruptFile):
        decompressed(b"short")
    with pytest.raises(CorruptFile):
        decompressed(bytes(20))
