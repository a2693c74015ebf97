"""Real sentences in many languages, in what files of those languages are written in, in every text format."""

# ruff: noqa: RUF001 - letters and signs that look like ASCII are what this is about

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from languages import CODE_PAGES, SENTENCES, UNICODE, encodable

from penstock.parsing import encoding as encodings
from penstock.parsing.encoding import believed, charset, code_page, declared_encoding, decoded, find_encoding, lines
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect

Write = Callable[[str, str], bytes]
"""A file that holds a text in an encoding."""


def plain(text: str, encoding: str) -> bytes:
    return f"{text}\n".encode(encoding)


def markdown(text: str, encoding: str) -> bytes:
    return f"# 1\n\n{text}\n\n- a\n".encode(encoding)


def csv(text: str, encoding: str) -> bytes:
    return f'id,text\n1,"{text}"\n2,x\n'.encode(encoding)


def tsv(text: str, encoding: str) -> bytes:
    return f"id\ttext\n1\t{text}\n2\tx\n".encode(encoding)


def json_text(text: str, encoding: str) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False).encode(encoding)


def json_lines(text: str, encoding: str) -> bytes:
    return "".join(json.dumps({"text": each}, ensure_ascii=False) + "\n" for each in (text, "x")).encode(encoding)


def html_undeclared(text: str, encoding: str) -> bytes:
    return f"<html><body><p>{text}</p></body></html>".encode(encoding)


def html(text: str, encoding: str) -> bytes:
    return f'<html><head><meta charset="{encoding}"></head><body><p>{text}</p></body></html>'.encode(encoding)


def old_html(text: str, encoding: str) -> bytes:
    declared = f'<meta http-equiv="Content-Type" content="text/html; charset={encoding}">'
    return f"<html><head>{declared}</head><body><p>{text}</p></body></html>".encode(encoding)


def xml(text: str, encoding: str) -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n<a><b>{text}</b></a>'.encode(encoding)


def latex(text: str, encoding: str) -> bytes:
    return f"\\documentclass{{article}}\n\\begin{{document}}\n{text}\n\\end{{document}}\n".encode(encoding)


def org(text: str, encoding: str) -> bytes:
    return f"# -*- coding: {encoding} -*-\n* 1\n{text}\n".encode(encoding)


def rst(text: str, encoding: str) -> bytes:
    return f"1\n=\n\n{text}\n".encode(encoding)


def mail(text: str, encoding: str) -> bytes:
    subject = base64.b64encode(text[:20].encode(encoding)).decode()
    head = f"From: a@example.com\nTo: b@example.com\nSubject: =?{encoding}?b?{subject}?=\n"
    return f"{head}Content-Type: text/plain; charset={encoding}\n\n".encode() + f"{text}\n".encode(encoding)


def packed_mail(text: str, encoding: str) -> bytes:
    head = f"From: a@example.com\nTo: b@example.com\nContent-Type: text/plain; charset={encoding}\n"
    return f"{head}Content-Transfer-Encoding: base64\n\n".encode() + base64.encodebytes(text.encode(encoding))


def mailbox(text: str, encoding: str) -> bytes:
    message = mail(text, encoding)
    return b"".join(b"From a@example.com Mon Nov 23 10:00:00 2026\n" + each + b"\n" for each in (message, message))


def rtf(text: str, encoding: str) -> bytes:
    """As Word writes it: the code page at the start, each byte beyond ASCII as `\\'xx`."""
    head = f"\\rtf1\\ansi\\ansicpg{encoding[2:]}\\deff0{{\\fonttbl{{\\f0 Arial;}}}}"
    return f"{{{head}\\pard {escaped(text, encoding)}\\par}}".encode()


def escaped(text: str, encoding: str) -> str:
    return "".join(
        f"\\'{byte:02x}" if byte > 127 else f"\\{chr(byte)}" if chr(byte) in "\\{}" else chr(byte)
        for byte in text.encode(encoding)
    )


def rtf_by_font(text: str, encoding: str) -> bytes:
    """As WordPad writes it: the character set with each font, and here none for the document."""
    sets = {
        1252: 0, 932: 128, 949: 129, 936: 134, 950: 136, 1253: 161, 1254: 162, 1255: 177, 1256: 178, 1257: 186,
        1251: 204, 874: 222, 1250: 238,
    }  # fmt: skip
    fonts = f"{{\\fonttbl{{\\f0\\fcharset0 A;}}{{\\f1\\fcharset{sets[int(encoding[2:])]} B;}}}}"
    return f"{{\\rtf1\\ansi\\deff0{fonts}\\pard\\plain\\f1 {escaped(text, encoding)}\\par}}".encode()


