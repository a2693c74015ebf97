"""Every file of the corpora gives Blocks or the right FileError, and soon; test_fidelity.py counts the words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from fidelity.corpus import Reading, corpus_files, read_files
from folders import CORPORA

from penstock.chunking.document import Block

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not at ../shared/corpora"),
]


def flaw(block: Block) -> str:
    if not block.text or block.text != block.text.strip():
        return f"empty or not stripped: {block!r}"
    if "\0" in block.text or any(unicodedata.category(each) == "Cs" for each in block.text):
        return f"NUL or surrogate: {block!r}"
    return ""


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    """What became of each file. A child that dies breaks the pool, and so the test."""
    return read_files(corpus_files("formats", "hostile", "filings", "docs"))


def test_every_file_gives_blocks_or_a_file_error(readings: dict[str, Reading]) -> None:
    codes = Counter(reading.code for reading in readings.values())
    assert [(each.name, each.problem) for each in readings.values() if each.problem] == []
    assert codes["ok"] > 0.75 * len(readings)


def test_no_block_is_empty_or_cannot_be_stored(readings: dict[str, Reading]) -> None:
    assert [found for each in readings.values() for block in each.blocks if (found := flaw(block))] == []


def test_no_file_takes_long(readings: dict[str, Reading]) -> None:
    assert [each.name for each in readings.values() if each.seconds > 20] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("hostile/bomb/poi__poc-xmlbomb.xlsx", "corrupt_file"),
        ("hostile/bomb/tika__droste.zip", "unsupported_format"),
        ("hostile/derived/bomb_docx.docx", "too_large"),
        ("hostile/derived/deep_200k_divs.html", "ok"),
        ("hostile/derived/pdf_content_named.eml", "ok"),
        ("hostile/derived/png_content_named.pdf", "no_text"),
        ("hostile/derived/empty.docx", "no_text"),
        ("hostile/derived/docx_trunc50.docx", "corrupt_file"),
        ("hostile/derived/pdf_trunc50.pdf", "corrupt_file"),
        ("hostile/derived/nul4k.csv", "unsupported_format"),
        ("hostile/encrypted/poi__bug53475-password-is-pass.docx", "password_protected"),
        ("hostile/encrypted/poi__xor-encryption-abc.xls", "password_protected"),
        ("hostile/encrypted/tika__testEXCEL_protected_passtika.xls", "password_protected"),
        ("hostile/encrypted/qpdf__c-r6-in.pdf", "password_protected"),
        ("hostile/encrypted/qpdf__enc-R3,V2.pdf", "ok"),
        ("hostile/recursive/unstructured__group-shapes-nested.pptx", "ok"),
        ("hostile/wrong_ext/poi__word2.doc", "unsupported_format"),
        ("hostile/xxe/poi__ExternalEntityInText.docx", "ok"),
    ],
)
def test_hostile_files_fail_for_the_right_reason(readings: dict[str, Reading], path: str, code: str) -> None:
    assert readings[path].code == code


def test_nothing_is_written_outside(readings: dict[str, Reading]) -> None:
    assert readings
    assert not Path("/tmp/pwned_by_zip_slip.txt").exists()
    assert not Path("/abs/path.txt").exists()


def test_external_entities_are_not_read(readings: dict[str, Reading]) -> None:
    assert "root:" not in readings["hostile/xxe/poi__ExternalEntityInText.docx"].text
