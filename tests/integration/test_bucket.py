"""What somebody puts into the bucket is a File: S3's own events, emulated over HTTP, on a real database."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from real_servers import RunningServer
from watched_bucket import Bucket, bucket_on

from penstock.database.files import FileFilter, list_files
from penstock.errors import EventUnusable, ObjectForbidden, ServiceUnavailable
from penstock.models import File, FileStatus
from penstock.objects import FoundObject, ObjectStore
from penstock.pipeline.change import delete
from penstock.pipeline.mirror import Watched, heed
from penstock.pipeline.submit import Description, submit
from penstock.queues.bucket_events import read_events
from penstock.services import Services, open_services
from penstock.settings import load_settings

pytestmark = pytest.mark.slow
MEBIBYTE = 2**20


@dataclass
class Follower:
    """A Penstock whose bucket's events a test delivers by hand."""

    bucket: Bucket
    services: Services
    watched: Watched

    async def heed(self, body: str) -> None:
        services = self.services
        await heed(
            body,
            watched=self.watched,
            database=services.database,
            store=services.store,
            dispatcher=services.dispatcher,
        )

    async def follow(self) -> None:
        """Deliver all that S3 has sent."""
        for body in self.bucket.told():
            await self.heed(body)

    async def put(self, key: str, content: bytes = b"hello") -> None:
        self.bucket.put(key, content)
        await self.follow()

    async def files(self) -> list[File]:
        async with self.services.database.transaction() as rows:
            return await list_files(rows, FileFilter(), limit=100)

    async def file(self) -> File:
        """The only one."""
        (file,) = await self.files()
        return file

    async def become(self, status: FileStatus) -> None:
        async with self.services.database.transaction() as rows:
            await rows.execute("update files set status = %s, active_generation = generation", [status])


