"""A million Files that wait in the rows: what handing in, dispatching and looking cost beside them.

Real PostgreSQL and Redis, embedded. Prints milliseconds, and which dispatch takes a newcomer's single File.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import structlog
from pipeline_services import Pipeline, open_pipeline
from real_servers import postgres_in, redis_in

from penstock.database.files import NewFile, insert_file
from penstock.models import INGEST_QUEUE
from penstock.pipeline.backlog import backlog

ROUNDS = 200


async def measure(pipeline: Pipeline, files: int) -> None:
    """Print what each thing costs with so many Files before it."""
    bulk = uuid4()
    async with pipeline.services.database.transaction() as rows:
        await rows.execute(
            "insert into files (file_id, name, object_key, owns_object, size, batch, turn) "
            "select gen_random_uuid(), 'note.md', 'none', true, 100, %s, n from generate_series(1, %s) n",
            [bulk, files],
        )
    print(f"{files:,} files wait in one batch")
    for what, batch in (("into the same batch", bulk), ("into a new batch", uuid4()), ("without a batch", None)):
        await print_median(f"record a File {what}", lambda batch=batch: record(pipeline, batch))
    newcomer = await record(pipeline, uuid4())
    sent: list[list[UUID]] = []

    async def dispatch() -> None:
        await pipeline.dispatch()
        sent.append([message.file_id for message in pipeline.asked.messages.pop(INGEST_QUEUE, [])])

    await print_median("dispatch", dispatch, rounds=ROUNDS)
    place = next((at for at, taken in enumerate(sent, start=1) if newcomer in taken), None)
    print(f"{'the newcomer is sent by dispatch number':50} {place}")
    await print_median("count the backlog", lambda: backlog(database=pipeline.services.database, queues=pipeline.asked))


async def record(pipeline: Pipeline, batch: UUID | None) -> UUID:
    """One more File in the rows."""
    new = NewFile(
        file_id=uuid4(), name="note.md", object_key="none", owns_object=True, size=100, sha256=None, batch=batch
    )
    async with pipeline.services.database.transaction() as rows:
        return (await insert_file(rows, new)).file_id


async def print_median(what: str, work: Callable[[], Awaitable[object]], *, rounds: int = 20) -> None:
    """Median and longest of the durations."""
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    print(f"{what:50} {1000 * statistics.median(seconds):8.1f} ms, at most {1000 * max(seconds):.0f} ms")


async def run(folder: Path, files: int) -> None:
    """Servers of its own, then the measurement."""
    servers = postgres_in(folder), redis_in(folder)
    for server in servers:
        server.start()
    try:
        async with open_pipeline(servers[0].url, servers[1].url, folder, "fake://384") as pipeline:
            await measure(pipeline, files)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    with TemporaryDirectory() as temporary:
        Path(temporary).chmod(0o755)  # PostgreSQL runs as another user where we are root
        asyncio.run(run(Path(temporary), parser.parse_args().files))
