"""A process of its own that carries out one step, for a test that lets it die at a fail point.

Arguments: the step, the URL of the database, the folder of the store, and the File's id where the step wants one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from pipeline_services import Pipeline, open_pipeline

from penstock.models import IngestRequest
from penstock.pipeline.change import delete
from penstock.pipeline.submit import Description, submit

CONTENT = b"The weir has seven gates. " * 500


async def run(step: str, database_url: str, redis_url: str, folder: Path, file_id: UUID | None) -> None:
    async with open_pipeline(database_url, redis_url, folder, "fake://384") as pipeline:
        if step == "submit":
            await pipeline.submit(CONTENT)
        elif step == "refuse":
            await _refuse(pipeline)
        elif step == "sweep":
            await pipeline.sweep()
        else:
            assert file_id is not None
            await _change(pipeline, step, file_id)


async def _change(pipeline: Pipeline, step: str, file_id: UUID) -> None:
    if step == "ingest":
        generation = (await pipeline.file(file_id)).generation
        await pipeline.ingest(IngestRequest(file_id=file_id, generation=generation))
    else:
        await delete(file_id, database=pipeline.services.database, store=pipeline.services.store)


async def _refuse(pipeline: Pipeline) -> None:
    await submit(
        Description("big.txt"),
        _pieces(),
        max_bytes=10,
        database=pipeline.services.database,
        store=pipeline.services.store,
        dispatcher=pipeline.dispatcher,
    )


async def _pieces() -> AsyncIterator[bytes]:
    yield CONTENT


if __name__ == "__main__":
    step, database_url, redis_url, folder, *file_id = sys.argv[1:]
    asyncio.run(run(step, database_url, redis_url, Path(folder), UUID(file_id[0]) if file_id else None))
