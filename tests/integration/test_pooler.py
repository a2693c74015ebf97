"""PostgreSQL behind PgBouncer in transaction mode, by TLS, and how many connections a process takes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from database_servers import (
    INSTALLED_POSTGRES,
    PGBOUNCER,
    SERVER_CONNECTIONS,
    Certificate,
    make_certificate,
    pgbouncer_in,
    tls_postgres_in,
)
from pipeline_services import Pipeline, open_pipeline
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from real_servers import RunningServer, free_port, wait_until
from running_api import running_api

from penstock.cli.checks import check_database
from penstock.database import connection
from penstock.database.connection import Database
from penstock.database.files import try_lead
from penstock.database.migrate import migrate, migrations
from penstock.errors import ServiceUnavailable
from penstock.pipeline.change import delete
from penstock.pipeline.recover import LEADER, recover
from penstock.pipeline.search import Query, SearchMode, search
from penstock.settings import DatabaseSettings

pytestmark = pytest.mark.slow
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer installed (Debian: pgbouncer)")
needs_postgres = pytest.mark.skipif(not INSTALLED_POSTGRES, reason="no PostgreSQL with TLS (Debian: postgresql)")


@pytest.fixture(scope="module")
def pooler(postgres_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = pgbouncer_in(tmp_path_factory.mktemp("pooler"), postgres_server.url)
    server.start()
    yield server
    server.stop()


def over(pooler: RunningServer, url: str) -> str:
    """The database of `url`, by way of the pooler."""
    return pooler.url.replace("/penstock", f"/{conninfo_to_dict(url)['dbname']}")


def settings(url: str, **changed: object) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), connect_timeout_seconds=5).model_copy(update=changed)


@dataclass
class Watch:
    """The most connections to one database at one moment, by what they call themselves; "" is all of them."""

    url: str
    most: dict[str, int] = field(default_factory=dict[str, int])

    @asynccontextmanager
    async def looking(self) -> AsyncGenerator[None]:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as rows:
            looks = asyncio.create_task(self._look(rows))
            try:
                yield
            finally:
                looks.cancel()
                await asyncio.wait([looks])
            assert looks.cancelled(), looks.exception()

    async def _look(self, rows: psycopg.AsyncConnection) -> None:
        while True:
            found = await rows.execute(
                "select application_name, count(*) from pg_stat_activity where datname = current_database()"
                " and backend_type = 'client backend' and pid <> pg_backend_pid()"
                " group by rollup (application_name)"
            )
            for name, count in await found.fetchall():
                self.most[name or ""] = max(self.most.get(name or "", 0), count)
            await asyncio.sleep(0.005)


async def hand_in_search_and_delete(pipeline: Pipeline, number: int) -> None:
    file = await pipeline.submit(f"Gauge {number} was read at the weir.\n\n" * 20, f"{number}.txt")
    await pipeline.run()
    query = Query(f"gauge {number}", mode=SearchMode.HYBRID)
    database, embedding = pipeline.services.database, pipeline.embedding
    await search(query, database=database, engine=embedding.engine, index=embedding.index)
    if number % 3 == 0:
        await delete(file.file_id, database=database, store=pipeline.services.store)


@needs_pgbouncer
async def test_everything_at_once_over_two_connections(
    pooler: RunningServer, migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Two processes with pools of eight, and more statements of each kind than psycopg takes to prepare them."""
    watch, url = Watch(migrated_url), over(pooler, migrated_url)
    async with (
        open_pipeline(url, redis_url, tmp_path, "fake://384") as one,
        open_pipeline(url, redis_url, tmp_path, "fake://384") as other,
    ):
        async with watch.looking():
            await asyncio.gather(*(hand_in_search_and_delete((one, other)[n % 2], n) for n in range(24)))
        await asyncio.gather(one.run(), other.run())
        assert await one.values(b"select status, count(*) from files group by status") == [("complete", 16)]
        found = await search(
            Query("weir", k=30, mode=SearchMode.TEXT),
            database=other.services.database,
            engine=other.embedding.engine,
            index=other.embedding.index,
        )
        assert len({hit.file_id for hit in found}) == 16
        assert await one.values(b"select name from pg_prepared_statements") == []
    assert watch.most[""] == SERVER_CONNECTIONS


