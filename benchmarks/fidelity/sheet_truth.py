"""Excel workbooks: what their cells hold, by the XML of their sheets."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from fidelity.office_truth import local

_SHEET = re.compile(r"xl/worksheets/[^/]*\.xml")


def cell_values(path: Path) -> str:
    """Strings, booleans, errors, and numbers without a format: what a cell shows exactly as it is stored."""
    with zipfile.ZipFile(path) as archive:
        names = {name.lower(): name for name in archive.namelist()}
        strings = _shared_strings(archive, names)
        sheets = (archive.read(name) for lower, name in names.items() if _SHEET.fullmatch(lower))
        return " ".join(value for sheet in sheets for value in _values(ET.fromstring(sheet), strings))


def _shared_strings(archive: zipfile.ZipFile, names: dict[str, str]) -> list[str]:
    if "xl/sharedstrings.xml" not in names:
        return []
    root = ET.fromstring(archive.read(names["xl/sharedstrings.xml"]))
    return [_string(item) for item in root if local(item) == "si"]


def _values(sheet: ET.Element, strings: list[str]) -> Iterator[str]:
    for cell in (each for each in sheet.iter() if local(each) == "c"):
        value = next((each.text or "" for each in cell if local(each) == "v"), "")
        kind = cell.get("t", "n")
        if kind == "s" and value:
            yield strings[int(value)]
        elif kind == "inlineStr":
            yield _string(cell)
        elif kind == "b" and value:
            yield "TRUE" if value == "1" else "FALSE"
        elif kind in ("str", "e") or (kind == "n" and value.lstrip("-").isdecimal() and cell.get("s", "0") == "0"):
            yield value


def _string(item: ET.Element) -> str:
    """Without the phonetic guides, which say it again in another script."""
    phonetic = {id(each) for guide in item.iter() if local(guide) == "rPh" for each in guide.iter()}
    return "".join(each.text or "" for each in item.iter() if local(each) == "t" and id(each) not in phonetic)
