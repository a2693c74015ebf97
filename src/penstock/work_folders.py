"""Folders for files that a process works on: gone with it, and where it was killed, with the next one's start.

The folder itself is locked (`flock`) for as long as its process lives; the kernel gives the lock back however the
process ends. So a folder of ours whose lock is free belongs to nobody any more. Whether it is ours says a file in it,
not its name: anybody may call a folder of theirs so, the data folder of `penstock up` for one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

from penstock.errors import WorkFolderFull, is_full

log = structlog.get_logger()

_NAME = re.compile(r"penstock-[a-z]+-[a-z0-9_]{8}")
MARK = ".penstock-work-folder"
LITTLE_ROOM_BYTES = 2**20


@contextmanager
def work_folder(role: str) -> Generator[Path]:
    """A private folder in the system's temporary one, deleted with the block; those of the dead are deleted first."""
    delete_abandoned_folders()
    folder, lock = _make_locked(role)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def has_little_room(folder: Path) -> bool:
    """Whether the disk of `folder` is all but full."""
    return shutil.disk_usage(folder).free < LITTLE_ROOM_BYTES


def full(folder: Path) -> WorkFolderFull:
    """The error that says which folder."""
    return WorkFolderFull(
        f"No room is left in {folder}, where files are read; free some, or set TMPDIR to a larger disk."
    )


@contextmanager
def wanting_room_in(folder: Path) -> Generator[None]:
    """Raise `WorkFolderFull` where the block meets a full disk: no file is to blame for that."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise full(folder) from error


def delete_abandoned_folders() -> int:
    """Delete our folders of processes that are dead, and return their number. Those of other users are left alone."""
    parent = Path(tempfile.gettempdir())
    return sum(_delete_if_abandoned(entry) for entry in parent.iterdir() if _NAME.fullmatch(entry.name))


def _make_locked(role: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"penstock-{role}-"))
        (folder / MARK).touch()
        lock = _open(folder)
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_still(folder, lock):
                return folder, lock
            os.close(lock)  # another process took it for abandoned before it was locked


def _delete_if_abandoned(folder: Path) -> bool:
    lock = _open(folder)
    if lock is None:
        return False
    try:
        if os.fstat(lock).st_uid != os.geteuid() or not _is_ours(lock):
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_still(folder, lock):
            return False
        shutil.rmtree(folder)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("the folder of a dead process cannot be deleted", folder=str(folder), reason=error.strerror)
        return False
    finally:
        os.close(lock)
    log.info("deleted the folder of a dead process", folder=str(folder))
    return True


def _open(folder: Path) -> int | None:
    """A descriptor that children do not inherit; None for what is gone, a link, or closed to us."""
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def _is_ours(folder: int) -> bool:
    """Whether an open folder was made here."""
    try:
        return stat.S_ISREG(os.stat(MARK, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _is_still(folder: Path, lock: int) -> bool:
    """Whether the name still means the folder that is locked."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    locked = os.fstat(lock)
    return (found.st_dev, found.st_ino) == (locked.st_dev, locked.st_ino)
