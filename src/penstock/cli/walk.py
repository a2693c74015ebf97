"""The files under the paths that a user gives, one by one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.cli.upload import unreadable
from penstock.errors import NotFound, RequestError, Unreadable


@dataclass(frozen=True, slots=True)
class Found:
    """A file to hand in, and the name that it gets."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class NotFoundHere:
    """A path that cannot be handed in, and why."""

    name: str
    error: RequestError


def walk(paths: Iterable[Path], *, recursive: bool) -> Iterator[Found | NotFoundHere]:
    """Every file to hand in, in order of name within a folder, without holding a list of them.

    A folder gives its direct files, and with `recursive` those of its subfolders; hidden ones are
    skipped. A File's name is its path from the given folder on, that folder's name included.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            yield _not_here(_name_of(path), error)
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _folder(path, path.resolve().name, recursive=recursive, seen=seen)
        elif stat.S_ISREG(found.st_mode):
            yield Found(path, _name_of(path), found.st_size)
        else:
            yield NotFoundHere(_name_of(path), Unreadable("it is neither a file nor a folder"))


def _folder(folder: Path, name: str, *, recursive: bool, seen: set[tuple[int, int]]) -> Iterator[Found | NotFoundHere]:
    try:
        here = folder.stat()
        # A symbolic link to a folder above would otherwise be walked for ever.
        if (here.st_dev, here.st_ino) in seen:
            return
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        yield _not_here(name, error)
        return
    for entry in entries:
        if not entry.name.startswith("."):
            yield from _entry(entry, _joined(name, entry.name), recursive=recursive, seen=seen)


def _entry(
    entry: os.DirEntry[str], name: str, *, recursive: bool, seen: set[tuple[int, int]]
) -> Iterator[Found | NotFoundHere]:
    try:
        if entry.is_dir():
            if recursive:
                yield from _folder(Path(entry.path), name, recursive=True, seen=seen)
        elif entry.is_file():
            yield Found(Path(entry.path), name, entry.stat().st_size)
        elif entry.is_symlink():
            yield NotFoundHere(name, NotFound("the symbolic link leads nowhere"))
    except OSError as error:
        yield _not_here(name, error)


def _not_here(name: str, error: OSError) -> NotFoundHere:
    missing = isinstance(error, FileNotFoundError)
    return NotFoundHere(name, NotFound("there is no such file or folder") if missing else unreadable(error))


def _joined(folder: str, name: str) -> str:
    return _printable(f"{folder}/{name}" if folder else name)


def _name_of(path: Path) -> str:
    return _printable(path.name or str(path))


def _printable(name: str) -> str:
    """The name with bytes that are no UTF-8 replaced: JSON and the database take no others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
