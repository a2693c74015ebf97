"""Where a server's Unix socket goes: the path of a socket has at most 107 bytes, that of a folder 4,096."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from penstock.errors import DataFolderError
from penstock.local.account import Account

MAX_SOCKET_PATH_BYTES = 103
"""sun_path holds 108 on Linux and 104 elsewhere, with the closing zero."""


def socket_folder(folder: Path, socket_name: str, account: Account | None) -> Path:
    """`folder` itself where its path is short enough, else a private folder under the temporary one.

    The same for the same `folder` each time, so that URLs stay the same over restarts.
    """
    if len(os.fsencode(folder / socket_name)) <= MAX_SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"penstock-{digest}"
    make_private(short, account)
    return short


def make_private(folder: Path, account: Account | None) -> None:
    """A folder that only `account` can enter. Raises `DataFolderError` where someone else was there first."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(folder, account)
        if account:
            os.chown(folder, account.uid, account.gid)
        folder.chmod(0o700)
    except OSError as error:
        raise DataFolderError(f"{folder} cannot be made ready: {error.strerror}.") from error


def _refuse_foreign(folder: Path, account: Account | None) -> None:
    """In the temporary folder anyone may have made it, or a link, before us, to read along."""
    ours = {os.geteuid(), account.uid if account else os.geteuid()}
    if folder.lstat().st_uid not in ours:
        raise DataFolderError(f"{folder} belongs to another user; remove it or choose another --data folder.")
