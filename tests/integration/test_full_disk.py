"""A full disk where files are read is no file's fault."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_services import open_pipeline

from penstock.errors import CorruptFile, WorkFolderFull, is_full
from penstock.models import FileStatus, IngestRequest
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Retry

MIB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 8 MiB, where work folders are made."""
    folder, mount = tmp_path / "small", shutil.which("mount")
    folder.mkdir()
    options = [mount or "mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(options, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, but: int = 0) -> Path:
    filler = folder / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(folder).free - but))
    return filler


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "room"),
    [
        pytest.param(3 * MIB, 2 * MIB, id="while the object is fetched"),
        pytest.param(3 * MIB, 4 * MIB, id="while the child writes the text"),
        pytest.param(200, 0, id="before anything is written"),
    ],
)
async def test_a_file_waits_until_there_is_room(
    small_disk: Path, migrated_url: str, redis_url: str, *, size: int, room: int
) -> None:
    text = ("Gauge 7 was read by the night shift. " * (size // 37 + 1))[:size]
    async with open_pipeline(migrated_url, redis_url, small_disk.parent, "fake://384") as pipeline:
        file = await pipeline.submit(text)
        request = IngestRequest(file_id=file.file_id, generation=1)
        filler = fill(small_disk, but=room)
        with pytest.raises(WorkFolderFull, match=r"No room is left in .*set TMPDIR"):
            await pipeline.ingest(request)
        assert (await pipeline.file(file.file_id)).status is FileStatus.INGESTING
        filler.unlink()
        await pipeline.run()
        done = await pipeline.file(file.file_id)
        assert done.status is FileStatus.COMPLETE


def test_it_burns_no_attempt() -> None:
    verdict = RetryPolicy().after(WorkFolderFull(), 3)
    assert isinstance(verdict, Retry)
    assert not verdict.burns_attempt


def test_a_full_disk_is_seen_behind_what_a_reader_calls_it() -> None:
    with pytest.raises(OSError, match="No space left") as met, Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    assert is_full(met.value)
    damaged = CorruptFile()
    damaged.__cause__ = met.value
    assert is_full(damaged)
    assert not is_full(CorruptFile())
    assert not is_full(FileNotFoundError())
