"""The unprivileged user that PostgreSQL runs as where we are root, which PostgreSQL refuses to be."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import DataFolderError

NAME = "penstock-db"
FALLBACK_NAME = "nobody"
"""Where users cannot be added: slim images have no useradd."""


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int


def database_account(folder: Path) -> Account | None:
    """Who runs the database in `folder`: its owner if it exists already, else a user made for it. None: we do.

    The owner goes first, since a container made anew knows the volume but not yesterday's users.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    entry = _entry(NAME) or _added(NAME) or _entry(FALLBACK_NAME)
    if entry is None:
        raise DataFolderError(
            "PostgreSQL does not run as root, and there is no other user for it. "
            "Run penstock as an ordinary user, or add one: useradd --system penstock-db."
        )
    return Account(entry.pw_uid, entry.pw_gid)


def let_in(account: Account, path: Path) -> tuple[Path, ...]:
    """Let `account` walk to `path`: adds the x bit for others, and nothing else, to folders above it that lack it.

    Returns the folders that it changed: somebody may want to know.
    """
    closed = [folder for folder in path.parents if not _can_pass(account, folder.stat())]
    for folder in closed:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
    return tuple(closed)


def _can_pass(account: Account, folder: os.stat_result) -> bool:
    return folder.st_uid == account.uid or bool(folder.st_mode & stat.S_IXOTH)


def let_read(tree: Path) -> None:
    """Let everyone read and run what its owner can in `tree`: an installation under umask 077 hid it."""
    for path in _walk(tree):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6
        if wanted != mode:
            path.chmod(wanted)


def _walk(tree: Path) -> Iterator[Path]:
    yield tree
    yield from (path for path in tree.rglob("*") if not path.is_symlink())


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _added(name: str) -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd")
    if useradd is None:
        return None
    command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # a second `up` may have been first
    return _entry(name)
