"""Traps that tools like ours fell into, each a test named after it; `TRAPS` says where the others are held.

A trap is a sentence from an issue tracker or a source that we have read; its peer stands in brackets.
Not among them yet: a change of the model that means handing everything in again (RAGFlow #11570). Penstock
cannot change the model of what it holds.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from pipeline_services import Pipeline, open_pipeline
from psycopg.rows import DictRow, dict_row
from pydantic import ValidationError

from penstock.database.connection import Database
from penstock.database.files import lookup_files, try_lead
from penstock.embedding.batcher import Batcher
from penstock.embedding.fake import FakeEngine
from penstock.embedding.port import Embedded
from penstock.models import MESSAGE_TYPES, EmbedRequest, Failure, FileStatus, IngestRequest
from penstock.pipeline.change import reingest
from penstock.pipeline.embed import embed
from penstock.pipeline.give_up import give_up
from penstock.pipeline.recover import LEADER, recover

TESTS = Path(__file__).resolve().parents[1]
FAKE = "fake://384"
PARAGRAPHS = "\n\n".join(f"Paragraph {n} tells of weir {n} and its {n % 7} gates. " * 12 for n in range(20))

TRAPS = {
    "pub/sub or LPOP as a work queue: a worker that dies loses the message (redbox)": [
        "contract/queue_contract.py::test_a_dead_workers_messages_are_taken_over_whatever_it_was_called"
    ],
    "with pub/sub every replica gets every message (redbox)": [
        "contract/queue_contract.py::test_each_message_goes_to_one_of_several_workers"
    ],
    "pending entries tied to a consumer name that changes with the host (RAGFlow)": [
        "contract/queue_contract.py::test_a_dead_workers_messages_are_taken_over_whatever_it_was_called"
    ],
    "a consumer group created at `$` (FastStream's default)": [
        "contract/queue_contract.py::test_what_was_published_before_the_first_worker_ever_started_is_delivered"
    ],
    "an eviction policy on the queue's Redis (RAGFlow's Helm chart)": [
        "contract/test_redis_queues.py::test_a_redis_that_can_lose_work_is_told_of_at_the_start"
    ],
    "a visibility timeout shorter than the job, with no heartbeat (Onyx, Celery)": [
        "contract/queue_contract.py::test_work_longer_than_the_lease_keeps_it",
        "contract/worker_processes_contract.py::test_a_library_that_keeps_the_interpreter_does_not_cost_the_lease",
    ],
    "a lock that outlives the takeover target": [
        "integration/test_traps_of_peers.py::test_a_lock_that_outlives_its_holder"
    ],
    "file bytes or secrets inside queue messages (docling-serve, VectorFlow)": [
        "contract/test_redis_queues.py::test_messages_carry_ids_only"
    ],
    "a done mark or content hash written before the work (LlamaIndex #19579, #22638)": [
        "integration/test_traps_of_peers.py::test_a_content_hash_written_before_the_work"
    ],
    "old chunks deleted before new ones exist (LlamaIndex #22639)": [
        "integration/test_pipeline.py::test_reingest_switches_in_one_step_and_search_never_sees_half_a_file"
    ],
    "a status set before the message is safe, with nothing that re-publishes (RAGFlow, Dify)": [
        "integration/test_dispatch.py::test_a_process_that_dies_between_commit_and_publish_loses_nothing",
        "integration/test_pipeline.py::test_recover_announces_what_has_no_message_and_nothing_else",
    ],
    "one bad row that aborts its whole batch for ever (pgai PR 820)": [
        "integration/test_refused_chunks.py::test_fails_its_own_file_and_says_which_chunk_and_why"
    ],
    "swallowed embedding errors that leave text without a vector (Haystack #9141)": [
        "integration/test_traps_of_peers.py::test_swallowed_embedding_errors"
    ],
    "text of a deleted file written after the delete (redbox)": [
        "integration/test_pipeline.py::test_text_of_a_deleted_file_is_not_written_after_the_delete"
    ],
    "random chunk ids: a repeated message duplicates chunks (redbox, VectorFlow)": [
        "integration/test_pipeline.py::test_the_same_messages_twice_and_in_any_order_change_nothing",
        "integration/test_traps_of_peers.py::test_random_chunk_ids",
    ],
    "a database connection held open across an embedding call (Dify #26195)": [
        "integration/test_traps_of_peers.py::test_a_connection_held_open_across_an_embedding_call"
    ],
    "connections that grow with files (R2R #1322)": [
        "integration/test_traps_of_peers.py::test_connections_that_grow_with_files"
    ],
    "timeouts that are decorators without effect (RAGFlow)": [
        "integration/test_parser_pool.py::test_a_parser_that_hangs_is_killed_after_the_time_limit",
        "contract/worker_processes_contract.py::test_a_worker_that_is_deaf_beyond_its_limit_is_killed",
    ],
    "in-process parsing that a library crash takes down (docling-serve)": [
        "integration/test_parser_pool.py::test_a_killer_among_twenty_files_hurts_only_itself"
    ],
    "out of memory while parsing (RAGFlow #3951, docling-serve #366, unstructured #2129)": [
        "integration/test_parser_pool.py::test_a_parser_that_grows_is_killed_at_the_memory_limit"
    ],
    "output that differs under concurrency (docling-serve #701)": [
        "integration/test_determinism.py::test_texts_of_many_languages_are_the_same_at_any_concurrency"
    ],
    "contract drift between two services' message types (redbox PR 113)": [
        "integration/test_traps_of_peers.py::test_contract_drift_between_message_types"
    ],
    "status that stays PARSING after a crash, and re-ingest answers 409 (R2R)": [
        "integration/test_traps_of_peers.py::test_reingest_that_is_refused_after_a_crash"
    ],
    "files stuck or lost after a restart (Onyx, RAGFlow, Dify)": [
        "acceptance/test_one_machine.py::test_killed_workers_lose_nothing_and_double_nothing",
        "integration/test_life_of_a_file.py::test_whatever_happens_each_file_ends_as_an_undisturbed_run_ends_it",
    ],
    "429s that kill indexing (Dify #41112)": [
        "unit/test_retry_policy.py::test_a_service_that_is_away_never_burns_an_attempt",
        "unit/test_outage.py::test_who_is_told_how_long_to_wait_waits_so_long",
        "contract/queue_contract.py::test_a_retry_can_be_free",
    ],
    "no progress (R2R #2222, Onyx #1546)": ["integration/test_traps_of_peers.py::test_no_progress"],
}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_has_its_test(trap: str) -> None:
    for place in TRAPS[trap]:
        module, _, name = place.partition("::")
        assert name in _tests_in(TESTS / module), place


def _tests_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield node.name


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, FAKE) as opened:
        yield opened


LEADING = """
import asyncio, sys
import psycopg
from psycopg.rows import dict_row
from penstock.database.files import try_lead