@contextmanager
def running_worker(folder: Path, role: str, database_url: str, queue_url: str) -> Generator[None]:
    """Reads and writes the objects of `running_api` in the same folder; must end well when it is told to."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")} | {
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": queue_url,
        "PENSTOCK_OBJECT_STORE_URL": (folder / "objects").as_uri(),
        "PENSTOCK_EMBEDDING_MODEL": "fake://384",
        "PENSTOCK_WORKER_HEALTH_PORT": str(free_port()),
    }
    with (folder / f"{role}.log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", "penstock", role], env=environment, stderr=log)
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, (folder / f"{role}.log").read_text()
    finally:
        worker.kill()
        worker.wait(20)


@needs_pgbouncer
def test_processes_take_files_in_and_find_them_over_two_connections(
    pooler: RunningServer, migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    """An API, an Ingester and an Embedder: from the files to a search that finds one."""
    url = over(pooler, migrated_url)
    with (
        running_api(tmp_path, database_url=url, queue_url=redis_url) as api,
        running_worker(tmp_path, "ingester", url, redis_url),
        running_worker(tmp_path, "embedder", url, redis_url),
    ):
        wait_until(api.is_ready, what="the API to be ready")
        for number in range(12):
            content = f"Gauge {number} was read at the weir.\n\n".encode() * 5
            api.http.post("/files", files={"file": (f"{number}.txt", content)}).raise_for_status()
        with psycopg.connect(migrated_url, autocommit=True) as rows:
            counted = "select count(*) from files where status = 'complete'"
            wait_until(lambda: rows.execute(counted).fetchone() == (12,), what="all files to be complete")
            assert rows.execute("select max(ingest_attempt) from files").fetchone() == (1,)
        found = api.http.post("/search", json={"query": "gauge 7", "mode": "text", "k": 1}).raise_for_status().json()
        assert [hit["name"] for hit in found] == ["7.txt"]
    for role in ("api", "ingester", "embedder"):
        assert "Traceback" not in (tmp_path / f"{role}.log").read_text()


@needs_pgbouncer
async def test_one_of_two_leads(pooler: RunningServer, migrated_url: str, redis_url: str, tmp_path: Path) -> None:
    url = over(pooler, migrated_url)
    async with open_pipeline(url, redis_url, tmp_path, "fake://384") as pipeline:
        one, other = pipeline.services.database, await Database.open(settings(url))
        try:
            await pipeline.submit("The message of this one is lost.")
            pipeline.asked.messages.clear()
            async with one.transaction() as rows:
                await rows.execute("update files set announced_at = announced_at - interval '1 minute'")
            async with one.transaction() as rows:
                assert await try_lead(rows, LEADER)
                assert await recover(database=other, queues=pipeline.asked) == 0
            recovering = (recover(database=each, queues=pipeline.asked) for each in (one, other))
            assert sorted(await asyncio.gather(*recovering)) == [0, 1]
        finally:
            await other.close()


@needs_pgbouncer
def test_migrate_and_doctor_see_through_it(pooler: RunningServer, database_url: str) -> None:
    url = over(pooler, database_url)
    assert check_database(settings(url)).advice == "run `penstock migrate`"
    with ThreadPoolExecutor(6) as starting:
        ran = list(starting.map(migrate, [settings(url)] * 6))
    assert sorted(len(run) for run in ran) == [0] * 5 + [len(migrations())]
    found = check_database(settings(url))
    assert (found.state, "behind a pooler" in found.found) == ("ok", True)
    assert "pooler" not in check_database(settings(database_url)).found


async def _prepared_after_ten(url: str, **changed: object) -> int:
    database = await Database.open(settings(url, pool_size=1, **changed))
    try:
        for _ in range(10):
            async with database.statement() as rows:
                await rows.execute("select %s::int", [1])
        async with database.statement() as rows:
            row = await (await rows.execute("select count(*) as prepared from pg_prepared_statements")).fetchone()
        assert row is not None
        return row["prepared"]
    finally:
        await database.close()


async def test_statements_are_prepared_where_no_pooler_is(migrated_url: str) -> None:
    assert await _prepared_after_ten(migrated_url) == 1
    assert await _prepared_after_ten(migrated_url, pooler="transaction") == 0


@needs_pgbouncer
async def test_a_pooler_that_is_not_recognised_is_told_of(
    pooler: RunningServer, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that passes on PostgreSQL's own greeting would be such; PgBouncer is, once nobody looks at its greeting."""

    async def is_pooled(_: object) -> bool:
        return False

    monkeypatch.setattr(connection, "_is_pooled", is_pooled)
    url = over(pooler, migrated_url)
    unaware = [await Database.open(settings(url, pool_size=1)) for _ in range(3)]
    aware = await Database.open(settings(url, pooler="transaction"))
    try:
        with pytest.raises(ServiceUnavailable, match="Set PENSTOCK_DATABASE_POOLER=transaction"):
            await _take_turns(unaware)
        await asyncio.gather(*(_run_often(aware) for _ in range(8)))
    finally:
        await asyncio.gather(*(database.close() for database in (*unaware, aware)))


