"""DrawingML inside Office files: text bodies, tables, charts and diagrams."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock.chunking.document import Block
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.equations import equation_text
from penstock.parsing.formats.number_format import GENERAL, number_shown
from penstock.parsing.formats.ooxml import (
    Element,
    Package,
    Relationship,
    attribute,
    child,
    children,
    local_name,
    shown,
    shown_variant,
)

_PROPERTIES = frozenset({"pPr", "rPr", "endParaRPr"})


def text_of(paragraph: Element) -> str:
    """The text of an `a:p`, with line breaks, tabs and equations."""
    return "".join(_runs(paragraph)).strip()


def paragraphs_of(body: Element) -> Iterator[tuple[str, int]]:
    """Text and list depth (from 0) of the paragraphs anywhere in `body`; empty ones are left out."""
    for paragraph in shown(body, "p"):
        if text := text_of(paragraph):
            properties = child(paragraph, "pPr")
            level = properties.get("lvl", "0") if properties is not None else "0"
            yield text, int(level) if level.isdigit() else 0


def table_blocks(table: Element, page: int | None) -> Iterator[Block]:
    """The rows of an `a:tbl`; the first names the columns where the table's style sets it apart."""
    rows = list(children(table, "tr"))
    properties = child(table, "tblPr")
    has_names = len(rows) > 1 and properties is not None and properties.get("firstRow") in ("1", "true")
    for number, row in enumerate(rows):
        block = table_row((" ".join(text for text, _ in paragraphs_of(cell)) for cell in children(row, "tc")), page)
        yield replace(block, names_columns=True) if has_names and number == 0 and block.text else block


def description_of(properties: Element | None) -> str:
    """The alternative text in a shape's `cNvPr` or `docPr`: what its author wrote for those who do not see it."""
    if properties is None:
        return ""
    title, description = one_line(properties.get("title", "")), one_line(properties.get("descr", ""))
    return description if title in description else one_line(f"{title} {description}")


def chart_blocks(package: Package, part: str, page: int | None = None) -> Iterator[Block]:
    """A chart: titles and labels as paragraphs, then a row for each series: name, categories and values as cached."""
    root = package.parse(part)
    yield from _paragraph_blocks(root, page)
    for title in root.iter("{*}title"):
        if text := " ".join(_points(child(title, "tx", "strRef")).values()):  # a title that a cell holds
            yield Block(text, page=page)
    for series in root.iter("{*}ser"):
        name = " ".join(_points(child(series, "tx")).values())
        categories, values = _points(child(series, "cat")), _points(child(series, "val"))
        categories, values = categories or _points(child(series, "xVal")), values or _points(child(series, "yVal"))
        yield _series_row(name, categories, values, page)
    for shapes in package.related(part, "chartUserShapes"):
        yield from _paragraph_blocks(package.parse(shapes), page)


def new_chart_blocks(package: Package, part: str, page: int | None = None) -> Iterator[Block]:
    """A chart of the kinds that came with Office 2016 (`cx:chartSpace`): waterfalls, tree maps, funnels."""
    root = package.parse(part)
    yield from _paragraph_blocks(root, page)
    for text in root.iter("{*}txData"):
        if value := " ".join(each.text or "" for each in children(text, "v")):
            yield Block(value, page=page)
    for data in root.iter("{*}data"):
        yield _series_row("", _dimension(data, "strDim"), _dimension(data, "numDim"), page)


def diagram_blocks(package: Package, part: str, page: int | None = None) -> Iterator[Block]:
    """The texts of a SmartArt diagram's boxes."""
    yield from _paragraph_blocks(package.parse(part), page)


_READERS = {"chart": chart_blocks, "chartEx": new_chart_blocks, "diagramData": diagram_blocks}
POINTERS = {"chart": "id", "relIds": "dm"}
"""What points to a chart or a diagram, and the attribute that names the relationship."""


@dataclass
class RelatedText:
    """The charts and diagrams of a part: each where the part points to it, and at the end what it never points to."""

    package: Package
    part: str
    page: int | None = None
    _read: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        known = [each for each in self.package.relationships(self.part) if each.kind in _READERS]
        self._by_id = {each.id: each for each in known if each.target in self.package}

    def at(self, pointer: Element) -> Iterator[Block]:
        """What one of the `POINTERS` stands for."""
        target = self._by_id.get(attribute(pointer, POINTERS[local_name(pointer)]) or "")
        return self._blocks(target) if target else iter(())

    def rest(self) -> Iterator[Block]:
        for target in self._by_id.values():
            if target.target not in self._read:
                yield from self._blocks(target)

    def _blocks(self, target: Relationship) -> Iterator[Block]:
        self._read.add(target.target)
        return _READERS[target.kind](self.package, target.target, self.page)


def _paragraph_blocks(root: Element, page: int | None) -> Iterator[Block]:
    return (Block(text, page=page) for text, _ in paragraphs_of(root))


def _series_row(name: str, categories: Mapping[int, str], values: Mapping[int, str], page: int | None) -> Block:
    """`Sales | Q1: 10 | Q2: 12`; a point without a category or a value is what it has."""
    points = sorted({*categories, *values})
    shown_points = (": ".join(filter(None, (categories.get(at), values.get(at)))) for at in points)
    return table_row([*([name] if name else []), *shown_points], page)


def _points(element: Element | None) -> dict[int, str]:
    """The cached texts of a chart's data by their points' numbers; several levels of categories are joined."""
    if element is None:
        return {}
    levels = [_level_points(level) for level in element.iter("{*}lvl")]
    if not levels:
        return _level_points(element)
    innermost, *outer = levels
    starts = [(sorted(level), level) for level in reversed(outer)]
    return {
        at: " ".join(filter(None, [*(_holding(numbers, level, at) for numbers, level in starts), text]))
        for at, text in innermost.items()
    }


def _holding(numbers: Sequence[int], level: Mapping[int, str], point: int) -> str:
    """An outer category stands at its first point only, and holds until the next one."""
    at = bisect_right(numbers, point)
    return level[numbers[at - 1]] if at else ""


def _level_points(element: Element) -> dict[int, str]:
    """A text for each `c:pt`, or a single one that stands without a point."""
    points = list(element.iter("{*}pt"))
    if not points:
        return {number: value.text or "" for number, value in enumerate(element.iter("{*}v"))}
    code = next((each.text for each in element.iter("{*}formatCode") if each.text), GENERAL)
    return {_number(point, number): number_shown(_value(point), code) for number, point in enumerate(points)}


def _dimension(data: Element, name: str) -> dict[int, str]:
    """The points of the innermost level of a new chart's categories or values."""
    level = child(data, name, "lvl")
    points = children(level, "pt") if level is not None else ()
    return {_number(point, number): point.text or "" for number, point in enumerate(points)}


def _number(point: Element, default: int) -> int:
    index = point.get("idx", "")
    return int(index) if index.isdecimal() else default


def _value(point: Element) -> str:
    value = child(point, "v")
    return (value.text or "") if value is not None else ""


def _runs(element: Element) -> Iterator[str]:
    for each in element:
        name = local_name(each)
        if name == "t":
            yield each.text or ""
        elif name == "br":
            yield "\n"
        elif name == "tab":
            yield "\t"
        elif name == "oMath":
            yield equation_text(each)
        elif name == "AlternateContent":
            yield from _runs(shown_variant(each))
        elif name not in _PROPERTIES:
            yield from _runs(each)
