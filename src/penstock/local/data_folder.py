"""The data folder of `penstock up`: all that Penstock keeps on one machine.

DIR/
├── VERSION         the format of this folder
├── lock            held by the supervisor and, since they inherit it, by every part, until the last one ends
├── penstock.json   who runs here now: `RunState`
├── postgres/       the database
├── redis/          the queues
├── objects/        the files
└── logs/           one log for each part
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import DataFolderError

FORMAT_VERSION = "1"
NEEDED_BYTES = 200 * 1024 * 1024
"""An empty cluster takes 80 MiB and its first write-ahead log segments as much again."""
HARMLESS = frozenset({"lost+found"})
"""Found in a folder that is a volume of its own."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths in a data folder; `path` is absolute."""

    path: Path

    @property
    def version(self) -> Path:
        return self.path / "VERSION"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def state(self) -> Path:
        return self.path / "penstock.json"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def logs(self) -> Path:
        return self.path / "logs"


def default_data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`PENSTOCK_DATA`, else `penstock` among the user's application data (XDG base directories)."""
    if chosen := environment.get("PENSTOCK_DATA"):
        return Path(chosen)
    shared = environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(shared) / "penstock"


def find_data_folder(path: Path) -> DataFolder:
    """The folder at `path`, which need not exist."""
    return DataFolder(path.expanduser().absolute())


def make_data_folder(path: Path) -> DataFolder:
    """The folder at `path`, made or checked.

    Raises `DataFolderError` where it is another format's, another program's, not writable, or its disk is full.
    """
    folder = find_data_folder(path)
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_format(folder)
        _check_space(folder)
        for part in (folder.objects, folder.logs):
            part.mkdir(mode=0o700, exist_ok=True)
        folder.lock.touch(mode=0o600)
    except OSError as error:
        raise explain(error, folder.path) from error
    return folder


def explain(error: OSError, path: Path) -> DataFolderError:
    """Our error for what the system said when we used the data folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataFolderError(f"The disk of {path} is full; free some space or choose another --data folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataFolderError(
            f"{path} is not writable for this user ({error.strerror}); choose another --data folder."
        )
    return DataFolderError(f"{path} cannot be the data folder ({error.strerror}); choose another --data folder.")


def _check_format(folder: DataFolder) -> None:
    if not folder.version.exists():
        _refuse_strangers(folder)
        folder.version.write_text(f"{FORMAT_VERSION}\n")
    found = folder.version.read_text(errors="replace").strip()
    if found != FORMAT_VERSION:
        raise DataFolderError(
            f"{folder.path} has data format {found!r}, and this Penstock reads format {FORMAT_VERSION!r}. "
            "Use the Penstock that made it, or choose another --data folder."
        )


def _refuse_strangers(folder: DataFolder) -> None:
    """A mistyped --data must not scatter a database over somebody's home."""
    strangers = [entry.name for entry in folder.path.iterdir() if entry.name not in HARMLESS and entry.name[0] != "."]
    if strangers:
        raise DataFolderError(
            f"{folder.path} is not empty and not a data folder of Penstock (it has {min(strangers)}); "
            "choose another --data folder."
        )


def _check_space(folder: DataFolder) -> None:
    free = shutil.disk_usage(folder.path).free
    if free < NEEDED_BYTES:
        raise DataFolderError(
            f"The disk of {folder.path} has {free / 2**20:.0f} MiB free, and Penstock needs {NEEDED_BYTES // 2**20} to "
            "start; free some space or choose another --data folder."
        )


class FolderLock:
    """The lock on a data folder. It belongs to the open file, so children that inherit `fileno()` hold it too."""

    def __init__(self, folder: DataFolder) -> None:
        self._path = folder.lock
        self._file = -1

    def take(self) -> bool:
        """Whether the lock is now ours; False while any process of an earlier run still lives."""
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def fileno(self) -> int:
        return self._file

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_locked(folder: DataFolder) -> bool:
    """Whether a supervisor, or a part that outlived one, has the folder."""
    if not folder.lock.exists():
        return False
    lock = FolderLock(folder)
    try:
        return not lock.take()
    finally:
        lock.release()
