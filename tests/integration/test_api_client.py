"""The command line's client against the real API: the two are written apart and must not drift."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from by_hand import complete_file, fail
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api

from penstock.cli.client import Client
from penstock.cli.upload import Upload, hash_file
from penstock.errors import InvalidRequest, NotFound, TooLarge
from penstock.models import Failure, FileStatus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(
    module_database_url: str, redis_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    redis_command(redis_server.url, "FLUSHALL")
    with running_api(
        tmp_path_factory.mktemp("api"),
        database_url=module_database_url,
        queue_url=redis_server.url,
        settings={"API_MAX_UPLOAD_MB": "1"},
    ) as running:
        wait_until(running.is_ready)
        yield running


def upload_of(path: Path, content: bytes) -> Upload:
    path.write_bytes(content)
    size, sha256 = hash_file(path)
    return Upload(path, f"folder/{path.name}", size, sha256)


async def test_files_go_in_and_are_followed(api: RunningApi, module_database_url: str, tmp_path: Path) -> None:
    batch = uuid4()
    sent: list[int] = []
    async with Client(api.url) as client:
        upload = upload_of(tmp_path / "größe.txt", uuid4().bytes * 10_000)
        file = await client.add_file(upload, batch=batch, metadata={"team": "ops"}, on_progress=sent.append)
        assert (file.name, file.size, file.sha256) == (upload.name, upload.size, upload.sha256)
        assert (file.metadata, sent[-1]) == ({"team": "ops"}, upload.size)
        other = await client.add_file(
            upload_of(tmp_path / "empty", b""), batch=batch, metadata={}, on_progress=sent.append
        )
        assert (await client.batch(batch)).unsettled == 2

        await to_thread(complete_file, module_database_url, api.objects, str(file.file_id), ["sluice gate"])
        await to_thread(fail, module_database_url, str(other.file_id), Failure(code="no_text", message="None."))
        sums = await client.batch(batch)
        assert (sums.unsettled, sums.files[FileStatus.FAILED], sums.embedded) == (0, 1, 1)
        found = [item async for item in client.files(batch=str(batch), settled_after="2020-01-01T00:00:00+00:00")]
        assert [item.file_id for item in found] == [file.file_id, other.file_id]
        assert found[1].error == Failure(code="no_text", message="None.")

        known = [(upload.name, upload.sha256), (upload.name, "0" * 64)]
        assert [item and item.file_id for item in await client.lookup(known)] == [file.file_id, None]
        (hit,) = await client.search("sluice gate", k=1, mode="hybrid", filters={"file_ids": [str(file.file_id)]})
        assert (hit.text, hit.highlights) == ("sluice gate", [(0, 6), (7, 11)])
        assert not hit.model_fields_set & {"before", "after"}
        (hit,) = await client.search("sluice", k=1, mode="text", filters={}, context=1)
        assert hit.model_fields_set >= {"before", "after"}
        assert (await client.reingest(str(file.file_id))).generation == 2
        await client.delete(str(other.file_id))
        with pytest.raises(NotFound):
            await client.file(str(other.file_id))


async def test_every_page_of_a_long_list(api: RunningApi, tmp_path: Path) -> None:
    batch = uuid4()
    upload = upload_of(tmp_path / "many.txt", b"many")
    async with Client(api.url) as client:
        added = [
            (await client.add_file(upload, batch=batch, metadata={}, on_progress=lambda _: None)).file_id
            for _ in range(205)
        ]
        assert [file.file_id async for file in client.files(batch=str(batch))] == added[::-1]


async def test_errors_come_out_as_they_went_in(api: RunningApi, tmp_path: Path) -> None:
    async with Client(api.url) as client:
        with pytest.raises(TooLarge, match="1 MiB"):
            await client.add_file(
                upload_of(tmp_path / "big", b"x" * 3 * 2**20), batch=uuid4(), metadata={}, on_progress=lambda _: None
            )
        with pytest.raises(InvalidRequest, match=r"body\.query"):
            await client.search(" ", k=1, mode="text", filters={})
        with pytest.raises(InvalidRequest, match="UUID"):
            await client.file("nonsense")
        with pytest.raises(NotFound):
            await client.dead_letter("nonsense")
        assert await client.readiness() == dict.fromkeys(("database", "queue", "object_store", "embedding"), "ok")
        assert set(await client.queues()) == {"ingest-queue", "embedding-queue"}
        assert [letter async for letter in client.dead_letters()] == []
