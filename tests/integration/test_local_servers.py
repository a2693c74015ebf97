"""The embedded PostgreSQL and Redis: what they are made of, and that they come back."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from faststream.redis import RedisBroker
from real_servers import RunningServer, redis_command

from penstock.errors import DataFolderError
from penstock.local.postgres import prepare_postgres
from penstock.local.redis import prepare_redis
from penstock.local.socket_folder import MAX_SOCKET_PATH_BYTES

pytestmark = pytest.mark.slow


def test_database_has_vectors_and_reads_typographic_quotes(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE EXTENSION vector")
        row = connection.execute("SELECT to_tsvector('simple', '“Größe” — naïve ÉTÉ')::text, '[1]'::vector").fetchone()
        checksums = connection.execute("SHOW data_checksums").fetchone()
    assert row is not None
    assert row[0] == "'größe':1 'naïve':2 'été':3"
    assert checksums == ("on",)


def test_every_test_has_a_database_of_its_own(database_url: str, module_database_url: str) -> None:
    assert database_url != module_database_url


def test_migrated_database_has_the_tables(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() != (0,)


def test_postgres_keeps_what_was_committed_over_kill_9(private_postgres: RunningServer) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    private_postgres.restart()
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_postgres_stops_cleanly(private_postgres: RunningServer) -> None:
    private_postgres.stop()
    assert "database system is shut down" in private_postgres.log.read_text()


def test_redis_keeps_its_messages_over_kill_9(private_redis: RunningServer) -> None:
    redis_command(private_redis.url, "XADD", "stream", "*", "a", "b")
    private_redis.restart()
    assert redis_command(private_redis.url, "XLEN", "stream") == 1
    assert redis_command(private_redis.url, "CONFIG", "GET", "maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_redis_with_a_damaged_end_of_its_file_is_repaired(private_redis: RunningServer, tmp_path: Path) -> None:
    redis_command(private_redis.url, "XADD", "stream", "*", "a", "b")
    private_redis.kill()
    with (tmp_path / "redis" / "appendonly.aof").open("ab") as file:
        file.write(bytes(4096))  # what a power cut leaves of a file that was growing
    prepare_redis(tmp_path / "redis").repair()
    private_redis.start()
    assert redis_command(private_redis.url, "XLEN", "stream") == 1


async def test_faststream_takes_the_socket_url(redis_url: str) -> None:
    async with RedisBroker(redis_url) as broker:
        await broker.publish("hello", stream="greetings")
    assert redis_command(redis_url, "XLEN", "greetings") == 1


def test_servers_run_under_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * MAX_SOCKET_PATH_BYTES)
    server = prepare_redis(folder)
    assert len(bytes(server.socket)) <= MAX_SOCKET_PATH_BYTES
    assert server.socket == prepare_redis(folder).socket


def test_cluster_of_another_version_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DataFolderError, match=r"PostgreSQL 16.*runs PostgreSQL 18"):
        prepare_postgres(tmp_path / "postgres")
