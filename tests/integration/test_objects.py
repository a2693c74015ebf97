"""The object store on a folder and on S3 over real HTTP: streamed in, streamed out, and nothing half."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from real_servers import free_port, wait_until

from penstock.errors import ObjectMissing, ServiceUnavailable, TooLarge
from penstock.objects import ObjectStore, object_key, text_key
from penstock.settings import ObjectStoreSettings

pytestmark = pytest.mark.slow
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """An S3 of this module alone."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_until(lambda: _answers(url), what="the S3 server")
        httpx.put(f"{url}/bucket").raise_for_status()
        yield url
        server.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "file":
        return ObjectStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/objects"))
    for name, value in {
        "AWS_ENDPOINT_URL": request.getfixturevalue("s3_endpoint"),
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return ObjectStore.open(ObjectStoreSettings(url=f"s3://bucket/{uuid4()}"))


async def pieces(count: int) -> AsyncGenerator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * MEBIBYTE


async def test_what_is_written_is_read_with_its_hash(store: ObjectStore, tmp_path: Path) -> None:
    key = object_key(uuid4())
    written = await store.write(key, pieces(12), max_bytes=100 * MEBIBYTE)
    assert written.size == await store.size(key) == 12 * MEBIBYTE
    assert await store.read_to(key, tmp_path / "copy") == written


async def test_nothing_is_stored_of_what_is_too_large(store: ObjectStore) -> None:
    key = object_key(uuid4())
    with pytest.raises(TooLarge):
        await store.write(key, pieces(12), max_bytes=8 * MEBIBYTE)
    with pytest.raises(ObjectMissing):
        await store.size(key)


async def test_deleting_twice_is_no_error(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("extracted")
    key = text_key(uuid4(), 1)
    await store.write_file(key, tmp_path / "text")
    assert await store.size(key) == len("extracted")
    await store.wipe(key)
    await store.wipe(key)
    await store.check()


KILLED_WRITER = """
import asyncio, os, signal, sys
from penstock.objects import ObjectStore
from penstock.settings import ObjectStoreSettings

async def pieces():
    for _ in range(12):
        yield bytes(2**20)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(ObjectStore.open(ObjectStoreSettings(url=sys.argv[1])).write(sys.argv[2], pieces(), max_bytes=2**30))
"""


async def test_what_a_killed_writer_left_in_a_folder_is_wiped(tmp_path: Path) -> None:
    url, key, other = f"file://{tmp_path}/objects", text_key(uuid4(), 1), object_key(uuid4())
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED_WRITER, url, key])
    assert files_in(tmp_path / "objects") == [f"{key}#1"], "the writer left its half"
    store = ObjectStore.open(ObjectStoreSettings(url=url))
    await store.write(other, pieces(1), max_bytes=MEBIBYTE)
    await store.wipe(key)
    assert files_in(tmp_path / "objects") == [other]
    assert not (tmp_path / "objects" / "text").exists(), "empty folders go too"


def files_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


async def test_a_store_that_is_away_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(ServiceUnavailable, match="object store does not answer"):
        await ObjectStore.open(ObjectStoreSettings(url="s3://bucket")).size("x")
