"""Penstock's roles as processes on servers of the benchmark's own: started one by one, and asked what they used.

`penstock up` starts them too, but with the index, the engine and the number of Workers that a user has. Here a
benchmark leaves out what it does not measure. PostgreSQL and Redis are as durable as `penstock up` runs them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psutil
import psycopg
from penstock_run import PENSTOCK, BenchmarkError, cpu_seconds_of
from pydantic import SecretStr
from real_servers import RunningServer, redis_in

from penstock.database.migrate import migrate
from penstock.local.postgres import prepare_postgres
from penstock.settings import DatabaseSettings

READY_SECONDS = 180.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.02
CHUNK_TOKENS = 128
"""Of each Chunk that `store_chunks` makes; about what its words have."""
WORDS = (
    *("pump", "gauge", "valve", "pressure", "level", "water", "gate", "intake", "turbine", "shift", "was", "read"),
    *("the", "of", "and", "by", "operator", "night", "before", "after", "limits", "report", "spillway", "flow"),
)
PARTS = {
    "penstock.parsing.child": "parser child",
    "penstock.queues.redis_heartbeat": "heartbeat",
    "redis-server": "redis",
    "postgres": "postgres",
}
"""What a process is, by a word of its command line."""


@dataclass(frozen=True, slots=True)
class Role:
    """One running role."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


@dataclass(slots=True)
class Site:
    """Servers, and whatever roles were started on them."""

    folder: Path
    postgres: RunningServer
    redis: RunningServer
    roles: list[Role] = field(default_factory=list[Role])
    _connection: psycopg.Connection | None = None

    def start(self, name: str, **variables: str) -> Role:
        """Start a role, and return when it is ready. Raises `BenchmarkError`."""
        log = self.folder / f"{name}-{len(self.roles)}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
        with log.open("wb") as output:
            command = [*PENSTOCK, name]
            process = subprocess.Popen(command, env=environment | self._urls | variables, stdout=output, stderr=output)
        role = Role(name, process, log)
        self.roles.append(role)
        self.wait_until(
            lambda: "ready" in log.read_text() or name == "api", seconds=READY_SECONDS, what=f"{name}, {log}"
        )
        return role

    def stop(self, *roles: Role) -> None:
        """Ask them to stop, and wait."""
        for role in roles:
            role.process.terminate()
        for role in roles:
            role.process.wait(STOP_SECONDS)
            self.roles.remove(role)

    def wait_until(self, condition: Callable[[], object], *, seconds: float, what: str) -> None:
        """Raises `BenchmarkError` where it takes longer, or a role ended meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            for role in self.roles:
                if role.process.poll() is not None:
                    raise BenchmarkError(f"{role.name} ended:\n{role.log.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise BenchmarkError(f"not within {seconds:.0f} s: {what}")
            time.sleep(LOOK_SECONDS)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Of one statement, which is committed; none where it returns none. Connects once, which is dearer."""
        if self._connection is None:
            self._connection = psycopg.connect(self.postgres.url, autocommit=True)
        done = self._connection.execute(query.encode(), values or None)
        return done.fetchall() if done.description else []

    def close(self) -> None:
        """Stop everything."""
        self.stop(*self.roles)
        if self._connection is not None:
            self._connection.close()
        for running in (self.redis, self.postgres):
            if running.process is not None:
                running.stop()

    def used(self) -> dict[str, float]:
        """Processor seconds by what used them, since each process started."""
        used: defaultdict[str, float] = defaultdict(float)
        for name, pid in [
            ("postgres", self.postgres.pid),
            ("redis", self.redis.pid),
            *((role.name, role.process.pid) for role in self.roles),
        ]:
            parent = psutil.Process(pid)
            times = parent.cpu_times()
            used[name] += times.user + times.system
            # Of its children that have ended: an Ingester replaces its parsers now and then.
            used["parser child" if name == "ingester" else name] += times.children_user + times.children_system
            for child in parent.children(recursive=True):
                used[_part(child, name)] += cpu_seconds_of(child)
        return dict(used)

    @property
    def _urls(self) -> dict[str, str]:
        return {
            "PENSTOCK_DATABASE_URL": self.postgres.url,
            "PENSTOCK_QUEUE_URL": self.redis.url,
            "PENSTOCK_OBJECT_STORE_URL": f"file://{self.folder}/objects",
        }


@contextmanager
def running_site() -> Generator[Site]:
    """An empty, migrated database and an empty queue; all ends with the block."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        server = prepare_postgres(folder / "postgres")
        postgres = RunningServer(server.url, server.program, server.is_ready, folder / "postgres.log")
        site = Site(folder, postgres, redis_in(folder))
        try:
            site.postgres.start()
            site.redis.start()
            migrate(DatabaseSettings(url=SecretStr(postgres.url)))
            yield site
        finally:
            site.close()


def _part(process: psutil.Process, parent: str) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.NoSuchProcess:
        return parent
    return next((part for word, part in PARTS.items() if word in command), parent)


def since(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """What was used in between."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in now.items()}


def sentences(random: Random, words: int) -> str:
    """So many words, of which no two texts have the same."""
    return " ".join(random.choices(WORDS, k=words))


def store_chunks(site: Site, *, files: int, chunks_each: int, random: Random) -> None:
    """Files with Chunks that wait for their vectors, as the Ingester leaves them; `let_go` puts them in line."""
    with psycopg.connect(site.postgres.url) as connection:
        for _ in range(files):
            file_id = uuid4()
            connection.execute(
                "insert into files (file_id, name, object_key, owns_object, size, status, chunk_count, announced_at)"
                " values (%s, 'note.md', 'none', false, 1, 'embedding', %s, 'infinity')",
                (file_id, chunks_each),
            )
            with connection.cursor().copy(
                "copy chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, char_start, char_end,"
                " headings, context, language) from stdin"
            ) as copy:
                for row in _chunk_rows(file_id, chunks_each, random):
                    copy.write_row(row)


def _chunk_rows(file_id: UUID, count: int, random: Random) -> Iterator[tuple[object, ...]]:
    for index in range(count):
        text = sentences(random, CHUNK_TOKENS)
        digest = hashlib.sha256(f"note.md\n\n{text}".encode()).digest()
        yield (uuid4(), file_id, 1, index, text, digest, CHUNK_TOKENS, 0, len(text), ["Report"], "note.md", "simple")


@contextmanager
def without_text_search(site: Site) -> Generator[None]:
    """Chunks that are stored in the block have no words to be found by: what those cost is not asked then."""
    [(source,)] = site.rows("select pg_get_functiondef('penstock_text_search'::regproc)")
    site.rows(
        "create or replace function penstock_text_search(language text, content text) returns tsvector"
        " language sql immutable parallel safe return ''::tsvector"
    )
    try:
        yield
    finally:
        site.rows(source)


def let_go(site: Site) -> None:
    """From now on the stored Files wait for their turn."""
    site.rows("update files set announced_at = null where announced_at = 'infinity'")


def embedded(site: Site) -> int:
    """Chunks that have their vector, as the Files count them."""
    return site.rows("select coalesce(sum(embedded_count), 0) from files")[0][0]


def forget_files(site: Site) -> None:
    site.rows("truncate files, chunks, embeddings")


def drop_vector_indexes(site: Site) -> None:
    """Without the HNSW indexes, that is; each Embedder makes its model's when it starts and there is none."""
    for (name,) in site.rows("select indexname from pg_indexes where indexdef ilike '%using hnsw%'"):
        site.rows(f'drop index "{name}"')
