"""Which files `penstock add` finds under the paths given, and what it calls them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.cli.walk import Found, NotFoundHere, walk


def names(paths: Sequence[Path], *, recursive: bool = False) -> list[str]:
    return [found.name for found in walk(paths, recursive=recursive) if isinstance(found, Found)]


def problems(paths: Sequence[Path], *, recursive: bool = False) -> dict[str, str]:
    found = walk(paths, recursive=recursive)
    return {item.name: item.error.code for item in found if isinstance(item, NotFoundHere)}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for name in ("b.md", "a.md", ".hidden.md", "sub/c.md", "sub/deeper/d.md", ".git/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_file_keeps_its_name_and_a_folder_gives_its_direct_files(docs: Path) -> None:
    assert names([docs / "sub" / "c.md", docs]) == ["c.md", "docs/a.md", "docs/b.md"]


def test_recursive_gives_the_files_of_subfolders_but_not_hidden_ones(docs: Path) -> None:
    assert names([docs], recursive=True) == ["docs/a.md", "docs/b.md", "docs/sub/c.md", "docs/sub/deeper/d.md"]


def test_a_hidden_file_that_is_named_is_meant(docs: Path) -> None:
    assert names([docs / ".hidden.md"]) == [".hidden.md"]


def test_the_present_folder_has_a_name(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(docs)
    assert names([Path()]) == ["docs/a.md", "docs/b.md"]
    assert names([Path("sub/..")]) == ["docs/a.md", "docs/b.md"]


def test_links_in_a_circle_are_walked_once(docs: Path) -> None:
    (docs / "sub" / "up").symlink_to(docs)
    (docs / "sub" / "itself").symlink_to(docs / "sub" / "itself")
    assert len(names([docs], recursive=True)) == 4
    assert problems([docs], recursive=True) == {"docs/sub/itself": "unreadable"}


def test_what_is_not_there_is_told_by_name_and_the_others_go_on(docs: Path) -> None:
    (docs / "broken.md").symlink_to(docs / "nowhere")
    paths = [docs / "missing.md", docs]
    assert problems(paths) == {"missing.md": "not_found", "docs/broken.md": "not_found"}
    assert names(paths) == ["docs/a.md", "docs/b.md"]


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    assert problems([tmp_path / "pipe"]) == {"pipe": "unreadable"}
    assert not list(walk([tmp_path], recursive=False))


def test_a_name_that_is_no_utf_8_becomes_one(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("latin")
    assert names([folder]) == ["d/caf\ufffd.txt"]


def test_a_deep_tree_is_walked_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(600):
        folder /= "d"
    os.makedirs(folder)  # noqa: PTH103  # pathlib's is recursive
    (folder / "f.txt").write_text("deep")
    assert names([tmp_path], recursive=True) == [f"{tmp_path.name}/{'d/' * 600}f.txt"]
