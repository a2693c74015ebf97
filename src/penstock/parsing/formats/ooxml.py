"""Office Open XML packages (ECMA-376): parts, and the relationships between them.

Elements are told apart by their local names: the strict and the transitional variant of the standard differ in
namespaces only, and no name here means two things.
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from penstock.errors import CorruptFile
from penstock.parsing.archive import DAMAGE, Archive, open_archive

Element = etree._Element  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - lxml has no public name for it


_SAYING = tuple(f"{{*}}{name}" for name in ("t", "chart", "relIds", "OLEObject", "oleObj"))
"""Text, or what points to a part with text."""


@dataclass(frozen=True, slots=True)
class Relationship:
    """From one part to another. `kind` is the last word of its type: `slide`, `header`, `comments`."""

    id: str
    kind: str
    target: str


EMBEDDED_KINDS = ("package", "oleObject")
"""Relationships to files that were put into a document. The workbook behind a chart is related to by the chart, whose
texts and values are cached there: it is not read twice."""


class Package:
    """The parts of an open package, by name such as `/word/document.xml`."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._relationships: dict[str, list[Relationship]] = {}

    def __contains__(self, part: str) -> bool:
        return part in self._archive

    @property
    def main_part(self) -> str:
        """The document, workbook or presentation. Raises `CorruptFile` if there is none."""
        for relationship in self.relationships("/"):
            if relationship.kind == "officeDocument" and relationship.target in self:
                return relationship.target
        raise CorruptFile("The file is an Office container without a document inside; save it again in its program.")

    def relationships(self, part: str) -> list[Relationship]:
        """Where `part` points to inside the package; what it names outside (links, linked pictures) is not followed."""
        if part not in self._relationships:
            self._relationships[part] = self._read_relationships(part)
        return self._relationships[part]

    def _read_relationships(self, part: str) -> list[Relationship]:
        folder, name = posixpath.split(part)
        rels = posixpath.join(folder, "_rels", f"{name}.rels")
        if rels not in self:
            return []
        return [
            Relationship(each.get("Id", ""), each.get("Type", "").rpartition("/")[2], _resolve(folder, each))
            for each in self.parse(rels)
            if local_name(each) == "Relationship" and each.get("TargetMode") != "External"
        ]

    def related(self, part: str, *kinds: str) -> list[str]:
        """The existing parts that `part` points to with one of these kinds, each once, in the file's order."""
        targets = [each.target for each in self.relationships(part) if each.kind in kinds and each.target in self]
        return list(dict.fromkeys(targets))

    def read(self, part: str) -> bytes:
        """A part as it is. Raises `CorruptFile`, or `TooLarge`."""
        return self._archive.read(part)

    def parse(self, part: str) -> Element:
        """The root element of a part. Raises `CorruptFile` where it is not XML."""
        try:
            return etree.fromstring(self.read(part), _parser())
        except etree.LxmlError as error:
            raise CorruptFile(f"The file is damaged: its part {part} is not sound XML.") from error

    def stream(self, part: str, *tags: str, starts: bool = False) -> Iterator[tuple[str, Element]]:
        """`(event, element)` for each element with one of the local names, while the part is being read.

        The element is complete at its `end`. Whoever reads must `forget` what is done with, or all stays in memory.
        """
        events = ("start", "end") if starts else ("end",)
        names = [f"{{*}}{tag}" for tag in tags]
        with self._archive.open(part) as stream:
            try:
                yield from etree.iterparse(stream, events=events, tag=names, resolve_entities=False, no_network=True)
            except (etree.LxmlError, *DAMAGE) as error:
                raise CorruptFile(f"The file is damaged: its part {part} cannot be read.") from error


@contextmanager
def open_package(path: Path) -> Generator[Package]:
    with open_archive(path) as archive:
        yield Package(archive)


def local_name(element: Element) -> str:
    """The tag without its namespace; empty for comments and processing instructions."""
    tag = element.tag
    # The stubs forget that the tag of a comment is a function
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]


def attribute(element: Element, name: str) -> str | None:
    """An attribute by its local name."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def children(element: Element, *names: str) -> Iterator[Element]:
    """The child elements with one of these local names."""
    return (child for child in element if local_name(child) in names)


def child(element: Element | None, *path: str) -> Element | None:
    """The first element down this path of local names."""
    for name in path:
        element = next(children(element, name), None) if element is not None else None
    return element


def shown_variant(alternatives: Element) -> Element:
    """The variant of an `mc:AlternateContent` to read: the same content stands in each, for readers of different age.

    The newest that says something itself or points to a part that does: what stands in for a chart or a slicer in
    older programs is a sentence that it cannot be shown.
    """
    variants = list(children(alternatives, "Choice", "Fallback"))
    for variant in variants:
        if any(each.text or local_name(each) != "t" for each in variant.iter(*_SAYING)):
            return variant
    return variants[0] if variants else alternatives


def shown(element: Element, *names: str) -> Iterator[Element]:
    """The elements below with one of these local names, in order, and in one variant of each alternative.

    What is inside of a found element is looked through as well.
    """
    pending = list(reversed(element))
    while pending:
        each = pending.pop()
        name = local_name(each)
        if name in names:
            yield each
        if name == "AlternateContent":
            pending += reversed(shown_variant(each))
        else:
            pending += reversed(each)


def forget(element: Element) -> None:
    """Frees what was read: the element's content and its elder siblings."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _parser() -> etree.XMLParser:
    """Entities stay unresolved: an external one would read our disk, nested ones would fill the memory."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _resolve(folder: str, relationship: Element) -> str:
    target = unquote(relationship.get("Target", "").partition("#")[0]).replace("\\", "/")
    return posixpath.normpath(posixpath.join("/", folder, target))
