"""Every file of the corpora gives Blocks or a FileError; words are counted against independent readings."""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pypdfium2 as pdfium  # pyright: ignore[reportMissingTypeStubs] - it has none
import pytest

from penstock.chunking.document import Block
from penstock.errors import FileError
from penstock.parsing.formats import READABLE, read
from penstock.parsing.media_type import DOCX, PDF, PPTX, XLSX, detect

CORPORA = Path(__file__).resolve().parents[2] / "../shared/corpora"
SECONDS_PER_FILE = 60
MIB_PER_FILE = 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not at ../shared/corpora"),
]


@dataclass(frozen=True)
class Outcome:
    path: str
    media_type: str | None
    blocks: int
    code: str
    seconds: float
    problem: str = ""


def report(line: str) -> None:
    """Figures for whoever runs this with `-s`."""
    sys.stdout.write(f"\n{line}")


def read_one(path: str) -> Outcome:
    """Runs in a child process: native libraries may die of these files."""
    start, media_type, count, code, problem = time.monotonic(), None, 0, "ok", ""
    try:
        media_type = detect(Path(path), Path(path).name)
        for block in read(Path(path), media_type):
            count += 1
            problem = problem or flaw(block)
    except FileError as error:
        code = error.code
        problem = problem or ("" if error.message.endswith((".", ")")) else f"not a sentence: {error.message}")
    except Exception as error:  # noqa: BLE001 - any other exception is what this test looks for
        problem = f"{type(error).__name__}: {error}"
    return Outcome(path, media_type, count, code, time.monotonic() - start, problem)


def flaw(block: Block) -> str:
    if not block.text or block.text != block.text.strip():
        return f"empty or not stripped: {block!r}"
    if "\0" in block.text or any(unicodedata.category(each) == "Cs" for each in block.text):
        return f"NUL or surrogate: {block!r}"
    return ""


def files(*folders: str) -> list[str]:
    return [str(path) for folder in folders for path in sorted((CORPORA / folder).rglob("*")) if path.is_file()]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """What became of each file. A child that dies breaks the pool, and so the test."""
    paths = files("formats", "hostile", "filings", "docs")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = [pool.submit(read_one, path) for path in paths]
        found = [future.result(SECONDS_PER_FILE) for future in pending]
    return {str(Path(each.path).relative_to(CORPORA)): each for each in found}


def test_every_file_gives_blocks_or_a_file_error(outcomes: dict[str, Outcome]) -> None:
    counts = Counter(outcome.code for outcome in outcomes.values())
    report(f"{len(outcomes)} files: {dict(counts)}")
    assert not [outcome for outcome in outcomes.values() if outcome.problem]
    assert counts["ok"] > 0.75 * len(outcomes)


def test_no_file_takes_long(outcomes: dict[str, Outcome]) -> None:
    assert not [outcome for outcome in outcomes.values() if outcome.seconds > 20]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("hostile/bomb/poi__poc-xmlbomb.xlsx", "corrupt_file"),
        ("hostile/bomb/tika__droste.zip", "unsupported_format"),
        ("hostile/derived/bomb_docx.docx", "too_large"),
        ("hostile/derived/deep_200k_divs.html", "ok"),
        ("hostile/derived/pdf_content_named.eml", "ok"),
        ("hostile/derived/png_content_named.pdf", "unsupported_format"),
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
def test_hostile_files_fail_for_the_right_reason(outcomes: dict[str, Outcome], path: str, code: str) -> None:
    assert outcomes[path].code == code


def test_nothing_is_written_outside(outcomes: dict[str, Outcome]) -> None:
    assert outcomes
    assert not Path("/tmp/pwned_by_zip_slip.txt").exists()
    assert not Path("/abs/path.txt").exists()


def test_external_entities_are_not_read() -> None:
    path = CORPORA / "hostile/xxe/poi__ExternalEntityInText.docx"
    assert "root:" not in text_of(path)


# ---- words, counted against another reading of the same file ----


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def blocks_of(path: Path) -> list[Block]:
    return list(read(path, detect(path, path.name)))


def text_of(path: Path) -> str:
    return "\n".join(block.text for block in blocks_of(path))


@dataclass
class Recall:
    """Words found of words expected, over many files."""

    found: int = 0
    expected: int = 0

    def add(self, text: str, truth: str) -> float:
        have, want = words(text), words(truth)
        found, expected = (have & want).total(), want.total()
        self.found += found
        self.expected += expected
        return found / expected if expected else 1.0

    @property
    def share(self) -> float:
        return self.found / self.expected


def readable(outcomes: dict[str, Outcome], media_type: str) -> Iterator[tuple[str, Path]]:
    for name, outcome in outcomes.items():
        if outcome.media_type == media_type and outcome.code == "ok":
            yield name, CORPORA / name


PARAGRAPH_TEXT = {"t": None, "tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
LEFT_OUT = frozenset({"Fallback", "moveFrom", "del", "pPr", "rPr"})


def xml_text(root: ET.Element) -> str:
    """The text of all `t` elements; one of two variants of the same content; nothing that was deleted."""
    pieces: list[str] = []

    def visit(element: ET.Element) -> None:
        name = element.tag.rpartition("}")[2]
        if name in LEFT_OUT:
            return
        if name == "t":
            pieces.append(element.text or "")
        elif name in ("tab", "br", "cr", "noBreakHyphen"):
            pieces.append("-" if name == "noBreakHyphen" else " ")
        for child in element:
            visit(child)
        if name in ("p", "tc", "si", "comment"):
            pieces.append(" ")

    visit(root)
    return "".join(pieces)


def parts_text(path: Path, pattern: str) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(pattern, name)]
        return " ".join(xml_text(ET.fromstring(archive.read(name))) for name in names)


