"""Migrations and the pool, on real PostgreSQL."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from pipeline_services import open_pipeline
from pydantic import SecretStr
from real_servers import RunningServer

import penstock
from penstock.database.connection import Database, Rows, do_not_wait_for_disk
from penstock.database.embeddings import register_model
from penstock.database.migrate import migrate, migrations
from penstock.database.statements import statement
from penstock.errors import InvalidSettings, SchemaMismatch, ServiceUnavailable
from penstock.services import open_services
from penstock.settings import DatabaseSettings, load_settings


def settings(url: str) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), connect_timeout_seconds=5)


def test_migrations_run_once_when_ten_workers_start_together(database_url: str) -> None:
    with ThreadPoolExecutor(10) as workers:
        ran = list(workers.map(migrate, [settings(database_url)] * 10))
    assert sorted(len(run) for run in ran) == [0] * 9 + [len(migrations())]


def test_what_an_older_release_stored_is_found_by_the_new_rules(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table schema_migrations (version integer primary key, name text not null)")
        for migration in migrations()[:3]:
            connection.execute(migration.sql.encode())
            connection.execute("insert into schema_migrations values (%s, %s)", [migration.version, migration.name])
        connection.execute(
            "insert into files (file_id, name, object_key, owns_object, size, active_generation, status)"
            " values (gen_random_uuid(), 'a', 'a', true, 1, 1, 'complete')"
        )
        connection.execute(
            "insert into chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, char_start,"
            " char_end, headings, language, context)"
            " select gen_random_uuid(), file_id, 1, 0, 'AT&T sold pumps/valves', '', 3, 0, 9, '{}', 'german', 'Report'"
            " from files"
        )
        migrate(settings(database_url))
        (found,) = connection.execute(
            "select count(*) from chunks where text_search @@ all (array['att', 'valv', 'report']::tsquery[])"
        )
        assert found == (1,)
        assert connection.execute("select language from files").fetchall() == [("german",)]
        assert connection.execute("select language from search_languages").fetchall() == [("german",)]


async def test_files_that_an_older_release_left_unfinished_go_on(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create table schema_migrations (version integer primary key, name text not null,"
            " applied_at timestamptz default now())"
        )
        for migration in migrations()[:5]:
            connection.execute(migration.sql.encode())
            connection.execute("insert into schema_migrations values (%s, %s)", [migration.version, migration.name])
        for status in ("queued", "ingesting"):
            connection.execute(
                "insert into files (file_id, name, object_key, owns_object, size, status)"
                " values (gen_random_uuid(), %s, %s, true, 9, %s)",
                [f"{status}.txt", f"files/{status}", status],
            )
    (tmp_path / "objects" / "files").mkdir(parents=True)
    for status in ("queued", "ingesting"):
        (tmp_path / "objects" / "files" / status).write_text("One gate.")
    async with open_pipeline(database_url, redis_url, tmp_path, "fake://384") as pipeline:
        await pipeline.run()
        found = await pipeline.values(b"select name, status from files order by name")
        assert found == [("ingesting.txt", "complete"), ("queued.txt", "complete")]


def test_a_schema_of_a_newer_release_is_left_alone(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("insert into schema_migrations (version, name) values (9999, 'future')")
    with pytest.raises(SchemaMismatch, match="9999"):
        migrate(settings(migrated_url))


def test_a_database_that_is_away_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="database does not answer"):
        migrate(settings(f"postgresql:///penstock?host={tmp_path}"))


async def test_the_pool_outlives_a_killed_server(private_postgres: RunningServer) -> None:
    migrate(settings(private_postgres.url))
    database = await Database.open(settings(private_postgres.url))
    async with database.transaction() as rows:
        await rows.execute("select 1")
    private_postgres.kill()
    with pytest.raises(ServiceUnavailable):
        async with database.transaction() as rows:
            await rows.execute("select 1")
    private_postgres.start()
    async with database.transaction() as rows:
        await rows.execute("select 1")
    await database.close()


async def test_a_commit_that_does_not_wait_is_one_transaction_only(migrated_url: str) -> None:
    database = await Database.open(settings(migrated_url).model_copy(update={"pool_size": 1}))

    async def waits(rows: Rows) -> str:
        row = await (await rows.execute("show synchronous_commit")).fetchone()
        assert row is not None
        return row["synchronous_commit"]

    async with database.transaction() as rows:
        usually = await waits(rows)
        await do_not_wait_for_disk(rows)
        assert await waits(rows) == "off"
    async with database.transaction() as rows:
        assert await waits(rows) == usually != "off"
    await database.close()


async def test_a_connection_that_was_told_something_unasked_is_still_good(migrated_url: str) -> None:
    database = await Database.open(settings(migrated_url))
    async with database.transaction() as rows:
        await rows.execute("listen news")
    with psycopg.connect(migrated_url, autocommit=True) as beside:
        for _ in range(20):  # some of them have arrived when the connection is handed out
            beside.execute("notify news")
            async with database.statement() as rows:
                assert await (await rows.execute("select 1 as one")).fetchone() == {"one": 1}
    await database.close()


async def test_a_model_has_one_id_and_one_index_of_its_own(migrated_url: str) -> None:
    database = await Database.open(settings(migrated_url))
    async with database.transaction() as rows:
        first = await register_model(rows, name="small", revision="a", dimensions=8)
        second = await register_model(rows, name="large", revision="a", dimensions=16)
        assert await register_model(rows, name="small", revision="a", dimensions=8) == first != second
        found = await rows.execute("select indexdef from pg_indexes where indexname like 'embeddings_nearest_%'")
        definitions = sorted([row["indexdef"] async for row in found])
    await database.close()
    assert len(definitions) == 2
    assert "halfvec(16)" in definitions[1] or "halfvec(16)" in definitions[0]


async def test_a_language_that_the_database_does_not_know_is_named_at_start(migrated_url: str, redis_url: str) -> None:
    chosen = load_settings(
        {
            "PENSTOCK_DATABASE_URL": migrated_url,
            "PENSTOCK_QUEUE_URL": redis_url,
            "PENSTOCK_SEARCH_LANGUAGE": "klingon",
        }
    )
    with pytest.raises(
        InvalidSettings, match=r"PENSTOCK_SEARCH_LANGUAGE is 'klingon': allowed are auto, arabic, .*english"
    ):
        async with open_services(chosen, role="test"):
            pass


def test_every_statement_is_named_used_and_explained() -> None:
    source = files("penstock.database").joinpath("queries.sql").read_text()
    names = re.findall(r"^-- name: (\w+)\n-- \S", source, re.MULTILINE)
    assert len(names) == source.count("-- name: ") == len(set(names))
    code = "".join(path.read_text() for path in Path(penstock.__path__[0]).rglob("*.py"))
    assert [name for name in names if f'"{name}"' not in code] == []
    assert all(statement(name) for name in names)
