"""The data folder, its lock and its state: what is found where, and what is refused."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock.errors import DataFolderError
from penstock.local.data_folder import (
    DataFolder,
    FolderLock,
    default_data_folder,
    explain,
    is_locked,
    make_data_folder,
)
from penstock.local.run_state import ProcessName, RunState, forget_state, read_state, write_state


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PENSTOCK_DATA": "/data", "XDG_DATA_HOME": "/xdg"}, Path("/data")),
        ({"XDG_DATA_HOME": "/xdg"}, Path("/xdg/penstock")),
        ({}, Path.home() / ".local" / "share" / "penstock"),
    ],
)
def test_default_folder_follows_the_environment(environment: dict[str, str], expected: Path) -> None:
    assert default_data_folder(environment) == expected


def test_folder_is_made_private_and_may_be_opened_again(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "deep" / "data")
    assert make_data_folder(tmp_path / "deep" / "data") == folder
    assert folder.version.read_text() == "1\n"
    assert [path.stat().st_mode & 0o777 for path in (folder.path, folder.objects, folder.logs)] == [0o700] * 3


def test_volume_with_what_the_file_system_put_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".keep").touch()
    assert make_data_folder(tmp_path).version.exists()


def test_disk_with_too_little_space_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly_full(_: Path) -> Usage:
        return Usage(0, 0, 199 * 2**20)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(DataFolderError, match="has 199 MiB free, and Penstock needs 200"):
        make_data_folder(tmp_path)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "not writable"), (errno.EIO, "cannot be")],
)
def test_system_errors_become_sentences(number: int, said: str) -> None:
    assert said in explain(OSError(number, os.strerror(number)), Path("/data")).message


def test_lock_is_held_until_the_last_process_that_inherited_it_ends(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path)
    lock = FolderLock(folder)
    assert lock.take()
    inherited = os.dup(lock.fileno())
    lock.release()
    assert is_locked(folder)
    os.close(inherited)
    assert not is_locked(folder)


def test_state_is_written_whole_and_private_and_read_back(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    state = RunState(
        url="http://127.0.0.1:1",
        supervisor=ProcessName.of(os.getpid()),
        started_at=datetime.now(UTC),
        stop_seconds=1,
    )
    write_state(folder, state)
    assert read_state(folder) == state
    assert folder.state.stat().st_mode & 0o777 == 0o600
    assert state.supervisor.lives()
    forget_state(folder)
    assert read_state(folder) is None


def test_later_process_with_the_same_number_is_another_one() -> None:
    ourselves = ProcessName.of(os.getpid())
    assert not ProcessName(pid=ourselves.pid, began=ourselves.began - 60).lives()


def test_state_that_is_not_ours_is_no_state(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.state.write_text("{}")
    assert read_state(folder) is None
