"""PowerPoint presentations (pptx), straight from their XML: slides are pages.

The shapes of a slide come in the order in which the file holds them, which is also the one that screen readers take,
but for the title, which comes first. What layouts and masters say is left out: most of it are prompts ("Click to edit
Master title style"), and the rest would be repeated with each slide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.drawing import POINTERS, RelatedText, description_of, paragraphs_of, table_blocks
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.ooxml import (
    Element,
    Package,
    child,
    children,
    local_name,
    open_package,
    shown,
    shown_variant,
)

_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = {"ftr": Origin.FOOTER, "hdr": Origin.HEADER, "dt": Origin.FOOTER, "sldNum": Origin.FOOTER}
_SHAPES = frozenset({"sp", "graphicFrame", "pic", "cxnSp"})


def read_slides(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    """Each slide: title, shapes in their order, charts and diagrams, speaker's notes, comments, embedded files."""
    with open_package(path) as package:
        for page, part in enumerate(slides_in_order(package), start=1):
            yield from _slide(package, part, page)
            yield from embedded.of_part(package, part, page)


def slides_in_order(package: Package) -> list[str]:
    """The parts of the slides as they are shown, hidden ones too."""
    main = package.main_part
    targets = {each.id: each.target for each in package.relationships(main) if each.kind == "slide"}
    ids = [_relationship_id(each) for each in package.parse(main).iter("{*}sldId")]
    return [targets[each] for each in ids if each in targets and targets[each] in package]


def _relationship_id(slide: Element) -> str:
    """`r:id`; the slide has a plain `id` of its own, too."""
    return next((str(value) for key, value in slide.attrib.items() if str(key).endswith("}id")), "")


def _slide(package: Package, part: str, page: int) -> Iterator[Block]:
    root = package.parse(part)
    is_hidden = root.get("show") in ("0", "false")
    for block in _content(package, part, root, page):
        yield replace(block, origin=Origin.HIDDEN) if is_hidden and block.origin is Origin.BODY else block
    for target in package.related(part, "notesSlide"):
        yield from _notes(package, target, page)
    for target in package.related(part, "comments"):
        yield from _comments(package, target, page)


def _content(package: Package, part: str, root: Element, page: int) -> Iterator[Block]:
    related = RelatedText(package, part, page)
    for shape in sorted(_shapes(child(root, "cSld", "spTree")), key=lambda shape: _placeholder(shape) not in _TITLES):
        for block in _shape(shape, page):
            yield replace(block, origin=Origin.HIDDEN) if _is_hidden(shape) else block
        for pointer in shown(shape, *POINTERS):
            yield from related.at(pointer)
    yield from related.rest()


def _shapes(tree: Element | None) -> Iterator[Element]:
    """The shapes of a slide, those inside groups too."""
    for element in tree if tree is not None else ():
        name = local_name(element)
        if name in _SHAPES:
            yield element
        elif name == "AlternateContent":
            yield from _shapes(shown_variant(element))
        elif name in ("grpSp", "contentPart"):
            yield from _shapes(element)


def _shape(shape: Element, page: int) -> Iterator[Block]:
    placeholder = _placeholder(shape)
    if description := description_of(_properties(shape)):
        yield Block(description, page=page)
    for table in shown(shape, "tbl"):
        yield from table_blocks(table, page)
    for body in children(shape, "txBody", "txbxContent"):
        yield from _body(body, placeholder, page)


def _body(body: Element, placeholder: str | None, page: int) -> Iterator[Block]:
    texts = list(paragraphs_of(body))
    if placeholder in _TITLES:
        yield Block(one_line(" ".join(text for text, _ in texts)), BlockKind.HEADING, 1, page)
        return
    for text, _ in texts:
        if placeholder in _FURNITURE:
            yield Block(text, BlockKind.PAGE_FURNITURE, page=page, origin=_FURNITURE[placeholder])
        else:
            yield Block(text, _kind(placeholder), page=page)


def _kind(placeholder: str | None) -> BlockKind:
    return BlockKind.LIST_ITEM if placeholder in ("body", "obj") else BlockKind.PARAGRAPH


def _placeholder(shape: Element) -> str | None:
    """What the shape stands for in the slide's layout; None for a shape put there freely."""
    for properties in _non_visual(shape):
        place = child(properties, "nvPr", "ph")
        if place is not None:
            return place.get("type", "obj")
    return None


def _properties(shape: Element) -> Element | None:
    return next((child(properties, "cNvPr") for properties in _non_visual(shape)), None)


def _non_visual(shape: Element) -> Iterator[Element]:
    return children(shape, "nvSpPr", "nvPicPr", "nvGraphicFramePr", "nvCxnSpPr")


def _is_hidden(shape: Element) -> bool:
    """Whether the selection pane hides it."""
    properties = _properties(shape)
    return properties is not None and properties.get("hidden") in ("1", "true")


def _notes(package: Package, part: str, page: int) -> Iterator[Block]:
    """What the speaker wrote; the header and footer of the printed notes are not that."""
    for shape in _shapes(child(package.parse(part), "cSld", "spTree")):
        origin = _FURNITURE.get(_placeholder(shape) or "", Origin.SPEAKER_NOTES)
        for text, _ in paragraphs_of(shape):
            yield Block(text, BlockKind.PAGE_FURNITURE, page=page, origin=origin)


def _comments(package: Package, part: str, page: int) -> Iterator[Block]:
    """Comments and their replies, of either kind: the newer ones are text bodies."""
    for comment in package.parse(part).iter("{*}cm"):
        text = child(comment, "text")
        texts = [text.text] if text is not None and text.text else [each for each, _ in paragraphs_of(comment)]
        for each in texts:
            yield Block(each, BlockKind.PAGE_FURNITURE, page=page, origin=Origin.COMMENT)