def rtf_in_unicode(text: str, encoding: str) -> bytes:
    del encoding
    units = memoryview(text.encode("utf-16-le")).cast("H")
    units_escaped = "".join(
        chr(unit) if unit < 128 else f"\\u{unit - 65536 if unit > 32767 else unit}?" for unit in units
    )
    return f"{{\\rtf1\\ansi\\uc1 {units_escaped}\\par}}".encode()


def one_line(text: str) -> str:
    return " ".join(text.split())


def is_read(path: Path, name: str, content: bytes, text: str) -> bool:
    """Whether the text comes back letter by letter, as the product would read a file of this name."""
    path.write_bytes(content)
    found = " ".join(block.text for block in read(path, detect(path, name)))
    return one_line(text) in one_line(found)


def written_in(code_pages: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    """Language, encoding, text."""
    for language, names in code_pages.items():
        for name in names:
            yield language, name, encodable(SENTENCES[language], name)


def missed(path: Path, name: str, write: Write, cases: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    return [
        (language, encoding)
        for language, encoding, text in cases
        if not is_read(path, name, write(text, encoding), text)
    ]


UNDECLARED: list[tuple[str, Write]] = [
    ("a.txt", plain), ("a.md", markdown), ("a.csv", csv), ("a.tsv", tsv), ("a.json", json_text),
    ("a.jsonl", json_lines), ("a.html", html_undeclared), ("a.tex", latex), ("a.rst", rst),
]  # fmt: skip
DECLARED: list[tuple[str, Write]] = [
    ("a.html", html), ("old.html", old_html), ("a.xml", xml), ("a.org", org), ("a.eml", mail), ("b.eml", packed_mail),
    ("a.mbox", mailbox),
]  # fmt: skip
ASCII_BASED = {
    language: tuple(name for name in names if not name.startswith("iso2022")) for language, names in CODE_PAGES.items()
}


@pytest.mark.parametrize(("name", "write"), UNDECLARED)
def test_two_sentences_tell_their_encoding(tmp_path: Path, name: str, write: Write) -> None:
    assert missed(tmp_path / "file", name, write, written_in(CODE_PAGES)) == []


@pytest.mark.parametrize(("name", "write"), UNDECLARED)
def test_unicode_needs_no_mark(tmp_path: Path, name: str, write: Write) -> None:
    everything = dict.fromkeys(SENTENCES, UNICODE)
    assert missed(tmp_path / "file", name, write, written_in(everything)) == []


@pytest.mark.parametrize(("name", "write"), DECLARED)
def test_a_declared_encoding_is_believed(tmp_path: Path, name: str, write: Write) -> None:
    in_two_words = ((language, name, text[:24]) for language, name, text in written_in(ASCII_BASED))
    assert missed(tmp_path / "file", name, write, in_two_words) == []
    assert missed(tmp_path / "file", name, write, written_in(dict.fromkeys(SENTENCES, ("utf-8",)))) == []


@pytest.mark.parametrize("write", [rtf, rtf_by_font, rtf_in_unicode])
def test_rtf_names_its_code_pages(tmp_path: Path, write: Write) -> None:
    pages = {
        language: tuple(f"cp{number}" for number in numbers if number)
        for language, numbers in {
            **dict.fromkeys(("German", "French", "English"), (1252,)),
            **dict.fromkeys(("Polish", "Czech", "Hungarian"), (1250,)),
            "Russian": (1251,), "Greek": (1253,), "Turkish": (1254,), "Hebrew": (1255,), "Arabic": (1256,),
            "Lithuanian": (1257,), "Thai": (874,), "Japanese": (932,), "Chinese": (936,), "Taiwanese": (950,),
            "Korean": (949,),
        }.items()
    }  # fmt: skip
    assert missed(tmp_path / "file", "a.rtf", write, written_in(pages)) == []


def test_the_second_byte_of_a_character_may_be_a_plain_letter(tmp_path: Path) -> None:
    """Writers of RTF escape the first byte only, and the second is `A` or a brace as often as not."""
    text = "アルミ表示ソフト"
    assert is_read(tmp_path / "file", "a.rtf", rtf(text, "cp932"), text)


# ---- where it stops ----


def test_how_few_words_tell_their_encoding() -> None:
    """The figures of docs/encodings.md. Two sentences always do; one nearly always; four words mostly."""
    found: dict[str, tuple[int, int]] = {}
    for size, cut in {"four words": first_words, "one sentence": first_sentence, "two sentences": str}.items():
        cases = [(encodable(cut(text), name), name) for _, name, text in written_in(CODE_PAGES)]
        found[size] = sum(decoded(text.encode(name)) == text for text, name in cases), len(cases)
    sys.stdout.write(f"\n{found}")
    assert found["two sentences"][0] == found["two sentences"][1]
    assert found["one sentence"][0] >= 0.97 * found["one sentence"][1]
    assert found["four words"][0] >= 0.9 * found["four words"][1]


def first_words(text: str) -> str:
    return " ".join(text.split()[:4]) if " " in text[:20] else text[:12]


def first_sentence(text: str) -> str:
    return text.split(". ", maxsplit=1)[0].split("。", maxsplit=1)[0]


@pytest.mark.parametrize(
    "text",
    [
        "café", "Zürich", "naïve", "50 °C", "£5", "§ 12", "El Niño", "São Paulo", "Crème brûlée", "Müller & Söhne GmbH",
        "10 €", "“quoted”", "it’s", "a – b", "½ cup", "© 2024 Acme", "Straße", "1.000 m²", "déjà vu", "a × b", "Malmö",
        "Name,Ort\nMüller,Köln\n", "Réf. n° 12",
    ],
)  # fmt: skip
def test_a_single_accent_of_windows_1252_is_read(text: str) -> None:
    """Statistics take these for Thai and Greek."""
    assert decoded(text.encode("cp1252")) == text


@pytest.mark.parametrize("text", ["Łódź", "Kraków – święto", "Szczęście", "Dvořák", "Škoda Plzeň", "Čeština", "Żółw"])
@pytest.mark.parametrize("encoding", ["cp1250", "iso8859-2"])
def test_a_single_word_of_central_europe_is_read(text: str, encoding: str) -> None:
    assert decoded(encodable(text, encoding).encode(encoding)) == encodable(text, encoding)


# ---- UTF-8 with damage ----


@pytest.mark.parametrize("stray", [b"\x92", b"\xe9", b"\xff", b"\xc3", b"\xe2\x80"])
def test_a_stray_byte_spoils_nothing_but_itself(stray: bytes) -> None:
    text = "Déjà vu à Genève. "
    assert decoded(text.encode() + stray + b" end").startswith(text)
    assert decoded(text.encode() + stray + b" end").endswith(" end")


@given(
    st.sampled_from(sorted(SENTENCES)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0x80, 0xFF)), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_a_few_stray_bytes_leave_the_words_around_them(language: str, strays: list[tuple[int, int]]) -> None:
    words = [word.encode() for word in f"{SENTENCES[language]} {SENTENCES[language]}".split()]
    for at, byte in strays:
        words.insert(at % len(words), bytes([byte]))
    found = decoded(b" ".join(words)).split()
    assert [word for word in SENTENCES[language].split() if word not in found] == []


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252", "cp1251"])
def test_a_stray_zero_makes_no_text_binary(encoding: str) -> None:
    text = {"cp1251": SENTENCES["Russian"], "ascii": "Plain words. " * 20}.get(encoding, SENTENCES["German"])
    assert decoded(text.encode(encoding) + b"\0" + text.encode(encoding)) == f"{text}\0{text}"


def test_lines_of_two_encodings_are_both_read() -> None:
    text = "Größe\n".encode() + "Müller\nKöln\nStraße\n".encode("cp1252")
    assert decoded(text) == "Größe\nMüller\nKöln\nStraße\n"


# ---- long files ----


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "shift_jis", "utf-8"])
def test_the_first_accent_may_be_far_into_the_file(tmp_path: Path, encoding: str) -> None:
    text = {"cp1251": SENTENCES["Russian"], "shift_jis": SENTENCES["Japanese"]}.get(encoding, SENTENCES["German"])
    path = tmp_path / "file"
    path.write_bytes(b"plain words only\n" * 200_000 + text.encode(encoding) + b"\nplain words again\n" * 1000)
    assert text in "".join(lines(path))


