"""All figures of one run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fidelity.chunk_truth import Chunked, chunk_files, words_elsewhere
from fidelity.corpus import GOOD, HOSTILE, Reading, corpus_files, read_files
from fidelity.measures import MEASURES, Count, Measure, counts, is_miss
from fidelity.misses import explanation_of, explanations
from fidelity.oracles import docling_counts, vectors
from fidelity.program_truth import is_installed
from fidelity.words import Tally
from penstock.embedding.chunk_recipe import recipe
from penstock.parsing.media_type import PDF
from penstock.settings import load_settings


@dataclass(frozen=True)
class Measured:
    """What one measure found."""

    measure: Measure
    counts: list[Count]

    @property
    def total(self) -> Tally:
        """Over the files whose other reading is not known to be wrong."""
        known = [each for each in explanations() if each.other_is_wrong]
        trusted = (each for each in self.counts if not explanation_of(self.measure, each, known))
        return sum((each.tally for each in trusted), Tally())

    @property
    def misses(self) -> list[Count]:
        return [each for each in self.counts if is_miss(self.measure, each)]


@dataclass
class Figures:
    measured: list[Measured] = field(default_factory=list[Measured])
    chunked: list[Chunked] = field(default_factory=list[Chunked])
    chunks_with_pages: int = 0
    chunks_on_wrong_pages: int = 0
    strings_wanted: int = 0
    strings_found: int = 0
    strings_unwanted: int = 0
    docling: list[Count] = field(default_factory=list[Count])

    def as_json(self) -> dict[str, Any]:
        """For `benchmarks/results/`: no names but those of formats."""
        return {
            "formats": {each.measure.name: _figures_of(each) for each in self.measured},
            "chunks": {
                "files": len(self.chunked),
                "complete": sum(each.code == "ok" for each in self.chunked),
                "chunks": sum(len(each.chunks) for each in self.chunked),
                "files_with_flaws": sum(bool(each.flaws) for each in self.chunked),
                "with_pages": self.chunks_with_pages,
                "on_wrong_pages": self.chunks_on_wrong_pages,
            },
            "markitdown_strings": {
                "wanted": self.strings_wanted, "found": self.strings_found, "unwanted": self.strings_unwanted,
            },
        }  # fmt: skip


def _figures_of(measured: Measured) -> dict[str, Any]:
    total = measured.total
    return {
        "against": measured.measure.by,
        "files": len({count.file for count in measured.counts}),
        "words": total.expected,
        "recall": round(total.recall, 5),
        "precision": round(total.precision, 5),
        "misses": len(measured.misses),
    }


def measure_all() -> Figures:
    """Reads the corpora and counts. Measures whose program is not installed are left out."""
    readings = read_files(corpus_files(*GOOD))
    figures = Figures()
    possible = [each for each in MEASURES if not each.program or is_installed(each.program)]
    figures.measured = [Measured(measure, counts(measure, readings)) for measure in possible]
    figures.docling = list(docling_counts(readings))
    _count_strings(figures, readings)
    _count_chunks(figures)
    return figures


def _count_strings(figures: Figures, readings: Mapping[str, Reading]) -> None:
    for vector in vectors():
        reading = readings.get(vector.file)
        if reading is not None and reading.code == "ok":
            figures.strings_wanted += len(vector.must)
            figures.strings_found += len(vector.must) - len(vector.missing(reading.text))
            figures.strings_unwanted += len(vector.unwanted(reading.text))


def _count_chunks(figures: Figures) -> None:
    figures.chunked = asyncio.run(chunk_files(corpus_files(*GOOD, *HOSTILE), recipe(load_settings())))
    for chunked in figures.chunked:
        if chunked.media_type == PDF:
            figures.chunks_with_pages += len(chunked.chunks)
            figures.chunks_on_wrong_pages += len(words_elsewhere(chunked))
