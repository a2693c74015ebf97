"""What is measured: which files, against whose reading, down to where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from fidelity import office_truth, page_truth, program_truth, sheet_truth, text_truth
from fidelity.corpus import Reading, of_type
from fidelity.foreign_truth import foreign_text
from fidelity.words import Tally, added, lost, without_hyphens
from penstock.parsing import media_type as types

Truth = Callable[[Path], Mapping[int | None, str] | str | None]
"""The text of a file, or of each of its pages; None where the other program does not read the file."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Our text of some formats beside an independent reading of the same files."""

    name: str
    media_types: tuple[str, ...]
    by: str
    """Whose reading it is, for the table."""
    truth: Truth
    recall: float
    """At least, over all files; a file (or page) below is a miss that has to be explained."""
    precision: float | None = None
    """At least, likewise; None where the truth is but a part of the file."""
    letters: bool = False
    """Whether each letter counts as a word, and files without any do not count."""
    hyphens: bool = True
    """Whether hyphens part words."""
    program: Sequence[str] = ()
    """The program that has to be installed."""


@dataclass(frozen=True, slots=True)
class Count:
    """One file, or one page of it."""

    file: str
    page: int | None
    tally: Tally
    lost: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


MEASURES = (
    Measure("docx body", (types.DOCX,), "XML of the body", office_truth.parts_reader(office_truth.WORD_BODY), 0.995),
    Measure(
        "docx all parts", (types.DOCX,), "XML of all parts",
        office_truth.parts_reader(office_truth.WORD_PARTS), 0.98, 0.95,
    ),
    Measure("docx formulas", (types.DOCX,), "XML of the body", office_truth.formula_letters, 0.99, letters=True),
    Measure("pptx slides", (types.PPTX,), "XML of the slides", office_truth.parts_reader(office_truth.SLIDES), 0.995),
    Measure(
        "pptx all parts", (types.PPTX,), "XML of all parts",
        office_truth.parts_reader(office_truth.SLIDE_PARTS), 0.98, 0.95,
    ),
    Measure("xlsx", (types.XLSX,), "XML of the sheets", sheet_truth.cell_values, 0.99),
    Measure("pdf pages", (types.PDF,), "PDFium's text of the page", page_truth.page_texts, 0.999, 0.999, hyphens=False),
    Measure(
        "doc", (types.DOC,), "antiword", program_truth.program_reader(program_truth.ANTIWORD), 0.97, 0.9,
        program=program_truth.ANTIWORD,
    ),
    Measure(
        "xls", (types.XLS,), "xls2csv", program_truth.program_reader(program_truth.XLS2CSV), 0.97,
        program=program_truth.XLS2CSV,
    ),
    Measure(
        "ppt", (types.PPT,), "catppt", program_truth.program_reader(program_truth.CATPPT), 0.97,
        program=program_truth.CATPPT,
    ),
    Measure(
        "rtf", (types.RTF,), "catdoc", program_truth.program_reader(program_truth.CATDOC), 0.99, 0.95,
        program=program_truth.CATDOC,
    ),
    Measure("odt, ods, odp", (types.ODT, types.ODS, types.ODP), "XML of the content", text_truth.odf_text, 0.99, 0.98),
    Measure("html", (types.HTML,), "html.parser", text_truth.page_text, 0.99, 0.98),
    Measure("html with menus", (types.HTML,), "html.parser", text_truth.page_text_with_menus, 0.95),
    Measure("epub", (types.EPUB,), "html.parser over the spine", text_truth.epub_text, 0.99, 0.95),
    Measure("xml", (types.XML,), "ElementTree", text_truth.xml_text, 0.99, 0.98),
    Measure("eml", (types.EML,), "email.policy.default", text_truth.mail_text, 0.99, 0.9),
    Measure("msg", (types.MSG,), "kreuzberg", foreign_text, 0.96),
    Measure("csv, tsv", (types.CSV, types.TSV), "csv.reader", text_truth.delimited_text, 0.999, 0.999),
    Measure("json, jsonl", (types.JSON, types.JSON_LINES), "json.loads, values", text_truth.json_text, 0.999),
    Measure("ipynb", (types.NOTEBOOK,), "json.loads, cells", text_truth.notebook_text, 0.999, 0.999),
    Measure(
        "md, rst, org, tex, adoc, txt",
        (types.MARKDOWN, types.RST, types.ORG, types.LATEX, types.ASCIIDOC, types.PLAIN),
        "the file itself", text_truth.plain_text, 0.99, 0.999,
    ),
)  # fmt: skip


def counts(measure: Measure, readings: Mapping[str, Reading]) -> list[Count]:
    """Each file, or page, that both sides could read."""
    return [count for reading in of_type(readings, *measure.media_types) for count in _counts(measure, reading)]


def _counts(measure: Measure, reading: Reading) -> Iterator[Count]:
    for page, expected in expected_texts(measure, reading).items():
        given = reading.text if page is None else reading.page_text(page)
        given = " ".join(given) if measure.letters else given
        given = given if measure.hyphens else without_hyphens(given)
        yield _count(reading.name, page, given, expected if measure.hyphens else without_hyphens(expected))


def _count(file: str, page: int | None, given: str, expected: str) -> Count:
    return Count(file, page, Tally.of(given, expected), tuple(lost(given, expected)), tuple(added(given, expected)))


def expected_texts(measure: Measure, reading: Reading) -> Mapping[int | None, str]:
    """What the other side reads of the file, by page where it tells them apart; nothing where it cannot read it."""
    try:
        truth = measure.truth(reading.path)
    except (ET.ParseError, RecursionError):
        return {}
    if truth is None or (measure.letters and not truth):
        return {}
    return truth if isinstance(truth, Mapping) else {None: truth}


def is_miss(measure: Measure, count: Count) -> bool:
    """Whether a file or page is below what is promised of all."""
    too_little = count.tally.recall < measure.recall
    return too_little or (measure.precision is not None and count.tally.precision < measure.precision)
