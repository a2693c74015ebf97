"""Fixtures: one embedded PostgreSQL and one Redis for the session, and private ones to kill."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from real_servers import RunningServer, aws_in, forget_all, nats_in, postgres_in, redis_command, redis_in

from penstock.database.migrate import migrate
from penstock.settings import DatabaseSettings


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """Ends the whole run: by files on two processes, pytest-xdist would wait for ever after one of them died."""
    pytest.exit(f"{crashitem} killed the process that ran it", returncode=1)


def _run(server: RunningServer) -> Iterator[RunningServer]:
    server.start()
    yield server
    server.stop()  # kill -9 would leave a segment of shared memory behind each time


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
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The session's AWS. Shared: do not stop it."""
    yield from _run(aws_in(tmp_path_factory.mktemp("aws")))


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything will do for an emulated AWS; also for the processes that a test starts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


@pytest.fixture
def sqs_url(aws_server: RunningServer, aws_credentials: None) -> str:
    """An SQS without queues. One test at a time uses it."""
    forget_all(aws_server.url)
    return f"sqs://eu-central-1/test?endpoint={aws_server.url}"


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The session's NATS. Shared: do not stop it; `private_nats` is for that."""
    yield from _run(nats_in(tmp_path_factory.mktemp("nats")))


@pytest.fixture
def private_nats(tmp_path: Path) -> Iterator[RunningServer]:
    """A NATS of this test alone, to kill, freeze and restart."""
    yield from _run(nats_in(tmp_path))


_installations = itertools.count(1)


@pytest.fixture
def nats_url(nats_server: RunningServer) -> str:
    """A NATS without streams of this name: each test is an installation of its own."""
    return f"{nats_server.url}/test-{next(_installations)}"


MakeDatabase = Callable[..., str]


@pytest.fixture(scope="session")
def make_database(postgres_server: RunningServer) -> Iterator[MakeDatabase]:
    """Makes a database on the session's PostgreSQL, empty or a copy of `template`, and returns its URL."""
    numbers = itertools.count(1)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:

        def make(*, template: str = "template1") -> str:
            name = f"test_{next(numbers)}"
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            return postgres_server.url.replace("/penstock?", f"/{name}?")

        yield make


@pytest.fixture(scope="session")
def migrated_template(make_database: MakeDatabase) -> str:
    """The name of a database with the whole schema, to be copied: cheaper than to migrate each."""
    url = make_database()
    migrate(DatabaseSettings(url=SecretStr(url)))
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database_url(make_database: MakeDatabase) -> str:
    """A fresh, empty database of this test alone."""
    return make_database()


@pytest.fixture(scope="module")
def module_database_url(make_database: MakeDatabase) -> str:
    """A fresh, empty database that the tests of one module share."""
    return make_database()


@pytest.fixture
def migrated_url(make_database: MakeDatabase, migrated_template: str) -> str:
    """A fresh database of this test alone, with the whole schema and no rows."""
    return make_database(template=migrated_template)


@pytest.fixture
def redis_url(redis_server: RunningServer) -> str:
    """An empty Redis. One test at a time uses it."""
    redis_command(redis_server.url, "FLUSHALL")
    return redis_server.url
