"""The connection pool, the translation of PostgreSQL's errors, and the `vector` type."""

from __future__ import annotations

import select
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import psycopg
import structlog
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format, TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg.types import TypeInfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from penstock.database.outage import NOT_PREPARED, unavailable
from penstock.database.statements import statement
from penstock.settings import DatabaseSettings, Pooler

log = structlog.get_logger()

RECONNECT_SECONDS = 3.0
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}
"""A server that vanished from the network is noticed within about 25 s; the system itself takes minutes or hours."""

Rows = psycopg.AsyncConnection[DictRow]
"""A connection inside a transaction; the statements in this package take it."""


class Database:
    """A bounded pool of connections. `transaction()` is the only way to the rows."""

    def __init__(self, pool: AsyncConnectionPool[Rows]) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, settings: DatabaseSettings, *, role: str = "") -> Database:
        """Open a pool and wait for its first connection. Raises `ServiceUnavailable`.

        `role` is in the connections' application_name, for whoever looks who holds them.
        """
        pool = AsyncConnectionPool[Rows](
            settings.url.get_secret_value(),
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={"row_factory": dict_row, "application_name": f"penstock {role}".strip(), **KEEPALIVE},
            configure=partial(_configure, pooler=settings.pooler),
            check=_check,
            min_size=1,
            max_size=settings.pool_size,
            timeout=settings.connect_timeout_seconds,
            # The pool doubles the pause between attempts; giving up soon makes the next request begin anew.
            # With its default of 300 s it was away for 20 s more after an outage of 30 s.
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            name="penstock",
        )
        database = cls(pool)
        try:
            await pool.open(wait=True, timeout=settings.connect_timeout_seconds)
        except (PoolTimeout, psycopg.OperationalError) as error:
            await pool.close()
            raise unavailable(error) from error
        return database

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Rows]:
        """A connection in a transaction that commits when the block ends, and rolls back when it raises.

        Raises `ServiceUnavailable` for whatever is the server's fault. Never open one around slow
        work: parse and embed first.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError, *NOT_PREPARED) as error:
            raise unavailable(error) from error

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[Rows]:
        """A connection for one statement, which is a transaction of its own: two round trips less.

        Where the server commits it and dies before it says so, `ServiceUnavailable` is raised all the same, as from
        `transaction()`.
        """
        async with self.transaction() as connection:
            await connection.set_autocommit(True)
            try:
                yield connection
            finally:
                if connection.info.transaction_status is TransactionStatus.IDLE:  # else the pool lets go of it
                    await connection.set_autocommit(False)

    async def close(self) -> None:
        await self._pool.close()


async def do_not_wait_for_disk(rows: Rows) -> None:
    """Let this transaction commit before the disk has it: for what is simply done again where the server lost it.

    A commit that waits takes one to ten milliseconds. What a later transaction commits and waits for carries this
    one to the disk too, so that nothing can outlive it that builds on it.
    """
    await rows.execute(statement("commit_without_waiting"))


class _VectorDumper(Dumper):
    """NumPy float32 of shape (dimensions,) → pgvector's binary form: int16 dimensions, int16 0, float32s."""

    format = Format.BINARY

    def dump(self, obj: NDArray[np.float32]) -> Buffer:
        return struct.pack(">HH", obj.shape[0], 0) + obj.astype(">f4").tobytes()


async def _check(connection: Rows) -> None:
    """Do not hand out a connection that died with the last server.

    A server that ends says so, or its system does: something can be read, though nothing was asked. Only then is it
    worth a round trip to find out what. One that vanished without a word is noticed by who asks it (`KEEPALIVE`).
    """
    if _has_something_to_say(connection.fileno()):
        await connection.execute("")
        await connection.rollback()  # psycopg has begun a transaction for it


def _has_something_to_say(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN | select.POLLRDHUP)
    return bool(poll.poll(0))


async def _configure(connection: psycopg.AsyncConnection[Any], *, pooler: Pooler) -> None:
    await connection.set_autocommit(True)
    if pooler == "transaction" or await _is_pooled(connection):
        connection.prepare_threshold = None
    info = await TypeInfo.fetch(connection, "vector")
    await connection.set_autocommit(False)
    if info is None:
        return  # before the first migration; `open_services` migrates first
    info.register(connection)
    dumper = type("VectorDumper", (_VectorDumper,), {"oid": info.oid})
    connection.adapters.register_dumper(np.ndarray, dumper)


async def _is_pooled(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether a pooler stands between here and PostgreSQL, which may carry each transaction to another connection.

    A statement prepared on one is unknown on the next, or is there another client's, of the same name. Poolers answer
    cancellations themselves, and so greet with a process number of their own making.
    """
    row = await (await connection.execute(statement("server_process"))).fetchone()
    return row is None or row["process"] != connection.info.backend_pid
