"""How Excel shows a number: the format that its cell's style refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.parsing.formats import format_code
from penstock.parsing.formats.format_code import EPOCH, EPOCH_1904
from penstock.parsing.formats.ooxml import Element, Package, child, children

GENERAL = "General"
_DATE = "yyyy-mm-dd"
BUILT_IN: dict[int, str] = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00",
    5: '"$"#,##0_);("$"#,##0)', 6: '"$"#,##0_);("$"#,##0)',
    7: '"$"#,##0.00_);("$"#,##0.00)', 8: '"$"#,##0.00_);("$"#,##0.00)',
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: _DATE, 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy",
    18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: f"{_DATE} h:mm",
    **dict.fromkeys((*range(27, 37), *range(50, 59)), _DATE),
    37: "#,##0_);(#,##0)", 38: "#,##0_);(#,##0)", 39: "#,##0.00_);(#,##0.00)", 40: "#,##0.00_);(#,##0.00)",
    41: "#,##0_);(#,##0);-_)", 42: '"$"#,##0_);("$"#,##0);"$"-_)',
    43: "#,##0.00_);(#,##0.00);-_)", 44: '"$"#,##0.00_);("$"#,##0.00);"$"-_)',
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0",
}  # fmt: skip
"""The codes of formats that have only a number in a workbook (ECMA-376, 18.8.30); those of dates depend on the language
of who opens it."""


@dataclass(frozen=True, slots=True)
class NumberFormats:
    """The codes of the formats that a workbook's cell styles refer to."""

    by_style: Sequence[str]
    epoch: datetime = EPOCH

    @classmethod
    def read(cls, package: Package, main: str) -> NumberFormats:
        codes: list[str] = []
        for part in package.related(main, "styles"):
            codes += _codes(package.parse(part))
        properties = child(package.parse(main), "workbookPr")
        from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        return cls(codes, EPOCH_1904 if from_1904 else EPOCH)

    def shown(self, value: str, style: str | None) -> str:
        """A stored number as its cell shows it."""
        at = int(style) if style and style.isdecimal() else 0
        return number_shown(value, self.by_style[at] if at < len(self.by_style) else GENERAL, self.epoch)


def number_shown(value: str, code: str, epoch: datetime = EPOCH) -> str:
    """A stored number in a format; what is no number is shown as it is."""
    try:
        number = float(value)
    except ValueError:
        return value
    if number - number != 0:  # infinite, or none
        return value
    if code == GENERAL:
        return value if value.lstrip("-").isdecimal() else format_code.general(number)
    return format_code.shown(number, code, epoch)


def _codes(styles: Element) -> Iterator[str]:
    """The format of each cell style, in the order by which cells name them."""
    own = {_number(each, "numFmtId"): each.get("formatCode", "") for each in styles.iter("{*}numFmt")}
    cell_formats = child(styles, "cellXfs")
    for each in children(cell_formats, "xf") if cell_formats is not None else ():
        number = _number(each, "numFmtId")
        yield own.get(number) or BUILT_IN.get(number, GENERAL)


def _number(element: Element, name: str) -> int:
    value = element.get(name, "")
    return int(value) if value.isdecimal() else 0
