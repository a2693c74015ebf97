"""EPUB: the pages of a book, in the order in which it is read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile, PasswordProtected
from penstock.parsing.encoding import decoded
from penstock.parsing.formats.html import html_blocks
from penstock.parsing.formats.ooxml import Element, Package, local_name, open_package

CONTAINER = "/META-INF/container.xml"
ENCRYPTION = "/META-INF/encryption.xml"
SHOWN_METADATA = {
    "creator": "Authors", "contributor": "Contributors", "publisher": "Publisher", "date": "Date", "subject": "Subject",
    "source": "Source", "rights": "Rights",
}  # fmt: skip
"""What the book says of itself; its number and its language are for programs."""

_PIECE = 64 * 1024


def read_epub(path: Path) -> Iterator[Block]:
    with open_package(path) as package:
        book = _book_part(package)
        root = package.parse(book)
        yield from _metadata(root)
        pages = [posixpath.join(posixpath.dirname(book), page) for page in _pages_in_order(root)]
        _refuse_protected(package, pages)
        for page in pages:
            if page in package:
                source = decoded(package.read(page))
                pieces = (source[at : at + _PIECE] for at in range(0, len(source), _PIECE))
                yield from html_blocks(pieces, with_menus=True)  # a book's is its table of contents


def _book_part(package: Package) -> str:
    for each in package.parse(CONTAINER).iter("{*}rootfile"):
        part = "/" + each.get("full-path", "").lstrip("/")
        if part in package:
            return part
    raise CorruptFile("The file is damaged: the EPUB container names no book inside.")


def _metadata(root: Element) -> Iterator[Block]:
    found: dict[str, list[str]] = {}
    for each in root.iter("{http://purl.org/dc/elements/1.1/}*"):
        if each.text and each.text.strip():
            found.setdefault(local_name(each), []).append(each.text.strip())
    for title in found.get("title", [])[:1]:
        yield Block(title, BlockKind.HEADING, 1)
    lines = [f"{label}: {', '.join(found[name])}" for name, label in SHOWN_METADATA.items() if name in found]
    yield Block("\n".join([*lines, *found.get("description", [])]), BlockKind.PAGE_FURNITURE)


def _pages_in_order(root: Element) -> Iterator[str]:
    targets = {each.get("id"): unquote(each.get("href", "")) for each in root.iter("{*}item")}
    for each in root.iter("{*}itemref"):
        if target := targets.get(each.get("idref")):
            yield target.partition("#")[0]


def _refuse_protected(package: Package, pages: list[str]) -> None:
    """Raises `PasswordProtected` where the text is encrypted; that fonts are scrambled does not matter."""
    if ENCRYPTION not in package:
        return
    encrypted = {"/" + unquote(each.get("URI", "")) for each in package.parse(ENCRYPTION).iter("{*}CipherReference")}
    if encrypted & {posixpath.normpath(page) for page in pages}:
        raise PasswordProtected("The book is protected by digital rights management; only its shop's reader opens it.")
