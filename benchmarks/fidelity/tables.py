"""Figures as tables: `docs/fidelity.md`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fidelity.figures import Figures, Measured
from fidelity.measures import Count, is_miss
from fidelity.misses import Explanation, explanation_of

_LEAD = """\
# Fidelity: how much of a file's text is kept

Made by `make fidelity`; held by `tests/integration/test_fidelity.py`. The files are third-party test files of
Apache POI, Docling, markitdown, unstructured, Tika and qpdf, and three company filings. A *word* is a run of letters
and digits; case, width and ligatures do not matter. *Recall* is the share of the words of an independent reading that
our text has: what is missing was lost. *Precision* is the share of our words that the independent reading has: the
rest was made up, or said twice. Each word counts as often as it occurs.
"""
_BY_FORMAT = """

Where no precision is promised, the other reading leaves out by design what we keep: names of sheets, notes, formatted
numbers, keys. Totals are over all files but those whose explanation says that the other reading is wrong.
"""
_MISSES = """\
A file, or a page of a PDF, below what is promised of its format. A new one without a reason fails the tests.

"""
_CHUNKS = """\
{files} files, hostile ones among them, went through the parser pool: {done} are complete, with {chunks:,} chunks.

- For every chunk the extracted text cut at `char_span` is the chunk's text, and all chunks together are all of the text
  but for white space between them, each character once. Files where that is not so: {flawed}.
- The {paged:,} chunks of PDF files name their pages. Chunks with a word that PDFium does not find there: {wrong}.
"""
_ORACLES = """\
markitdown's test strings: of {wanted} that must be there {found} are, of those that must not be there {unwanted}.

Docling's Markdown of whole files, which is another parser's output and no truth: the share of its words that we have.

"""


def page(figures: Figures, explained: Sequence[Explanation]) -> str:
    sections = (
        _LEAD,
        "## Words, by format\n\n" + _by_format(figures.measured) + _BY_FORMAT,
        "## Misses, each explained\n\n" + _MISSES + _misses(figures.measured, explained),
        "## Chunks\n\n" + _chunks(figures),
        "## What other projects say of these files\n\n" + _oracles(figures),
    )
    return "\n".join(section.rstrip() + "\n" for section in sections)


def _by_format(measured: Iterable[Measured]) -> str:
    rows = [_format_row(each) for each in measured]
    head = ("format", "against", "files", "words", "recall", "promised", "precision", "promised", "misses")
    return table(head, rows)


def _format_row(measured: Measured) -> tuple[str, ...]:
    measure, total = measured.measure, measured.total
    files = len({count.file for count in measured.counts})
    recall = (f"{total.recall:.4f}", _limit(measure.recall))
    precision = (f"{total.precision:.4f}", _limit(measure.precision))
    return (measure.name, measure.by, str(files), f"{total.expected:,}", *recall, *precision, str(len(measured.misses)))


def _limit(limit: float | None) -> str:
    return f"≥ {limit:g}" if limit is not None else ""


def _misses(measured: Iterable[Measured], explained: Sequence[Explanation]) -> str:
    rows = [_miss(each, count, explained) for each in measured for count in each.counts if is_miss(each.measure, count)]
    return table(("format", "file", "recall", "precision", "why"), rows)


def _miss(measured: Measured, count: Count, explained: Sequence[Explanation]) -> tuple[str, ...]:
    found = explanation_of(measured.measure, count, explained)
    where = count.file.removeprefix("formats/") + (f", page {count.page}" if count.page else "")
    reason = (
        found.reason if found else f"**not explained**: lost {', '.join(count.lost)}; added {', '.join(count.added)}"
    )
    return (measured.measure.name, where, f"{count.tally.recall:.3f}", f"{count.tally.precision:.3f}", reason)


def _chunks(figures: Figures) -> str:
    chunked = figures.chunked
    return _CHUNKS.format(
        files=len(chunked),
        done=sum(each.code == "ok" for each in chunked),
        chunks=sum(len(each.chunks) for each in chunked),
        flawed=sum(bool(each.flaws) for each in chunked),
        paged=figures.chunks_with_pages,
        wrong=figures.chunks_on_wrong_pages,
    )


def _oracles(figures: Figures) -> str:
    strings = _ORACLES.format(
        wanted=figures.strings_wanted, found=figures.strings_found, unwanted=figures.strings_unwanted
    )
    by_format: dict[str, list[Count]] = defaultdict(list)
    for count in figures.docling:
        by_format[count.file.split("/")[2]].append(count)
    head = ("format", "files", "words", "recall", "lowest", "missing there")
    return strings + table(head, [_docling_row(*item) for item in sorted(by_format.items())])


def _docling_row(name: str, counts: list[Count]) -> tuple[str, ...]:
    common, expected = sum(each.tally.common for each in counts), sum(each.tally.expected for each in counts)
    lowest = min(counts, key=lambda each: each.tally.recall)
    missing = ", ".join(lowest.lost[:5]) if lowest.tally.recall < 0.98 else ""
    recall = common / expected if expected else 1.0
    return (name, str(len(counts)), f"{expected:,}", f"{recall:.4f}", f"{lowest.tally.recall:.3f}", missing)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines([head, ["---"] * len(head), *rows]))


def _lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    return ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