def test_a_sample_may_end_inside_a_character() -> None:
    text = SENTENCES["Japanese"]
    for size in range(200, 212):
        for encoding in ("utf-8", "cp932", "euc_jp", "utf-16-le"):
            assert (
                text.encode(encoding)[:size].decode(find_encoding(text.encode(encoding)[:size]) or "", "ignore") in text
            )


# ---- what is declared ----


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("latin1", "cp1252"), (" ISO-8859-1 ", "cp1252"), ("gb2312", "gb18030"), ("SJIS", "cp932"), ("x-sjis", "cp932"),
        ("ks_c_5601-1987", "cp949"), ("iso-8859-8-i", "cp1255"), ("x-mac-roman", "mac-roman"), ("big5", "big5hkscs"),
        ("TIS-620", "cp874"), ("unicode-1-1-utf-7", "utf-7"), ("utf8", "utf-8"),
        ("nonsense", None), ("", None), ("a\0b", None), ("unknown-8bit", None),
    ],
)  # fmt: skip
def test_what_a_label_means(label: str, codec: str | None) -> None:
    assert charset(label) == codec


@pytest.mark.parametrize("label", ["idna", "punycode", "zlib", "rot13", "hex", "undefined", "unicode_escape", "mbcs"])
def test_not_every_codec_of_python_is_a_charset(label: str) -> None:
    """`punycode` takes a minute for a megabyte, `zlib` inflates without bounds."""
    assert charset(label) is None
    declared = f"<html><meta charset={label}><p>text</p></html>".encode()
    assert declared_encoding(declared) is None