async def lead():
    rows = await psycopg.AsyncConnection.connect(sys.argv[1], row_factory=dict_row)
    print(await try_lead(rows, int(sys.argv[2])), rows.info.backend_pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(lead())
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill -9", "connection lost", "done"])
async def test_a_lock_that_outlives_its_holder(pipeline: Pipeline, migrated_url: str, end: str) -> None:
    """The leader's lock goes with its work, its connection or its process, whichever ends first."""
    database = pipeline.services.database
    await pipeline.submit("One gate.")
    pipeline.asked.messages.clear()
    async with database.transaction() as rows:
        await rows.execute("update files set announced_at = announced_at - interval '1 minute'")
    if end == "done":  # its connection goes back to the pool, and lives on
        assert await recover(database=database, queues=pipeline.asked) == 1
        async with await psycopg.AsyncConnection[DictRow].connect(migrated_url, row_factory=dict_row) as other:
            assert await try_lead(other, LEADER)
        return
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADING, migrated_url, str(LEADER), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert leader.stdout is not None
        async with asyncio.timeout(30):
            leads, backend = (await leader.stdout.readline()).split()
        assert leads == b"True"
        assert await recover(database=database, queues=pipeline.asked) == 0
        if end == "connection lost":
            await pipeline.values(b"select pg_terminate_backend(%s)", int(backend))
        else:
            leader.kill()
        async with asyncio.timeout(10):
            while await recover(database=database, queues=pipeline.asked) == 0:
                await asyncio.sleep(0.02)
    finally:
        if leader.returncode is None:
            leader.kill()
        await leader.wait()


@pytest.mark.slow
async def test_a_content_hash_written_before_the_work(pipeline: Pipeline) -> None:
    """A file that failed is handed in again, and not taken for one that is there already."""
    file = await pipeline.submit("One gate.")
    message = IngestRequest(file_id=file.file_id, generation=1)
    await give_up(message, Failure(code="gave_up", message="It failed."), database=pipeline.services.database)
    async with pipeline.services.database.transaction() as rows:
        assert await lookup_files(rows, [(file.name, str(file.sha256))]) == [None]


@pytest.mark.slow
async def test_random_chunk_ids(pipeline: Pipeline) -> None:
    """Whoever reads a generation, and however often, writes the same ids; here the first reader's rows are gone."""
    request = IngestRequest(file_id=(await pipeline.submit(PARAGRAPHS)).file_id, generation=1)
    await pipeline.ingest(request)
    first = await pipeline.values(b"select chunk_id from chunks order by index")
    assert len(first) > 1
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("delete from chunks")
        await rows.execute("update files set status = 'queued', text_key = null")
    await pipeline.ingest(request)
    assert await pipeline.values(b"select chunk_id from chunks order by index") == first


class Lying(FakeEngine):
    """Answers fewer vectors than it got texts."""

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        return (await super().embed_documents(texts))[:-1]


@pytest.mark.slow
async def test_swallowed_embedding_errors(pipeline: Pipeline) -> None:
    """A File is complete when every Chunk has its vector, whatever the engine says."""
    file = await pipeline.submit(PARAGRAPHS)
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    batcher = Batcher(Lying(384), batch_tokens=100_000)
    with pytest.raises(RuntimeError, match="the engine answered"):
        await embed(
            _embed_request(pipeline),
            database=pipeline.services.database,
            batcher=batcher,
            model_id=pipeline.embedding.index.model_id,
        )
    await batcher.close()
    assert (await pipeline.file(file.file_id)).status is FileStatus.EMBEDDING
    await pipeline.run()
    done = await pipeline.file(file.file_id)
    assert (done.status, done.embedded_count) == (FileStatus.COMPLETE, done.chunk_count)


def _embed_request(pipeline: Pipeline) -> EmbedRequest:
    return EmbedRequest.model_validate(pipeline.asked.messages["embedding-queue"][0].model_dump())


class Gated(FakeEngine):
    """Is at work until the test opens its gate."""

    def __init__(self) -> None:
        super().__init__(384)
        self.called, self.gate = asyncio.Event(), asyncio.Event()

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        self.called.set()
        await self.gate.wait()
        return await super().embed_documents(texts)


@pytest.mark.slow
async def test_a_connection_held_open_across_an_embedding_call(pipeline: Pipeline) -> None:
    """With one connection in the pool, another step gets it while the engine is at work."""
    await pipeline.submit(PARAGRAPHS)
    await pipeline.ingest(IngestRequest.model_validate(pipeline.asked.messages["ingest-queue"][0].model_dump()))
    settings = pipeline.services.settings.database.model_copy(update={"pool_size": 1, "connect_timeout_seconds": 5})
    database = await Database.open(settings)
    engine = Gated()
    batcher = Batcher(engine, batch_tokens=100_000)
    request, model_id = _embed_request(pipeline), pipeline.embedding.index.model_id
    embedding = asyncio.create_task(embed(request, database=database, batcher=batcher, model_id=model_id))
    try:
        async with asyncio.timeout(10):
            await engine.called.wait()
        async with database.transaction() as rows:  # or `ServiceUnavailable`: the gate is shut until after it
            await rows.execute("select 1")
    finally:
        engine.gate.set()
        await embedding
        await batcher.close()
        await database.close()
    assert (await pipeline.file(request.file_id)).status is FileStatus.COMPLETE


@pytest.mark.slow
async def test_connections_that_grow_with_files(pipeline: Pipeline) -> None:
    """Whatever they call themselves, and however many Files come at once."""
    await asyncio.gather(*(pipeline.submit(f"Gauge {n} was read.") for n in range(50)))
    await pipeline.run()
    ((connections,),) = await pipeline.values(
        b"select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    )
    assert connections in range(1, pipeline.services.settings.database.pool_size + 1)
    ((complete,),) = await pipeline.values(b"select count(*) from files where status = 'complete'")
    assert complete == 50


def test_contract_drift_between_message_types() -> None:
    """What is on a queue when one side is upgraded. Changing these needs a new `version` that the old one refuses."""
    golden = {
        "ingest-queue": '{"version":1,"file_id":"00000000-0000-0000-0000-000000000007","generation":2}',
        "embedding-queue": '{"version":1,"file_id":"00000000-0000-0000-0000-000000000007","generation":2,'
        '"chunk_ids":["00000000-0000-0000-0000-000000000009"]}',
    }
    assert golden.keys() == MESSAGE_TYPES.keys()
    for queue, body in golden.items():
        message = MESSAGE_TYPES[queue].model_validate_json(body)
        assert message.model_dump_json() == body
        older, newer = (body.replace('"version":1', f'"version":{version}') for version in (0, 2))
        for drifted in (older, newer, body.replace("{", '{"owner":"x",', 1)):
            with pytest.raises(ValidationError):
                MESSAGE_TYPES[queue].model_validate_json(drifted)


@pytest.mark.slow
@pytest.mark.parametrize("status", [status.value for status in FileStatus])
async def test_reingest_that_is_refused_after_a_crash(pipeline: Pipeline, status: str) -> None:
    """In whatever status a crash has left a File, it can be read again."""
    file = await pipeline.submit("One gate.")
    await pipeline.run()
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("update files set status = %s", [status])
    again = await reingest(file.file_id, database=pipeline.services.database, dispatcher=pipeline.dispatcher)
    assert (again.status, again.generation) == (FileStatus.QUEUED, 2)
    await pipeline.run()
    assert (await pipeline.file(file.file_id)).status is FileStatus.COMPLETE


@pytest.mark.slow
async def test_no_progress(pipeline: Pipeline) -> None:
    """How far a large File is can be seen while it is embedded."""
    file = await pipeline.submit("\n\n".join(f"Paragraph {n} tells of weir {n}. " * 30 for n in range(400)))
    await pipeline.ingest(IngestRequest(file_id=file.file_id, generation=1))
    seen: list[int] = []
    while message := pipeline.asked.take("embedding-queue"):
        await pipeline.embed(EmbedRequest.model_validate(message.model_dump()))
        seen.append((await pipeline.file(file.file_id)).embedded_count)
    assert len(seen) >= 3
    assert seen == sorted(set(seen))
    assert seen[-1] == (await pipeline.file(file.file_id)).chunk_count
