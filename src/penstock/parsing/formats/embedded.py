"""Files inside a file: attachments of mails and PDFs, what was embedded in Office documents. They are text of it.

Each is read like any file, by its content. One that cannot be read leaves a note and does not spoil the file around it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import FileError, NoText, TooLarge
from penstock.parsing.formats.ole import unpacked
from penstock.parsing.formats.ooxml import EMBEDDED_KINDS, Package

MAX_DEPTH = 5
"""Files within files."""
MAX_FILES = 1_000
"""In one File, however deep. Beyond, and beyond the bytes, their names are all that is kept."""
MAX_BYTES = 1024**3
LABEL_LEVEL = 2
"""Of the heading that names an embedded file; those inside it are below."""


class ReadFile(Protocol):
    """Reads a file of any format, with what it embeds. Raises `FileError`."""

    def __call__(self, path: Path, name: str, embedded: EmbeddedFiles) -> Iterator[Block]: ...


@dataclass
class Allowance:
    """What may still be read inside one File."""

    files: int = field(default_factory=lambda: MAX_FILES)
    bytes: int = field(default_factory=lambda: MAX_BYTES)

    def spend(self, size: int) -> bool:
        """Whether there is enough left for a file of this size."""
        if not self.files or size > self.bytes:
            return False
        self.files -= 1
        self.bytes -= size
        return True


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """How the files inside a file are read."""

    read: ReadFile
    left: Allowance = field(default_factory=Allowance)
    depth: int = 0
    """The containers around the file that is being read."""

    @property
    def deeper(self) -> EmbeddedFiles:
        """For what is inside an embedded file."""
        return replace(self, depth=self.depth + 1)

    def attachment(self, name: str, data: bytes) -> Iterator[Block]:
        """An attached file: its name as a heading, then its text with its own pages; a mail has none."""
        return labelled("Attachment", name, self.content(name, lambda: data))

    def embedded(self, name: str, read: Callable[[], bytes], *, page: int | None = None) -> Iterator[Block]:
        """The same for a file that somebody put on a page, slide or sheet: that is where it stands."""
        try:
            file = unpacked(name, read())
        except FileError as error:
            yield replace(_note(name, error.message), page=page)
            return
        if file is not None:
            for block in labelled("Embedded file", file[0], self.content(file[0], lambda: file[1])):
                yield replace(block, page=page)

    def of_part(self, package: Package, part: str, page: int | None = None) -> Iterator[Block]:
        """What a part of an Office file embeds."""
        for target in package.related(part, *EMBEDDED_KINDS):
            yield from self.embedded(PurePosixPath(target).name, partial(package.read, target), page=page)

    def content(self, name: str, read: Callable[[], bytes]) -> Iterator[Block]:
        """The text of a file, or a note why there is none."""
        try:
            data = read()
            if self.depth >= MAX_DEPTH or not self.left.spend(len(data)):
                raise TooLarge("There are more files, bytes or levels of files inside one file than are read.")
            if data:
                yield from self._read_bytes(name, data)
        except NoText:
            # What there is to install or to do about it is said of Files; here it would stand in every mail with a logo
            yield _note(name, "it holds no text that can be read.")
        except FileError as error:
            yield _note(name, error.message)

    def _read_bytes(self, name: str, data: bytes) -> Iterator[Block]:
        with tempfile.NamedTemporaryFile(prefix="penstock-") as file:
            file.write(data)
            file.flush()
            yield from self.read(Path(file.name), name, self.deeper)


def labelled(what: str, name: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks of an embedded file below a heading that names it; one without a name has none."""
    yield Block(name and f"{what}: {name}", BlockKind.HEADING, LABEL_LEVEL, origin=Origin.EMBEDDED)
    for block in blocks:
        level = block.level + LABEL_LEVEL if block.kind is BlockKind.HEADING else block.level
        yield replace(block, level=level, origin=Origin.EMBEDDED)


def _note(name: str, reason: str) -> Block:
    return Block(f"({name or 'attachment'} was not read: {reason})", BlockKind.PAGE_FURNITURE, origin=Origin.EMBEDDED)