@pytest.fixture
def bucket(aws_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = bucket_on(aws_server.url)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
async def here(bucket: Bucket, migrated_url: str, redis_url: str) -> AsyncGenerator[Follower]:
    settings = load_settings(
        {
            "PENSTOCK_DATABASE_URL": migrated_url,
            "PENSTOCK_QUEUE_URL": redis_url,
            "PENSTOCK_API_MAX_UPLOAD_MB": "1",
            **bucket.settings,
        }
    )
    async with open_services(settings, role="test") as services:
        yield Follower(bucket, services, Watched.of(settings))


async def test_an_object_is_a_file_as_long_as_it_is_there(here: Follower) -> None:
    await here.put("inbox/2026/annual report +é%20.pdf", b"%PDF")
    file = await here.file()
    assert (file.name, file.object_key) == (
        "2026/annual report +é%20.pdf",
        "inbox/2026/annual report +é%20.pdf",
    )
    assert (file.size, file.sha256, file.status, file.generation) == (4, None, FileStatus.QUEUED, 1)
    here.bucket.remove("inbox/2026/annual report +é%20.pdf")
    await here.follow()
    assert await here.files() == []


async def test_an_object_that_is_overwritten_is_another_generation_of_its_file(here: Follower) -> None:
    await here.put("inbox/a.txt", b"one")
    first = await here.file()
    await here.become(FileStatus.COMPLETE)
    await here.put("inbox/a.txt", b"another")
    file = await here.file()
    assert (file.file_id, file.generation, file.active_generation) == (first.file_id, 2, 1)
    assert (file.size, file.sha256, file.status) == (7, None, FileStatus.QUEUED)


async def test_events_that_come_twice_or_late_change_nothing(here: Follower) -> None:
    here.bucket.put("inbox/a.txt", b"one")
    here.bucket.remove("inbox/a.txt")
    here.bucket.put("inbox/a.txt", b"two")
    test_event, *events = here.bucket.told()
    assert "s3:TestEvent" in test_event
    assert len(events) == 3
    for body in [test_event, *events, *reversed(events), *events]:
        await here.heed(body)
    file = await here.file()
    assert (file.size, file.generation) == (3, 1)
    here.bucket.remove("inbox/a.txt")
    (removed,) = here.bucket.told()
    for body in [removed, *events, removed]:
        await here.heed(body)
    assert await here.files() == []
    for body in events:  # of what is gone
        await here.heed(body)
    assert await here.files() == []


async def test_the_same_bytes_again_are_read_again_only_where_they_failed(here: Follower) -> None:
    await here.put("inbox/a.txt")
    await here.become(FileStatus.COMPLETE)
    modified(here.bucket, "inbox/a.txt")
    await here.follow()
    assert (await here.file()).generation == 1
    await here.become(FileStatus.FAILED)
    await here.heed(created("inbox/a.txt"))
    assert (await here.file()).generation == 1, "the event came twice"
    modified(here.bucket, "inbox/a.txt")
    await here.follow()
    assert (await here.file()).generation == 2


def modified(bucket: Bucket, key: str) -> None:
    """Written again with what it has, in another second: S3 knows no finer time."""
    before = bucket.s3.head_object(Bucket="acme", Key=key)["LastModified"]
    while bucket.s3.head_object(Bucket="acme", Key=key)["LastModified"] == before:
        bucket.put(key)


def created(key: str, *, bucket: str = "acme") -> str:
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
    return json.dumps({"Records": [record]})


def gone(key: str) -> str:
    record = {"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "acme"}, "object": {"key": key}}}
    return json.dumps({"Records": [record]})


async def test_a_file_that_its_user_deleted_comes_back_with_another_object_only(here: Follower) -> None:
    await here.put("inbox/a.txt", b"one")
    first = await here.file()
    await delete(first.file_id, database=here.services.database, store=here.services.store)
    assert here.bucket.objects() == {"inbox/a.txt"}, "the object is the user's"
    await here.heed(created("inbox/a.txt"))
    assert await here.files() == []
    await here.put("inbox/a.txt", b"two")
    assert (await here.file()).file_id != first.file_id


async def test_an_object_of_many_parts_is_one_file(here: Follower) -> None:
    s3, which = here.bucket.s3, {"Bucket": "acme", "Key": "inbox/long.bin"}
    upload = s3.create_multipart_upload(**which)["UploadId"]
    parts: list[dict[str, Any]] = []
    for number, content in ((1, bytes(5 * MEBIBYTE)), (2, b"end")):
        made = s3.upload_part(**which, UploadId=upload, PartNumber=number, Body=content)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    await here.follow()
    assert await here.files() == []
    s3.complete_multipart_upload(**which, UploadId=upload, MultipartUpload={"Parts": parts})
    bodies = here.bucket.told()
    assert any("ObjectCreated:CompleteMultipartUpload" in body for body in bodies)
    for body in bodies:
        await here.heed(body)
    assert (await here.file()).size == 5 * MEBIBYTE + 3


async def test_an_object_beyond_the_limit_is_a_file_that_says_so(here: Follower) -> None:
    await here.put("inbox/a.txt", bytes(MEBIBYTE + 1))
    file = await here.file()
    assert (file.status, file.error and file.error.code) == (FileStatus.FAILED, "too_large")
    assert file.error is not None
    assert "PENSTOCK_API_MAX_UPLOAD_MB" in file.error.message
    await here.put("inbox/a.txt", b"short")
    file = await here.file()
    assert (file.status, file.generation, file.error) == (FileStatus.QUEUED, 2, None)


async def test_in_a_bucket_with_versions_the_latest_counts(here: Follower) -> None:
    """A deletion leaves a marker, without which the object is there again; old versions may go."""
    s3 = here.bucket.s3
    s3.put_bucket_versioning(Bucket="acme", VersioningConfiguration={"Status": "Enabled"})
    await here.put("inbox/a.txt", b"one")
    await here.put("inbox/a.txt", b"two!")
    assert ((await here.file()).size, (await here.file()).generation) == (4, 2)
    old = s3.list_object_versions(Bucket="acme")["Versions"][-1]["VersionId"]
    here.bucket.remove("inbox/a.txt", VersionId=old)
    await here.heed(gone("inbox/a.txt"))  # moto tells nobody of a version
    assert (await here.file()).generation == 2
    here.bucket.remove("inbox/a.txt")
    await here.follow()
    await here.heed(gone("inbox/a.txt"))
    assert await here.files() == []
    marker = s3.list_object_versions(Bucket="acme")["DeleteMarkers"][0]["VersionId"]
    here.bucket.remove("inbox/a.txt", VersionId=marker)
    await here.heed(gone("inbox/a.txt"))
    assert (await here.file()).size == 4


async def test_what_penstock_writes_is_no_input_whatever_the_prefix(here: Follower) -> None:
    here.watched = Watched(here.watched.bucket, here.watched.root, "", here.watched.max_bytes)
    await here.follow()
    services = here.services
    file = await submit(
        Description("a.txt"),
        one(b"uploaded"),
        max_bytes=100,
        database=services.database,
        store=services.store,
        dispatcher=services.dispatcher,
    )
    await services.store.check()
    bodies = here.bucket.told()
    told = {event.key for body in bodies for event in read_events(body)}
    assert file.object_key in told
    assert any(key.startswith("checks/") for key in told)
    for body in bodies:
        await here.heed(body)
    assert await here.files() == [file]
    await here.put("a.txt")
    assert len(await here.files()) == 2


async def one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_of_two_who_look_at_once_the_later_look_counts(here: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever recorded an object that is gone by then would leave a File that no event takes away."""
    here.bucket.put("inbox/a.txt")
    look, looks = ObjectStore.look, 0

    async def look_slowly(store: ObjectStore, key: str) -> FoundObject | None:
        nonlocal looks
        looks += 1
        found = await look(store, key)
        if looks == 1:  # between this look and what comes of it
            here.bucket.remove(key)
            await here.heed(gone(key))
        return found

    monkeypatch.setattr(ObjectStore, "look", look_slowly)
    await here.heed(created("inbox/a.txt"))
    assert looks == 3
    assert await here.files() == []


async def test_an_object_that_never_rests_waits(here: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    here.bucket.put("inbox/a.txt")
    look = ObjectStore.look

    async def looked_at_by_all(store: ObjectStore, key: str) -> FoundObject | None:
        async with here.services.database.transaction() as rows:
            await rows.execute(
                "insert into bucket_objects as known (object_key) values (%s)"
                " on conflict (object_key) do update set revision = known.revision + 1",
                [key],
            )
        return await look(store, key)

    monkeypatch.setattr(ObjectStore, "look", looked_at_by_all)
    with pytest.raises(ServiceUnavailable, match="changes all the time"):
        await here.heed(created("inbox/a.txt"))


async def test_what_cannot_be_followed_does_not_keep_the_rest(here: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    here.bucket.put("inbox/a.txt")
    records = [
        json.loads(created(key, bucket=name))["Records"][0] for name, key in (("b", "x"), ("acme", "inbox/a.txt"))
    ]
    with pytest.raises(EventUnusable, match="of the bucket 'b'"):
        await here.heed(json.dumps({"Records": records}))
    assert (await here.file()).name == "a.txt"

    async def forbidden(store: ObjectStore, key: str) -> FoundObject | None:
        raise ObjectForbidden

    monkeypatch.setattr(ObjectStore, "look", forbidden)
    with pytest.raises(ObjectForbidden):
        await here.heed(created("inbox/a.txt"))


async def test_what_is_long_gone_is_forgotten(here: Follower) -> None:
    for key in ("inbox/a", "inbox/b", "inbox/c"):
        await here.heed(gone(key))
    async with here.services.database.transaction() as rows:
        await rows.execute("update bucket_objects set seen_at = seen_at - interval '2 days'")
    await here.heed(gone("inbox/d"))
    async with here.services.database.transaction() as rows:
        left = await (await rows.execute("select count(*) as left from bucket_objects")).fetchone()
    assert left == {"left": 2}
