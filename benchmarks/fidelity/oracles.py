"""What two other projects say of these files: markitdown's test strings, and Docling's Markdown of whole files.

Both are of MIT licence. The strings are what a person chose; the Markdown is what another parser made, no truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from folders import CORPORA

from fidelity.corpus import Reading
from fidelity.measures import Count
from fidelity.words import Tally, added, lost

VECTORS = CORPORA / "oracles/markitdown_vectors.jsonl"
GROUND_TRUTH = CORPORA / "oracles/docling_groundtruth.jsonl"

_MARKITDOWN_ONLY = frozenset({"# Email Message", "## Content", "```python"})
"""What markitdown adds to the text."""
_SYNTAX = re.compile(r"[#*_|\\`>!\[\]-]+")
_TARGET = re.compile(r"(?<=\])\([^)]*\)|\]\([^)]*$")
"""Of a link, perhaps cut."""
_DOCLING_MARKS = re.compile(r"<!--.*?-->|&(?:amp|lt|gt);|\$+|\\_", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Vector:
    """A file with strings that its text must and must not have."""

    file: str
    must: tuple[str, ...]
    must_not: tuple[str, ...]

    def missing(self, text: str) -> list[str]:
        shown = _squeezed(text)
        return [each for each in self.must if _squeezed(_TARGET.sub("", each)) not in shown]

    def unwanted(self, text: str) -> list[str]:
        shown = _squeezed(text)
        return [each for each in self.must_not if _squeezed(each) in shown]


def vectors() -> list[Vector]:
    return [_vector(line) for line in _lines(VECTORS)]


def _vector(line: Mapping[str, Any]) -> Vector:
    """Pictures are no text: what stands for their bytes is left out."""
    must = (each for each in line["must_include"] if "base64" not in each and each not in _MARKITDOWN_ONLY)
    must_not = (each for each in line["must_not_include"] if not each.startswith("!["))
    return Vector(line["file"], tuple(must), tuple(must_not))


def docling_counts(readings: Mapping[str, Reading]) -> Iterator[Count]:
    """Our words beside those of Docling's Markdown, for each file that we read."""
    for line in _lines(GROUND_TRUTH):
        reading = readings.get(line["file"])
        if reading is None or reading.code != "ok":
            continue
        expected = _DOCLING_MARKS.sub(" ", (CORPORA / line["groundtruth_md"]).read_text(encoding="utf-8"))
        given = reading.text
        yield Count(
            reading.name, None, Tally.of(given, expected), tuple(lost(given, expected)), tuple(added(given, expected))
        )


def _lines(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _squeezed(text: str) -> str:
    """Without Markdown's marks and white space: the text is compared, not its syntax."""
    return " ".join(_SYNTAX.sub(" ", text).split())