def measure(named: Iterable[tuple[str, Path]], pattern: str) -> Recall:
    recall = Recall()
    for name, path in named:
        try:
            truth = parts_text(path, pattern)
        except (ET.ParseError, RecursionError):
            continue
        share = recall.add(text_of(path), truth)
        if share < 0.995:
            report(f"  {share:.3f} {name}")
    return recall


def test_docx_words(outcomes: dict[str, Outcome]) -> None:
    body = measure(readable(outcomes, DOCX), r"word/document\d*\.xml")
    every = measure(readable(outcomes, DOCX), r"word/[^/]*\.xml")
    report(f"docx: body {body.share:.4f}, all parts {every.share:.4f}")
    assert body.share >= 0.995
    assert every.share >= 0.99


def test_pptx_words(outcomes: dict[str, Outcome]) -> None:
    slides = measure(readable(outcomes, PPTX), r"ppt/slides/[^/]*\.xml")
    notes = measure(readable(outcomes, PPTX), r"ppt/(?:slides|notesSlides|diagrams/data)/?[^/]*\.xml")
    report(f"pptx: slides {slides.share:.4f}, with notes {notes.share:.4f}")
    assert slides.share >= 0.995
    assert notes.share >= 0.99


def test_xlsx_words(outcomes: dict[str, Outcome]) -> None:
    recall = Recall()
    for name, path in readable(outcomes, XLSX):
        share = recall.add(text_of(path), sheet_strings(path))
        if share < 0.99:
            report(f"  {share:.3f} {name}")
    report(f"xlsx: {recall.share:.4f}")
    assert recall.share >= 0.99


def sheet_strings(path: Path) -> str:
    """The strings that cells show, by their cells, and the integers."""
    found: list[str] = []
    with zipfile.ZipFile(path) as archive:
        names = {name.lower(): name for name in archive.namelist()}
        shared: list[str] = []
        if "xl/sharedstrings.xml" in names:
            root = ET.fromstring(archive.read(names["xl/sharedstrings.xml"]))
            shared = [cell_text(item) for item in root]
        for lower, name in names.items():
            if re.fullmatch(r"xl/worksheets/[^/]*\.xml", lower):
                root = ET.fromstring(archive.read(name))
                for cell in (each for each in root.iter() if each.tag.rpartition("}")[2] == "c"):
                    value = next((each.text or "" for each in cell if each.tag.endswith("}v")), "")
                    if cell.get("t") == "s":
                        found.append(shared[int(value)])
                    elif cell.get("t") == "inlineStr":
                        found.append(cell_text(cell))
                    elif cell.get("t") == "str" or (value.isdecimal() and not cell.get("s")):
                        found.append(value)
    return " ".join(found)


def cell_text(item: ET.Element) -> str:
    phonetic = {id(each) for guide in item.iter() if guide.tag.endswith("}rPh") for each in guide.iter()}
    return "".join(each.text or "" for each in item.iter() if each.tag.endswith("}t") and id(each) not in phonetic)


def test_pdf_words_page_by_page(outcomes: dict[str, Outcome]) -> None:
    recall, pages = Recall(), 0
    for name, path in readable(outcomes, PDF):
        blocks = blocks_of(path)
        for number, raw in enumerate(raw_pages(path), start=1):
            share = recall.add("\n".join(block.text for block in blocks if block.page == number), raw)
            pages += 1
            if share < 0.999:
                report(f"  {share:.3f} {name} page {number}")
    report(f"pdf: {recall.share:.5f} of {recall.expected} words on {pages} pages")
    assert recall.share >= 0.999


def raw_pages(path: Path) -> Iterator[str]:
    document = pdfium.PdfDocument(path)
    for number in range(len(document)):
        try:
            page = document[number]
        except pdfium.PdfiumError:
            yield ""
            continue
        text_page = page.get_textpage()
        # PDFium marks a hyphen at a line's end with U+FFFE and leaves the line break out.
        yield text_page.get_text_range(errors="replace").replace("\ufffe", "")
        text_page.close()
        page.close()
    document.close()


VECTORS = CORPORA / "oracles/markitdown_vectors.jsonl"


MARKDOWN_SYNTAX = {"# Email Message", "## Content", "```python", "](https://en.wikipedia.org/wiki/Microsoft"}
"""What the other program adds to the text, or says of it in its own way."""


def squeezed(text: str) -> str:
    """Without Markdown's marks and white space: the text is compared, not its syntax."""
    return " ".join(re.sub(r"[#*_|\\`>!\[\]-]+", " ", text).split())


def plain_vector(text: str) -> str:
    return squeezed(re.sub(r"(?<=\])\([^)]*\)", "", text))


@pytest.mark.parametrize(
    "vector", [json.loads(line) for line in VECTORS.read_text().splitlines()] if VECTORS.exists() else []
)
def test_oracle_strings(vector: dict[str, Any]) -> None:
    path = CORPORA / vector["file"]
    if detect_or_none(path) not in READABLE:
        pytest.skip("not a readable format")
    text = squeezed(text_of(path))
    wanted = [each for each in vector["must_include"] if "base64" not in each and each not in MARKDOWN_SYNTAX]
    assert [each for each in wanted if plain_vector(each) not in text] == []
    unwanted = [each for each in vector["must_not_include"] if not each.startswith("![")]
    assert [each for each in unwanted if squeezed(each) in text] == []


def detect_or_none(path: Path) -> str | None:
    try:
        return detect(path, path.name)
    except FileError:
        return None
