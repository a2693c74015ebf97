"""The API with its objects on S3, over HTTP: bytes go past it by URLs, and what is put into the bucket is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api
from watched_bucket import Bucket, bucket_on

from penstock.database.connection import Database
from penstock.objects import ObjectStore
from penstock.pipeline.sweep import sweep
from penstock.settings import DatabaseSettings, ObjectStoreSettings

pytestmark = pytest.mark.slow

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installation:
    """An API on S3 that follows its bucket, and what is behind it."""

    api: RunningApi
    bucket: Bucket
    database_url: str

    def begin(self, name: str = "notes/a.txt", **described: Any) -> JSON:
        answer = self.api.http.post("/files/uploads", json={"name": name, **described})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def complete(self, upload: JSON) -> httpx.Response:
        return self.api.http.post(f"/files/uploads/{upload['upload_id']}/complete")

    def listed(self, name: str) -> list[JSON]:
        return self.api.http.get("/files", params={"name": name}).json()["items"]

    def sweep(self) -> int:
        """As a Worker does, when all that was reserved is due."""
        return asyncio.run(self._sweep())

    async def _sweep(self) -> int:
        database = await Database.open(DatabaseSettings(url=SecretStr(self.database_url)))
        async with database.transaction() as rows:
            await rows.execute("update unclaimed_objects set due_at = clock_timestamp()")
        swept = await sweep(database=database, store=ObjectStore.open(ObjectStoreSettings(url="s3://acme")))
        await database.close()
        return swept


@pytest.fixture(scope="module")
def here(
    aws_server: RunningServer,
    module_database_url: str,
    redis_server: RunningServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    redis_command(redis_server.url, "FLUSHALL")
    bucket = bucket_on(aws_server.url)
    settings = {name.removeprefix("PENSTOCK_"): value for name, value in bucket.settings.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        with running_api(
            tmp_path_factory.mktemp("api"),
            database_url=module_database_url,
            queue_url=redis_server.url,
            settings={**settings, "API_MAX_UPLOAD_MB": "1", "OBJECT_STORE_PRESIGNED_SECONDS": "60"},
        ) as api:
            wait_until(api.is_ready)
            yield Installation(api, bucket, module_database_url)


def write(upload: JSON, content: bytes) -> None:
    """What a client does, who has no credentials."""
    answer = httpx.request(upload["method"], upload["url"], headers=upload["headers"], content=content, trust_env=False)
    answer.raise_for_status()


@pytest.fixture
def unheard(here: Installation) -> Iterator[None]:
    """Nobody tells Penstock of the bucket, so that clients have to."""
    before = here.bucket.s3.get_bucket_notification_configuration(Bucket="acme")["QueueConfigurations"]
    here.bucket.s3.put_bucket_notification_configuration(Bucket="acme", NotificationConfiguration={})
    yield
    here.bucket.s3.put_bucket_notification_configuration(
        Bucket="acme", NotificationConfiguration={"QueueConfigurations": before}
    )


@pytest.mark.usefixtures("unheard")
def test_a_client_writes_by_url_and_says_so(here: Installation) -> None:
    batch = str(uuid4())
    upload = here.begin("notes/ä.txt", batch=batch, metadata={"a": 1})
    assert here.listed("notes/ä.txt") == [], "there is no File before"
    early = here.complete(upload)
    assert (early.status_code, early.json()["code"]) == (404, "object_missing")
    write(upload, b"straight to the store")
    answer = here.complete(upload)
    file = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/files/{upload['upload_id']}")
    assert (file["file_id"], file["name"], file["metadata"]) == (upload["upload_id"], "notes/ä.txt", {"a": 1})
    assert (file["size"], file["status"], file["sha256"]) == (21, "queued", None)
    assert here.complete(upload).json() == file, "said again, it is the same"
    assert here.api.http.get(f"/batches/{batch}").json()["bytes"] == 21
    assert here.api.http.delete(f"/files/{file['file_id']}").status_code == 204
    assert file["object_key"] not in here.bucket.objects()
    assert here.complete(upload).status_code == 404


@pytest.mark.usefixtures("unheard")
def test_an_upload_beyond_the_limit_is_refused_and_deleted(here: Installation) -> None:
    upload = here.begin()
    write(upload, bytes(2**20 + 1))
    answer = here.complete(upload)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert f"uploads/{upload['upload_id']}" not in here.bucket.objects()
    assert here.complete(upload).status_code == 404


@pytest.mark.usefixtures("unheard")
def test_an_upload_that_nobody_completes_is_swept(here: Installation) -> None:
    upload, other = here.begin(), here.begin("other.txt")
    write(upload, b"forgotten")
    assert f"uploads/{upload['upload_id']}" in here.bucket.objects()
    assert here.sweep() >= 2
    assert f"uploads/{upload['upload_id']}" not in here.bucket.objects()
    for each in (upload, other):
        answer = here.complete(each)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_upload_that_the_bucket_tells_of_needs_no_word(here: Installation) -> None:
    upload = here.begin("told.txt")
    write(upload, b"told")
    wait_until(lambda: here.listed("told.txt"))
    (file,) = here.listed("told.txt")
    assert (file["file_id"], file["size"]) == (upload["upload_id"], 4)
    assert here.complete(upload).json()["file_id"] == upload["upload_id"]


def test_what_is_put_into_the_bucket_is_taken_whatever_else_is_told(here: Installation) -> None:
    here.bucket.send("no event")
    here.bucket.put("inbox/2026/dropped.txt", b"dropped")
    wait_until(lambda: here.listed("2026/dropped.txt"))
    wait_until(lambda: here.bucket.waiting() == (0, 1), what="all but the poison is deleted")
    assert "event_unusable" in here.api.log
    here.bucket.remove("inbox/2026/dropped.txt")
    wait_until(lambda: not here.listed("2026/dropped.txt"))


def test_bytes_come_back_through_the_api_or_by_url(here: Installation) -> None:
    answer = here.api.http.post("/files", params={"name": "reports/Bericht ü.txt"}, content=b"the bytes")
    path = f"/files/{answer.json()['file_id']}/content"
    plain = here.api.http.get(path)
    assert (plain.status_code, plain.content) == (200, b"the bytes")
    assert plain.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Bericht%20%C3%BC.txt"
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    led = here.api.http.get(path, params={"presigned": "true"})
    assert (led.status_code, led.headers["Cache-Control"]) == (307, "no-store")
    assert led.headers["Location"].startswith(f"{here.bucket.url}/acme/files/")
    assert "X-Amz-Expires=60" in led.headers["Location"]
    assert httpx.get(led.headers["Location"], trust_env=False).content == b"the bytes"
    here.bucket.remove(answer.json()["object_key"])
    for query in ({}, {"presigned": "true"}):
        missing = here.api.http.get(path, params=query)
        assert (missing.status_code, missing.json()["code"]) == (404, "object_missing")


async def test_clients_may_reach_the_store_by_another_address(here: Installation) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in here.bucket.environment.items():
            patch.setenv(name, value)
        store = ObjectStore.open(ObjectStoreSettings(url="s3://acme", public_endpoint="https://objects.example.org"))
        request = await store.presign("PUT", "uploads/a", seconds=10)
        assert request.url.startswith("https://objects.example.org/acme/uploads/a?")
        assert await store.look("nothing") is None, "we reach it by its own"


async def test_a_store_on_azure_wants_to_be_told_what_is_written() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "acme")
        patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
        store = ObjectStore.open(ObjectStoreSettings(url="az://container"))
        request = await store.presign("PUT", "uploads/a", seconds=10)
        assert request.url.startswith("https://acme.blob.core.windows.net/container/uploads/a?")
        assert request.headers == {"x-ms-blob-type": "BlockBlob"}
        assert (await store.presign("GET", "uploads/a", seconds=10)).headers == {}