async def _take_turns(databases: list[Database]) -> None:
    """Three clients that prepare a statement of the same name: two of them on the same of two connections."""
    for database in databases * 10:
        async with database.transaction() as rows:
            await rows.execute("select %s::int", [1])


async def _run_often(database: Database) -> None:
    for number in range(10):
        async with database.transaction() as rows:
            row = await (await rows.execute("select %s::int as it", [number])).fetchone()
        assert row == {"it": number}


@needs_pgbouncer
def test_a_parameter_that_the_pooler_refuses_is_told_of(pooler: RunningServer) -> None:
    with pytest.raises(ServiceUnavailable, match=r"ignore_startup_parameters.*options"):
        migrate(settings(f"{pooler.url}?options=-c%20work_mem%3D8MB"))


# -- how many


async def test_a_process_has_at_most_the_connections_of_its_pool(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    watch = Watch(migrated_url)
    async with (
        watch.looking(),
        open_pipeline(migrated_url, redis_url, tmp_path, "fake://384", PENSTOCK_DATABASE_POOL_SIZE="3") as pipeline,
    ):
        await asyncio.gather(*(hand_in_search_and_delete(pipeline, number) for number in range(24)))
    watch.most.pop("penstock migrate", None)  # which has gone before the pool opens
    assert watch.most == {"penstock test": 3, "": 3}


def test_a_database_without_a_connection_left_is_told_of(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as rows:
        rows.execute("create role crowded login connection limit 0")
        try:
            with pytest.raises(ServiceUnavailable, match=r"no connection left.*PENSTOCK_DATABASE_POOL_SIZE"):
                migrate(settings(migrated_url.replace("postgres@", "crowded@")))
        finally:
            rows.execute("drop role crowded")


# -- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Certificate]]:
    server, certificate = tls_postgres_in(tmp_path_factory.mktemp("tls"))
    server.start()
    yield server.url, certificate
    server.stop()


@needs_postgres
async def test_a_server_is_checked_by_its_certificate(tls: tuple[str, Certificate]) -> None:
    url, certificate = tls
    database = await Database.open(settings(f"{url}?sslmode=verify-full&sslrootcert={certificate.certificate}"))
    try:
        async with database.transaction() as rows:
            found = await rows.execute(
                "select ssl, application_name from pg_stat_ssl join pg_stat_activity using (pid)"
                " where pid = pg_backend_pid()"
            )
            assert await found.fetchone() == {"ssl": True, "application_name": "penstock"}
    finally:
        await database.close()


@needs_postgres
async def test_a_server_that_is_not_the_one_meant_is_told_of(tls: tuple[str, Certificate], tmp_path: Path) -> None:
    url, certificate = tls
    stranger = make_certificate(tmp_path)
    wrong = {
        f"{url}?sslmode=verify-full&sslrootcert={stranger.certificate}": "not from an authority that sslrootcert",
        f"{url.replace('localhost', '127.0.0.1')}?sslmode=verify-full&sslrootcert={certificate.certificate}": (
            "for another name than PENSTOCK_DATABASE_URL"
        ),
        f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/none.crt": "sslrootcert in PENSTOCK_DATABASE_URL names is",
    }
    for wrong_url, sentence in wrong.items():
        with pytest.raises(ServiceUnavailable, match=sentence):
            migrate(settings(wrong_url))
        assert sentence in check_database(settings(wrong_url)).found


@needs_pgbouncer
def test_a_server_without_tls_is_told_of(pooler: RunningServer) -> None:
    with pytest.raises(ServiceUnavailable, match="speaks no TLS, which sslmode in PENSTOCK_DATABASE_URL asks for"):
        migrate(settings(f"{pooler.url}?sslmode=require"))
