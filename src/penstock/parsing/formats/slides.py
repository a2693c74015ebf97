"""PowerPoint presentations (pptx), straight from their XML: slides are pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.drawing import chart_blocks, diagram_blocks, paragraphs_of, table_blocks
from penstock.parsing.formats.ooxml import Element, Package, child, children, local_name, open_package

_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"ftr", "hdr", "dt", "sldNum"})
_RELATED_TEXT = {"chart": chart_blocks, "chartEx": chart_blocks, "diagramData": diagram_blocks}


def read_slides(path: Path) -> Iterator[Block]:
    """Each slide: title, shapes in their order, charts and diagrams, speaker's notes, comments."""
    with open_package(path) as package:
        for page, part in enumerate(_slides_in_order(package), start=1):
            yield from _slide(package, part, page)


def _slides_in_order(package: Package) -> list[str]:
    main = package.main_part
    targets = {each.id: each.target for each in package.relationships(main) if each.kind == "slide"}
    ids = [_relationship_id(each) for each in package.parse(main).iter("{*}sldId")]
    return [targets[each] for each in ids if each in targets and targets[each] in package]


def _relationship_id(slide: Element) -> str:
    """`r:id`; the slide has a plain `id` of its own, too."""
    return next((str(value) for key, value in slide.attrib.items() if str(key).endswith("}id")), "")


def _slide(package: Package, part: str, page: int) -> Iterator[Block]:
    tree = child(package.parse(part), "cSld", "spTree")
    shapes = list(_shapes(tree)) if tree is not None else []
    shapes.sort(key=lambda shape: _placeholder(shape) not in _TITLES)
    for shape in shapes:
        yield from _shape(shape, page)
    for kind, read in _RELATED_TEXT.items():
        for target in package.related(part, kind):
            yield from read(package, target, page)
    for target in package.related(part, "notesSlide"):
        yield from _notes(package, target, page)
    for target in package.related(part, "comments"):
        yield from _comments(package, target, page)


def _shapes(tree: Element) -> Iterator[Element]:
    """The shapes of a slide, those inside groups too."""
    for element in tree:
        name = local_name(element)
        if name in ("sp", "graphicFrame", "pic", "cxnSp"):
            yield element
        elif name == "AlternateContent":
            variant = next(children(element, "Choice", "Fallback"), None)
            yield from _shapes(variant) if variant is not None else ()
        elif name in ("grpSp", "contentPart"):
            yield from _shapes(element)


def _shape(shape: Element, page: int) -> Iterator[Block]:
    placeholder = _placeholder(shape)
    for table in shape.iter("{*}tbl"):
        yield from table_blocks(table, page)
    for body in children(shape, "txBody", "txbxContent"):
        yield from _body(body, placeholder, page)
    if local_name(shape) == "pic" and (description := _description(shape)):
        yield Block(description, page=page)


def _body(body: Element, placeholder: str | None, page: int) -> Iterator[Block]:
    texts = list(paragraphs_of(body))
    if placeholder in _TITLES:
        yield Block(one_line(" ".join(text for text, _ in texts)), BlockKind.HEADING, 1, page)
        return
    for text, _ in texts:
        yield Block(text, _kind(placeholder), page=page)


def _kind(placeholder: str | None) -> BlockKind:
    if placeholder in _FURNITURE:
        return BlockKind.PAGE_FURNITURE
    return BlockKind.LIST_ITEM if placeholder in ("body", "obj") else BlockKind.PARAGRAPH


def _placeholder(shape: Element) -> str | None:
    """What the shape stands for in the slide's layout; None for a shape put there freely."""
    for properties in children(shape, "nvSpPr", "nvPicPr", "nvGraphicFramePr"):
        place = child(properties, "nvPr", "ph")
        if place is not None:
            return place.get("type", "obj")
    return None


def _description(picture: Element) -> str:
    properties = child(picture, "nvPicPr", "cNvPr")
    return one_line(properties.get("descr", "")) if properties is not None else ""


def _notes(package: Package, part: str, page: int) -> Iterator[Block]:
    tree = child(package.parse(part), "cSld", "spTree")
    for shape in _shapes(tree) if tree is not None else ():
        for text, _ in paragraphs_of(shape):
            yield Block(text, BlockKind.PAGE_FURNITURE, page=page)


def _comments(package: Package, part: str, page: int) -> Iterator[Block]:
    for comment in package.parse(part).iter("{*}cm"):
        text = child(comment, "text")
        if text is not None and text.text:
            yield Block(text.text, BlockKind.PAGE_FURNITURE, page=page)
        for text_body, _ in paragraphs_of(comment):
            yield Block(text_body, BlockKind.PAGE_FURNITURE, page=page)
