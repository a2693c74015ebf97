"""DrawingML inside Office files: text bodies, tables, charts and diagrams."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.chunking.document import Block
from penstock.parsing.formats.delimited import table_row
from penstock.parsing.formats.ooxml import Element, Package, child, children, local_name


def text_of(paragraph: Element) -> str:
    """The text of an `a:p`, with line breaks and tabs."""
    return "".join(_runs(paragraph)).strip()


def paragraphs_of(body: Element) -> Iterator[tuple[str, int]]:
    """Text and list depth (from 0) of the paragraphs anywhere in `body`; empty ones are left out."""
    for paragraph in body.iter("{*}p"):
        if text := text_of(paragraph):
            properties = child(paragraph, "pPr")
            level = properties.get("lvl", "0") if properties is not None else "0"
            yield text, int(level) if level.isdigit() else 0


def table_blocks(table: Element, page: int | None) -> Iterator[Block]:
    """The rows of an `a:tbl`."""
    for row in children(table, "tr"):
        yield table_row((" ".join(text for text, _ in paragraphs_of(cell)) for cell in children(row, "tc")), page)


def chart_blocks(package: Package, part: str, page: int | None = None) -> Iterator[Block]:
    """A chart: its titles as paragraphs, then a row for each series: name, categories and values as last shown."""
    root = package.parse(part)
    for title in root.iter("{*}title", "{*}userShapes"):
        for text, _ in paragraphs_of(title):
            yield Block(text, page=page)
    for series in root.iter("{*}ser"):
        name, *_ = [*_points(child(series, "tx")), ""]
        categories, values = _points(child(series, "cat")), _points(child(series, "val"))
        categories, values = categories or _points(child(series, "xVal")), values or _points(child(series, "yVal"))
        pairs = [f"{category}: {value}" for category, value in zip(categories, values, strict=False)]
        yield table_row([name, *(pairs or values or categories)], page)


def diagram_blocks(package: Package, part: str, page: int | None = None) -> Iterator[Block]:
    """The texts of a SmartArt diagram's boxes."""
    for text, _ in paragraphs_of(package.parse(part)):
        yield Block(text, page=page)


def _points(element: Element | None) -> list[str]:
    """The cached texts of a chart's data, one for each point; several levels of categories are joined."""
    if element is None:
        return []
    levels = [list(_level_points(level)) for level in element.iter("{*}lvl")]
    if levels:
        return [" ".join(filter(None, reversed(column))) for column in zip(*levels, strict=False)]
    return list(_level_points(element))


def _level_points(element: Element) -> Iterator[str]:
    return (value.text or "" for value in element.iter("{*}v"))


def _runs(element: Element) -> Iterator[str]:
    for each in element:
        name = local_name(each)
        if name == "t":
            yield each.text or ""
        elif name == "br":
            yield "\n"
        elif name == "tab":
            yield "\t"
        elif name not in ("pPr", "rPr", "endParaRPr", "Fallback"):
            yield from _runs(each)
