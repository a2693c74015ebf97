"""Fixtures: one embedded PostgreSQL and one Redis for the session, and private ones to kill."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from real_servers import RunningServer, postgres_in, redis_command, redis_in


def _run(server: RunningServer) -> Iterator[RunningServer]:
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The session's PostgreSQL. Shared: do not stop it; `private_postgres` is for that."""
    yield from _run(postgres_in(tmp_path_factory.mktemp("pg")))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The session's Redis. Shared: do not stop it; `private_redis` is for that."""
    yield from _run(redis_in(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def private_postgres(tmp_path: Path) -> Iterator[RunningServer]:
    """A PostgreSQL of this test alone, to kill and restart. Takes a second: use `database_url` where that does."""
    yield from _run(postgres_in(tmp_path))


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RunningServer]:
    """A Redis of this test alone, to kill, freeze and restart."""
    yield from _run(redis_in(tmp_path))


@pytest.fixture(scope="session")
def make_database(postgres_server: RunningServer) -> Iterator[Callable[[], str]]:
    """Makes an empty database on the session's PostgreSQL and returns its URL."""
    numbers = itertools.count(1)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:

        def make() -> str:
            name = f"test_{next(numbers)}"
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return postgres_server.url.replace("/penstock?", f"/{name}?")

        yield make


@pytest.fixture
def database_url(make_database: Callable[[], str]) -> str:
    """A fresh, empty database of this test alone."""
    return make_database()


@pytest.fixture(scope="module")
def module_database_url(make_database: Callable[[], str]) -> str:
    """A fresh, empty database that the tests of one module share."""
    return make_database()


@pytest.fixture
def redis_url(redis_server: RunningServer) -> str:
    """An empty Redis. One test at a time uses it."""
    redis_command(redis_server.url, "FLUSHALL")
    return redis_server.url
