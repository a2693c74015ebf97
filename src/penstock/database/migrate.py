"""Forward-only migrations, each run once, however many processes start together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import psycopg
import structlog
from psycopg import sql

from penstock.database.outage import unavailable
from penstock.errors import SchemaMismatch
from penstock.settings import DatabaseSettings, Settings

log = structlog.get_logger()

LOCK_KEY = 0x50656E73746F636B
"""Of the advisory lock that migrations run under: "Penstock" in ASCII."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations of this release, in order."""
    found = [
        Migration(int(match[1]), match[2], entry.read_text())
        for entry in files("penstock.database").joinpath("migrations").iterdir()
        if (match := re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def migrate(settings: DatabaseSettings) -> list[Migration]:
    """Bring the schema to this release's version and return the migrations that ran.

    Raises `ServiceUnavailable` when the database does not answer, `SchemaMismatch` when it was
    written by a newer release or lacks pgvector.
    """
    try:
        with _connect(settings) as connection:
            return _run_missing(connection)
    except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported) as error:
        raise SchemaMismatch("The database server has no pgvector; install version 0.8 or newer on it.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaMismatch(f"The database user may not create Penstock's tables: {error}".strip()) from error
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def _connect(settings: DatabaseSettings) -> psycopg.Connection:
    # Nothing is prepared: statements run a few times at most, and a pooler would keep them for others to trip over.
    return psycopg.connect(
        settings.url.get_secret_value(),
        connect_timeout=10,
        application_name="penstock migrate",
        prepare_threshold=None,
    )


def _run_missing(connection: psycopg.Connection) -> list[Migration]:
    connection.execute("select pg_advisory_xact_lock(%s)", [LOCK_KEY])
    connection.execute(
        "create table if not exists schema_migrations (version integer primary key, name text not null,"
        " applied_at timestamptz not null default clock_timestamp())"
    )
    row = connection.execute("select coalesce(max(version), 0) from schema_migrations").fetchone()
    current = row[0] if row else 0
    check_version(current)
    missing = [migration for migration in migrations() if migration.version > current]
    for migration in missing:
        connection.execute(sql.SQL(migration.sql))  # pyright: ignore[reportArgumentType]  # our own file, not a literal
        connection.execute(
            "insert into schema_migrations (version, name) values (%s, %s)", [migration.version, migration.name]
        )
    return missing


def check_version(current: int) -> None:
    """Raise `SchemaMismatch` when the schema is newer than this release knows."""
    newest = migrations()[-1].version
    if current > newest:
        raise SchemaMismatch(
            f"The database has schema version {current}, but this release of Penstock knows only {newest};"
            " run the newer release that wrote it."
        )


def run(settings: Settings) -> None:
    """The `penstock migrate` role."""
    done = migrate(settings.database)
    for migration in done:
        log.info("migrated", version=migration.version, name=migration.name)
    log.info("schema is up to date", version=migrations()[-1].version)
