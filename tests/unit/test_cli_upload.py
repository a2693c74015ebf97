"""The body of an upload, read back by the multipart parser of another project."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from penstock.cli.upload import PIECE_BYTES, Upload, hash_file
from penstock.errors import Unreadable


def upload_of(path: Path) -> Upload:
    size, sha256 = hash_file(path)
    return Upload(path=path, name="n", size=size, sha256=sha256)


@pytest.mark.parametrize("content", [b"", b"--penstock-\r\n\r\n", bytes(range(256)) * 3000])
async def test_the_body_is_one_file_part_of_the_length_it_says(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    upload = upload_of(path)
    progress: list[int] = []
    sent = [piece async for piece in upload.body(progress.append)]
    assert sum(map(len, sent)) == int(upload.headers["Content-Length"])
    assert max(map(len, sent)) <= PIECE_BYTES

    async def stream() -> AsyncGenerator[bytes]:
        for piece in sent:
            yield piece

    form = await MultiPartParser(Headers(upload.headers), stream()).parse()
    part = form["file"]
    assert isinstance(part, UploadFile)
    assert await part.read() == content
    await form.close()
    assert upload.sha256 == hashlib.sha256(content).hexdigest()
    assert (progress[0], progress[-1]) == (0, len(content))


async def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one")
    upload = upload_of(path)
    path.write_bytes(b"one two")
    sent = b"".join([piece async for piece in upload.body(lambda _: None)])
    assert len(sent) == int(upload.headers["Content-Length"])


async def test_a_file_that_shrinks_or_vanishes_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one two")
    upload = upload_of(path)
    path.write_bytes(b"one")
    with pytest.raises(Unreadable, match="became shorter"):
        _ = [piece async for piece in upload.body(lambda _: None)]
    path.unlink()
    with pytest.raises(Unreadable, match="No such file"):
        _ = [piece async for piece in upload.body(lambda _: None)]
    with pytest.raises(Unreadable, match="No such file"):
        hash_file(path)
