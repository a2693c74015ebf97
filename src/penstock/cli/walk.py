"""The files under the paths that a user gives, one by one."""

from __future__ import annotations

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
        yield from _walk_one(path, recursive=recursive, seen=seen)


def _walk_one(given: Path, *, recursive: bool, seen: set[tuple[int, int]]) -> Iterator[Found | NotFoundHere]:
    pending = [(given, _name_of(given))]
    while pending:
        path, name = pending.pop()
        try:
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                yield Found(path, name, status.st_size)
            elif stat.S_ISDIR(status.st_mode):
                # A symbolic link to a folder above would otherwise be walked for ever.
                if (recursive or path is given) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    pending += _listed(path, name)
            elif path is given:
                yield NotFoundHere(name, Unreadable("it is neither a file nor a folder"))
        except OSError as error:
            yield NotFoundHere(name, _problem(error))


def _listed(folder: Path, name: str) -> list[tuple[Path, str]]:
    """What is directly in `folder`, last name first, with names below `name`."""
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), reverse=True)
    return [(entry, _printable(f"{name}/{entry.name}" if name else entry.name)) for entry in entries]


def _problem(error: OSError) -> RequestError:
    if isinstance(error, FileNotFoundError):
        return NotFound("there is no such file or folder, or it is a symbolic link that leads nowhere")
    return unreadable(error)


def _name_of(given: Path) -> str:
    # `.` and `..` have names only once they are resolved; a file that is a link keeps its own.
    return _printable(given.resolve().name if given.name in ("", "..") else given.name)


def _printable(name: str) -> str:
    """The name with bytes that are no UTF-8 replaced: JSON and the database take no others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
