"""No object, text or temporary file without a File, wherever a process is killed, and whoever races whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from pipeline_services import Pipeline, open_pipeline
from starlette.requests import ClientDisconnect

from penstock.database.files import NewFile, insert_file
from penstock.database.unclaimed import reserve_object
from penstock.errors import ServiceUnavailable, TooLarge
from penstock.failpoints import VARIABLE
from penstock.models import EMBEDDING_QUEUE, File, FileStatus, IngestRequest
from penstock.objects import object_key
from penstock.pipeline import claim
from penstock.pipeline.change import delete, reingest
from penstock.pipeline.submit import Description, submit, submit_reference
from penstock.work_folders import delete_abandoned_folders

TEXT = "\n\n".join(f"Paragraph {n} tells of weir number {n}. " * 12 for n in range(20))
STEP = Path(__file__).with_name("killed_step.py")


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://384") as opened:
        yield opened


class Killer(Protocol):
    async def __call__(self, point: str, step: str, file: File | None = None) -> None: ...


@pytest.fixture
def kill_at(migrated_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Killer:
    """Runs a step in a process of its own, which dies by kill -9 at a point and leaves what it leaves."""
    for name in ("points", "temporary"):
        (tmp_path / name).mkdir()
    environment = {**os.environ, VARIABLE: str(tmp_path / "points"), "TMPDIR": str(tmp_path / "temporary")}

    async def kill(point: str, step: str, file: File | None = None) -> None:
        (tmp_path / "points" / point).touch()
        command = [sys.executable, str(STEP), step, migrated_url, redis_url, str(tmp_path)]
        command += [str(file.file_id)] if file else []
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(folders_in(tmp_path / "temporary")) == 1, "the killed process left its folder"
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        assert delete_abandoned_folders() == 1
        assert folders_in(tmp_path / "temporary") == []

    return kill


def folders_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def make_all_due(pipeline: Pipeline) -> None:
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update unclaimed_objects set due_at = clock_timestamp() - interval '1 second'")


async def assert_nothing_is_left(pipeline: Pipeline) -> None:
    """After the sweep the store has what belongs to Files, all of it and nothing else."""
    await make_all_due(pipeline)
    await pipeline.sweep()
    assert pipeline.objects() == await pipeline.claimed()
    assert await pipeline.values(b"select object_key from unclaimed_objects") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "point", "files"),
    [
        ("submit", "submit.key_reserved", 0),
        ("submit", "submit.object_stored", 0),
        ("submit", "submit.file_recorded", 1),
        ("refuse", "claim.object_released", 0),
    ],
)
async def test_an_api_killed_in_an_upload_leaves_nothing(
    pipeline: Pipeline, kill_at: Killer, step: str, point: str, files: int
) -> None:
    await kill_at(point, step)
    assert len(await pipeline.values(b"select 1 from files")) == files
    await assert_nothing_is_left(pipeline)
    assert len(pipeline.objects()) == files


@pytest.mark.slow
@pytest.mark.parametrize("point", ["ingest.begun", "ingest.text_stored", "ingest.chunks_recorded"])
async def test_a_killed_ingester_leaves_no_text_and_no_copy_of_the_file(
    pipeline: Pipeline, kill_at: Killer, point: str
) -> None:
    file = await pipeline.submit(TEXT)
    await kill_at(point, "ingest", file)
    await assert_nothing_is_left(pipeline)
    await pipeline.run()
    assert (await pipeline.file(file.file_id)).status in (FileStatus.COMPLETE, FileStatus.EMBEDDING)
    await delete(file.file_id, database=pipeline.services.database, store=pipeline.services.store)
    assert pipeline.objects() == set()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["delete.file_deleted", "sweep.object_deleted", "sweep.objects_forgotten"])
async def test_a_process_killed_in_a_deletion_leaves_nothing(pipeline: Pipeline, kill_at: Killer, point: str) -> None:
    file = await pipeline.submit(TEXT)
    await pipeline.run()
    await kill_at(point, "delete", file)
    await assert_nothing_is_left(pipeline)
    assert pipeline.objects() == set()


async def test_a_late_claim_waits_for_the_sweep_and_then_fails(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = uuid4()
    key = object_key(file_id)
    await reserve_and_write(pipeline, key)
    await make_all_due(pipeline)
    sweeping, go_on = asyncio.Event(), asyncio.Event()
    wipe = pipeline.services.store.wipe

    async def slow_wipe(asked: str) -> None:
        await wipe(asked)
        sweeping.set()
        await go_on.wait()

    monkeypatch.setattr(pipeline.services.store, "wipe", slow_wipe)
    sweep = asyncio.create_task(pipeline.sweep())
    await sweeping.wait()
    late = asyncio.create_task(record(pipeline, file_id, key))
    go_on.set()
    assert await sweep == 1
    with pytest.raises(ServiceUnavailable, match="took too long"):
        await late
    assert await pipeline.values(b"select 1 from files") == []
    assert pipeline.objects() == set()


async def test_what_is_due_can_neither_be_claimed_nor_extended(pipeline: Pipeline) -> None:
    """A sweep that died between the object and its row has deleted the object already."""
    file_id = uuid4()
    key = object_key(file_id)
    await reserve_and_write(pipeline, key)
    await make_all_due(pipeline)
    async with pipeline.services.database.transaction() as rows:
        await claim.extend_object(rows, key)
    with pytest.raises(ServiceUnavailable, match="took too long"):
        await record(pipeline, file_id, key)
    await assert_nothing_is_left(pipeline)


async def test_a_sweep_leaves_alone_what_is_being_claimed(pipeline: Pipeline) -> None:
    file_id = uuid4()
    key = object_key(file_id)
    await reserve_and_write(pipeline, key)
    async with pipeline.services.database.transaction() as rows:
        await insert_file(rows, new_file(file_id, key))
        assert await pipeline.sweep() == 0
    await assert_nothing_is_left(pipeline)
    assert pipeline.objects() == {key}


async def test_two_ingesters_with_the_same_message_keep_the_text_of_the_winner(pipeline: Pipeline) -> None:
    for _ in range(5):
        file = await pipeline.submit(TEXT + str(uuid4()))
        request = IngestRequest(file_id=file.file_id, generation=1)
        await asyncio.gather(*(pipeline.ingest(request) for _ in range(3)))
        [(key,)] = await pipeline.values(b"select text_key from files where file_id = %s", file.file_id)
        assert await pipeline.services.store.size(str(key)) > 0
    await assert_nothing_is_left(pipeline)
    assert len(pipeline.objects()) == 2 * 5


async def test_a_generation_that_search_never_saw_goes_with_the_next(pipeline: Pipeline) -> None:
    file = await pipeline.submit(TEXT)
    await pipeline.run()
    await again(pipeline, file)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=2))
    pipeline.asked.messages[EMBEDDING_QUEUE].clear()
    await again(pipeline, file)
    assert await pipeline.values(b"select distinct generation from chunks") == [(1,)]
    await pipeline.run()
    assert await pipeline.values(b"select distinct generation from chunks") == [(3,)]
    await assert_nothing_is_left(pipeline)
    assert len(pipeline.objects()) == 2


async def test_reingesting_and_deleting_while_vectors_are_recorded_never_deadlocks(pipeline: Pipeline) -> None:
    """Who records vectors and who deletes Chunks both lock the File first."""
    for _ in range(10):
        file = await pipeline.submit(TEXT + str(uuid4()))
        await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
        whole = pipeline.asked.take(EMBEDDING_QUEUE)
        assert whole is not None
        parts = [whole.model_copy(update={"chunk_ids": whole.chunk_ids[n::3]}) for n in range(3)]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        await asyncio.gather(*(pipeline.embed(part) for part in parts), again(pipeline, file))  # pyright: ignore[reportArgumentType]
        await asyncio.gather(
            pipeline.run(), delete(file.file_id, database=pipeline.services.database, store=pipeline.services.store)
        )
    await assert_nothing_is_left(pipeline)
    assert pipeline.objects() == set()
    assert await pipeline.values(b"select 1 from chunks") == []


async def test_an_object_that_a_user_referenced_is_never_swept(pipeline: Pipeline) -> None:
    services = pipeline.services
    owner = await pipeline.submit(TEXT)
    reference = await submit_reference(
        Description("same.txt"),
        owner.object_key,
        database=services.database,
        store=services.store,
        dispatcher=pipeline.dispatcher,
    )
    await delete(owner.file_id, database=services.database, store=services.store)
    assert pipeline.objects() == {owner.object_key}
    await delete(reference.file_id, database=services.database, store=services.store)
    await make_all_due(pipeline)
    await pipeline.sweep()
    assert pipeline.objects() == {owner.object_key}


async def test_a_refused_upload_and_a_client_that_went_away_leave_nothing_at_once(pipeline: Pipeline) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        raise ClientDisconnect

    for content, max_bytes, error in ((broken(), 10_000_000, ClientDisconnect), (broken(), 100, TooLarge)):
        with pytest.raises(error):
            await submit(
                Description("x"),
                content,
                max_bytes=max_bytes,
                database=pipeline.services.database,
                store=pipeline.services.store,
                dispatcher=pipeline.dispatcher,
            )
    assert pipeline.objects() == set()
    assert await pipeline.values(b"select 1 from unclaimed_objects union all select 1 from files") == []


async def test_a_slow_upload_keeps_its_reservation(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "EXTEND_SECONDS", 0.01)

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        async with pipeline.services.database.transaction() as rows:
            await rows.execute("update unclaimed_objects set due_at = clock_timestamp() + interval '1 minute'")
        while not await pipeline.values(
            b"select 1 from unclaimed_objects where due_at > now() + interval '50 minutes'"
        ):
            await asyncio.sleep(0.01)
        yield b"last"

    services = pipeline.services
    file = await submit(
        Description("x"),
        slow(),
        max_bytes=100,
        database=services.database,
        store=services.store,
        dispatcher=pipeline.dispatcher,
    )
    assert pipeline.objects() == {file.object_key}


async def test_one_object_that_cannot_be_deleted_holds_up_no_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sorted(object_key(uuid4()) for _ in range(50))
    for key in keys:
        await reserve_and_write(pipeline, key)
    await make_all_due(pipeline)
    wipe = pipeline.services.store.wipe

    async def refuse_the_first(key: str) -> None:
        if key == keys[0]:
            raise ServiceUnavailable("not this one")
        await wipe(key)

    monkeypatch.setattr(pipeline.services.store, "wipe", refuse_the_first)
    assert await pipeline.sweep() == 49
    assert await pipeline.values(b"select object_key from unclaimed_objects") == [(keys[0],)]
    monkeypatch.undo()
    await assert_nothing_is_left(pipeline)


async def reserve_and_write(pipeline: Pipeline, key: str) -> None:
    async with pipeline.services.database.transaction() as rows:
        await reserve_object(rows, key)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"content"

    await pipeline.services.store.write(key, pieces(), max_bytes=100)


def new_file(file_id: UUID, key: str) -> NewFile:
    return NewFile(file_id=file_id, name="x.txt", object_key=key, owns_object=True, size=7, sha256="0" * 64)


async def record(pipeline: Pipeline, file_id: UUID, key: str) -> File:
    async with pipeline.services.database.transaction() as rows:
        return await insert_file(rows, new_file(file_id, key))


async def again(pipeline: Pipeline, file: File) -> File:
    return await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
