"""Office Open XML: the words in the parts of the package, by the standard library's XML parser."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

WORD_BODY = r"word/document\d*\.xml"
WORD_PARTS = (
    r"word/(?:document\d*|header\d*|footer\d*|footnotes|endnotes|comments)\.xml"
    r"|word/charts/chart\d*\.xml|word/diagrams/data\d*\.xml"
)
"""Not counted: the glossary (building blocks that the program offers), styles and settings."""
SLIDES = r"ppt/slides/[^/]*\.xml"
SLIDE_PARTS = (
    r"ppt/slides/[^/]*\.xml|ppt/notesSlides/[^/]*\.xml|ppt/comments/[^/]*\.xml"
    r"|ppt/charts/chart\d*\.xml|ppt/diagrams/data\d*\.xml"
)
"""Not counted: layouts and masters, which hold prompts such as "Click to add title"; `drawing` of diagrams, which
is `data` once more."""

_UNSHOWN = frozenset({"oMath", "Fallback", "moveFrom", "del", "delText", "pPr", "rPr", "instrText"})
_BLANK = frozenset({"tab", "br", "cr", "ptab"})
_ENDS_WORD = frozenset({"p", "tc", "si", "comment", "text", "pt", "v"})
_CACHED = frozenset({"strCache", "numCache", "strLit", "numLit"})
"""The values and names that a chart shows."""


_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_ALTERNATIVE = {_DRAWING: "docPr", _SLIDE: "cNvPr"}
"""Where the alternative text of a picture stands, by namespace."""


def parts_text(path: Path, pattern: str) -> str:
    """The text of the parts whose names match. Raises `ET.ParseError` for unsound XML."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(pattern, name)]
        return " ".join(_xml_text(ET.fromstring(archive.read(name))) for name in names)


def parts_reader(pattern: str) -> Callable[[Path], str]:
    return lambda path: parts_text(path, pattern)


def formula_letters(path: Path) -> str:
    """The letters of all formulas, each a word: their parts stand above and below lines, not one after the other."""
    with zipfile.ZipFile(path) as archive:
        root = ET.fromstring(archive.read("word/document.xml"))
    formulas = (each for each in root.iter() if local(each) == "oMath")
    runs = (each.text or "" for formula in formulas for each in formula.iter() if local(each) == "t")
    return " ".join(letter for run in runs for letter in run)


def _xml_text(root: ET.Element) -> str:
    return "".join(_pieces(root))


def _pieces(element: ET.Element) -> Iterator[str]:
    """The text of `t` elements and of a chart's cached values; one of two variants; nothing that was deleted."""
    name = local(element)
    if name in _UNSHOWN:
        return
    if name == "t" or (name == "text" and len(element) == 0):
        yield element.text or ""
    elif name in _CACHED:
        yield from (f" {each.text}" for each in element.iter() if local(each) == "v" and each.text)
        return
    elif name in _BLANK:
        yield " "
    elif name == "noBreakHyphen":
        yield "-"
    elif name == _ALTERNATIVE.get(element.tag[1:].partition("}")[0]) and element.get("descr"):
        yield f" {element.get('descr')} "
    for child in element:
        yield from _pieces(child)
    if name in _ENDS_WORD:
        yield " "


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
