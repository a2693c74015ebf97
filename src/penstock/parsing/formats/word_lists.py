"""The numbers and letters that Word shows before list items and headings, which its text does not hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.parsing.formats.ooxml import Element, Package, attribute, child, children

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_UNNUMBERED = frozenset({"bullet", "none"})
_PLACE = re.compile(r"%([1-9])")


@dataclass(frozen=True, slots=True)
class ListLevel:
    start: int
    style: str
    pattern: str


@dataclass(frozen=True, slots=True)
class NumberedList:
    key: str
    levels: Mapping[int, ListLevel]


@dataclass
class ListLabels:
    """Counts the items of each list of a document, in the document's order."""

    lists: Mapping[str, NumberedList]
    counts: dict[str, dict[int, int]] = field(default_factory=dict[str, dict[int, int]])

    @classmethod
    def read(cls, package: Package, main: str) -> ListLabels:
        lists: dict[str, NumberedList] = {}
        for part in package.related(main, "numbering"):
            root = package.parse(part)
            patterns = {attribute(each, "abstractNumId"): each for each in children(root, "abstractNum")}
            for number in children(root, "num"):
                pattern = child(number, "abstractNumId")
                key = attribute(pattern, "val") if pattern is not None else None
                levels = _levels(patterns[key]) if key in patterns else {}
                lists[attribute(number, "numId") or ""] = NumberedList(key or "", levels)
        return cls(lists)

    def next_label(self, item: tuple[str, int] | None) -> str | None:
        """What Word shows before the next item of a list at a depth: `2.1`, `(a)`, nothing for a bullet.

        None for what is not in a list. Counts the item.
        """
        found = self.lists.get(item[0]) if item else None
        level = found.levels.get(item[1]) if found and item else None
        if not found or not item or not level:
            return None
        counts = self.counts.setdefault(found.key, {})
        counts[item[1]] = counts.get(item[1], level.start - 1) + 1
        for deeper in [depth for depth in counts if depth > item[1]]:
            del counts[deeper]
        if level.style in _UNNUMBERED:
            return ""
        return _PLACE.sub(lambda place: self._shown(found, counts, int(place[1]) - 1), level.pattern)

    def _shown(self, found: NumberedList, counts: Mapping[int, int], depth: int) -> str:
        level = found.levels.get(depth)
        return _numeral(counts.get(depth, level.start), level.style) if level else ""


def _levels(pattern: Element) -> dict[int, ListLevel]:
    levels: dict[int, ListLevel] = {}
    for element in children(pattern, "lvl"):
        depth = attribute(element, "ilvl") or ""
        start = _value(element, "start")
        if depth.isdigit():
            levels[int(depth)] = ListLevel(
                start=int(start) if start.isdigit() else 1,
                style=_value(element, "numFmt") or "decimal",
                pattern=_value(element, "lvlText"),
            )
    return levels


def _value(element: Element, name: str) -> str:
    found = child(element, name)
    return (attribute(found, "val") or "") if found is not None else ""


def _numeral(number: int, style: str) -> str:
    if style in ("lowerLetter", "upperLetter") and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letters.upper() if style == "upperLetter" else letters
    if style in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        return _roman(number).upper() if style == "upperRoman" else _roman(number)
    return f"{number:02}" if style == "decimalZero" else str(number)


def _roman(number: int) -> str:
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text
