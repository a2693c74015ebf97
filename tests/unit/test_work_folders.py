"""Folders of processes: gone with them, also where they are killed, and never anybody else's."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from penstock.work_folders import MARK, delete_abandoned_folders, work_folder

CHILD = """
import sys
from penstock.work_folders import work_folder
with work_folder("ingester") as folder:
    (folder / "object").write_text("a user's file")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test alone, for its children too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def start_child() -> tuple[subprocess.Popen[str], Path]:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def test_a_folder_is_private_and_goes_with_the_block() -> None:
    with work_folder("ingester") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "object").write_text("x")
    assert not folder.exists()


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(temporary: Path) -> None:
    living, its_folder = start_child()
    killed, left = start_child()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (left / "object").exists()
    with work_folder("embedder") as own:
        assert {*temporary.iterdir()} == {its_folder, own}
        assert (its_folder / "object").read_text() == "a user's file"
    living.communicate("")
    assert not any(temporary.iterdir())


def test_links_and_folders_with_other_names_are_left_alone(temporary: Path) -> None:
    precious = temporary / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (temporary / "penstock-ingester-abcd1234").symlink_to(precious)
    abandoned = temporary / "penstock-ingester-abcd5678"
    abandoned.mkdir()
    (abandoned / MARK).touch()
    (abandoned / "link").symlink_to(precious)
    others = [temporary / name for name in ("penstock-0123456789ab", "penstock-up", "other-ingester-abcd1234")]
    for folder in others:
        folder.mkdir()
    assert delete_abandoned_folders() == 1
    assert not abandoned.exists()
    assert (precious / "file").read_text() == "x"
    assert all(folder.is_dir() for folder in others)
    assert (temporary / "penstock-ingester-abcd1234").is_symlink()


def test_a_data_folder_that_is_called_like_one_of_ours_is_left_alone(temporary: Path) -> None:
    """It was deleted, with the database in it, while Penstock ran on it."""
    data = temporary / "penstock-data-abcd1234"
    (data / "postgres").mkdir(parents=True)
    (data / MARK).symlink_to(data / "postgres")
    with work_folder("ingester"):
        assert delete_abandoned_folders() == 0
    assert (data / "postgres").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_of_other_users_are_left_alone(temporary: Path) -> None:
    folder = temporary / "penstock-ingester-abcd1234"
    folder.mkdir()
    (folder / MARK).touch()
    os.chown(folder, 12345, 12345)
    assert delete_abandoned_folders() == 0
    assert folder.is_dir()


def test_a_folder_that_was_swept_before_it_was_locked_is_made_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    swept: list[int] = []

    def sweep_before_the_first_lock(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.append(0)
            sweeper = threading.Thread(target=lambda: swept.append(delete_abandoned_folders()))
            sweeper.start()
            sweeper.join()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweep_before_the_first_lock)
    with work_folder("ingester") as folder:
        assert swept == [0, 1]
        assert {*temporary.iterdir()} == {folder}
        assert delete_abandoned_folders() == 0
        assert folder.is_dir()
