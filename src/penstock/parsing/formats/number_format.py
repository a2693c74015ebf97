"""How Excel shows a number: dates and percentages are numbers with a format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from penstock.parsing.formats.ooxml import Element, Package, child, children

Kind = Literal["general", "date", "time", "date_time", "percent"]

BUILT_IN: dict[int, Kind] = {
    9: "percent", 10: "percent", 22: "date_time",
    **dict.fromkeys((18, 19, 20, 21, 45, 46, 47), "time"),
    **dict.fromkeys((14, 15, 16, 17, *range(27, 37), *range(50, 59)), "date"),
}  # fmt: skip
"""The formats that have a number but no code in a workbook; all others are plain."""

_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_LAST_SERIAL = 2_958_466
"""The day after 31 December 9999."""


@dataclass(frozen=True, slots=True)
class NumberFormats:
    """The formats that a workbook's cell styles refer to."""

    by_style: Sequence[Kind]
    epoch: datetime

    @classmethod
    def read(cls, package: Package, main: str) -> NumberFormats:
        kinds: list[Kind] = []
        for part in package.related(main, "styles"):
            kinds += _style_kinds(package.parse(part))
        properties = child(package.parse(main), "workbookPr")
        from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        return cls(kinds, datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30))  # noqa: DTZ001 - no zone in a sheet

    def shown(self, value: str, style: str | None) -> str:
        """A stored number in the format of its cell style; dates and times in ISO 8601, whatever the language."""
        at = int(style) if style and style.isdecimal() else 0
        kind = self.by_style[at] if at < len(self.by_style) else "general"
        try:
            number = float(value)
        except ValueError:
            return value
        if kind == "percent":
            return f"{number * 100:.15g}%"
        if kind != "general" and 0 <= number < _LAST_SERIAL:
            return self._moment(number, kind)
        return value if value.lstrip("-").isdecimal() else f"{number:.15g}"

    def _moment(self, number: float, kind: Kind) -> str:
        seconds = round(number * 86_400)
        if kind == "time":
            return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        moment = self.epoch + timedelta(seconds=seconds)
        if kind == "date" or seconds % 86_400 == 0:
            return moment.date().isoformat()
        return moment.isoformat(sep=" ")


def _style_kinds(styles: Element) -> Iterator[Kind]:
    """The kind of each cell style, in the order by which cells name them."""
    own: dict[int, Kind] = {
        _number(each, "numFmtId"): kind_of(each.get("formatCode", "")) for each in styles.iter("{*}numFmt")
    }
    cell_formats = child(styles, "cellXfs")
    for each in children(cell_formats, "xf") if cell_formats is not None else ():
        number = _number(each, "numFmtId")
        yield own.get(number) or BUILT_IN.get(number, "general")


def kind_of(code: str) -> Kind:
    """What a format code such as `dd/mm/yyyy` or `0.0%` makes of a number."""
    plain = _LITERAL.sub("", code.split(";", maxsplit=1)[0]).lower()
    if "general" in plain:
        return "general"
    if "%" in plain:
        return "percent"
    if re.search("[yd]", plain) or ("m" in plain and not re.search("[hs]", plain)):
        return "date_time" if "h" in plain else "date"
    return "time" if re.search("[hs]", plain) else "general"


def _number(element: Element, name: str) -> int:
    value = element.get(name, "")
    return int(value) if value.isdecimal() else 0