@pytest.mark.parametrize(
    ("number", "codec"),
    [(1252, "cp1252"), (936, "gb18030"), (10000, "mac-roman"), (65001, "utf-8"), (28592, "iso8859-2"), (7, None)],
)
def test_what_a_code_page_means(number: int, codec: str | None) -> None:
    assert code_page(number) == codec


def test_a_declaration_that_is_not_true_is_not_believed() -> None:
    assert believed("iso-8859-1", "Größe, Maße".encode()) is None
    assert believed("utf-8", "Größe".encode("cp1252")) is None
    assert believed("us-ascii", "Größe".encode("cp1252")) is None
    page = '<html><meta charset="iso-8859-1"><p>Größe, Maße</p></html>'
    assert decoded(page.encode()) == page


@pytest.mark.parametrize(
    ("first_line", "codec"),
    [
        (b"# -*- coding: koi8-r -*-\n", "koi8-r"),
        (b"% vim: set fileencoding=latin2 :\n", "iso8859-2"),
        (b"\\documentclass{article}\n\\usepackage[latin1]{inputenc}\n", "cp1252"),
        (b"Vorsicht: coding is fun\n", None),
    ],
)
def test_what_editors_and_latex_are_told_counts(first_line: bytes, codec: str | None) -> None:
    assert declared_encoding(first_line + b"text\n") == codec


# ---- right to left, and what nobody sees ----


def test_text_from_right_to_left_stays_in_the_order_in_which_it_is_read(tmp_path: Path) -> None:
    text = f"{SENTENCES['Hebrew']} ABC 123 {SENTENCES['Arabic']}"
    for encoding in ("utf-8", "utf-16"):
        assert is_read(tmp_path / "file", "a.txt", text.encode(encoding), text)


def test_marks_of_direction_do_not_hide_words(tmp_path: Path) -> None:
    """Word processors put them beside brackets and numbers; who searches does not type them."""
    text = "\u200fשלום\u200f (\u202aPenstock\u202c) \u2067مرحبا\u2069\u200e \u061c2026"
    (tmp_path / "file").write_text(text, encoding="utf-8")
    [block] = read(tmp_path / "file", detect(tmp_path / "file", "a.txt"))
    assert block.text == "שלום (Penstock) مرحبا 2026"


def test_joiners_that_change_what_is_seen_stay(tmp_path: Path) -> None:
    """Persian parts the suffixes of a word with one, emoji are joined by the other."""
    text = "می\u200cخواهم 👩\u200d👧"
    assert is_read(tmp_path / "file", "a.txt", text.encode(), text)


@given(st.binary(max_size=400))
def test_any_bytes_have_a_text(data: bytes) -> None:
    encoding = find_encoding(data)
    assert encoding is None or charset(encoding)
    decoded(data).encode("utf-8", "replace")


def test_the_sample_of_a_long_ascii_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000_000 + b"\xe9" * 5_000_000)
    assert len(encodings.read_sample(path)) <= 2 * encodings.SAMPLE_BYTES
