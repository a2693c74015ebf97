"""Search on real PostgreSQL: modes, filters, generations, and that no filter loses a result."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pipeline_services import Pipeline, open_pipeline

from penstock.database.search import Filter
from penstock.models import Hit
from penstock.pipeline.search import Query, SearchMode, search

TEXTS = {
    "gate.md": "# Gates\n\nThe intake gate is lowered at 0.30 metres a minute.",
    "fish.txt": "Salmon climb the ladder in June.",
    "trip.html": "<h1>Trip</h1><p>Unit 2 tripped because the strainer was blocked.</p>",
    "numbers.csv": "gauge,level\nA-77,612.40\nB-12,611.95\n",
}


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "all-MiniLM-L6-v2") as opened:
        for name, text in TEXTS.items():
            await opened.submit(text, name)
        await opened.run()
        yield opened


async def find(
    pipeline: Pipeline, text: str, *, k: int = 3, which: Filter | None = None, mode: str = "hybrid"
) -> list[Hit]:
    return await search(
        Query(text, k=k, mode=SearchMode(mode), which=which or Filter()),
        database=pipeline.services.database,
        engine=pipeline.embedding.engine,
        index=pipeline.embedding.index,
    )


@pytest.mark.slow
async def test_each_mode_finds_what_it_is_for(pipeline: Pipeline) -> None:
    (meant, *_) = await find(pipeline, "how quickly may we close the water intake?", mode="vector")
    assert (meant.name, meant.headings) == ("gate.md", ["Gates"])
    assert meant.text.endswith("a minute.")
    (exact, *others) = await find(pipeline, "A-77", mode="text")
    assert (exact.name, others) == ("numbers.csv", [])
    (both, *_) = await find(pipeline, "why did unit 2 trip")
    assert both.name == "trip.html"
    assert await find(pipeline, "zyzzyva", mode="text") == []
    assert len(await find(pipeline, "zyzzyva", k=10)) == len(TEXTS), "a vector search always has a nearest"
    # Odd queries are text, never syntax.
    for odd in ("'", "\\", "a & | b:*", "!", "'); drop table chunks; --", "the of and", "%s %(x)s {embedding}", "🐟"):
        await find(pipeline, odd)


@pytest.mark.slow
async def test_a_passage_is_found_by_what_it_does_not_say_itself(pipeline: Pipeline) -> None:
    await pipeline.submit(
        "# Quillwort\n\n" + "It grows in the shallows of the upper pond. " * 60, "ponds/Zephyr_survey.md"
    )
    await pipeline.run()
    by_heading = await find(pipeline, "quillwort", mode="text", k=10)
    assert len(by_heading) > 1
    assert "Quillwort" not in max(by_heading, key=lambda hit: hit.index).text
    assert {hit.context for hit in by_heading} == {"Zephyr survey", "Zephyr survey > Quillwort"}
    assert {hit.chunk_id for hit in await find(pipeline, "zephyr", mode="text", k=10)} == {
        hit.chunk_id for hit in by_heading
    }
    (near, *_) = await find(pipeline, "where does the quillwort plant grow?", mode="vector")
    assert near.name == "ponds/Zephyr_survey.md"


@pytest.mark.slow
async def test_filters(pipeline: Pipeline) -> None:
    names = {hit.name for hit in await find(pipeline, "water", which=Filter(names=["fish.txt", "numbers.csv"]))}
    assert names == {"fish.txt", "numbers.csv"}
    (only,) = await find(pipeline, "water", which=Filter(media_types=["text/html"]))
    assert only.name == "trip.html"
    (same,) = await find(pipeline, "water", which=Filter(file_ids=[only.file_id]), mode="vector")
    assert same.chunk_id == only.chunk_id
    assert await find(pipeline, "water", which=Filter(file_ids=[uuid4()])) == []
    assert await find(pipeline, "water", which=Filter(metadata={"team": "ops"})) == []
    async with pipeline.services.database.transaction() as rows:
        await rows.execute('update files set metadata = \'{"team": "ops", "year": 2026}\' where name = \'fish.txt\'')
    (tagged,) = await find(pipeline, "water", which=Filter(metadata={"team": "ops"}))
    assert tagged.name == "fish.txt"


@pytest.mark.slow
async def test_a_filter_loses_no_result_where_the_index_scan_gives_up(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    """pgvector ends an index scan after `hnsw.max_scan_tuples`, whether or not enough rows passed the filter."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        name = connection.info.dbname
        for setting in ("hnsw.max_scan_tuples = 40", "enable_seqscan = off", "enable_sort = off"):
            connection.execute(f'alter database "{name}" set {setting}'.encode())
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://64") as pipeline:
        for n in range(120):
            await pipeline.submit(f"Gauge {n} was read.", f"{n}.txt")
        await pipeline.run()
        for n in (3, 77, 119):
            (hit,) = await find(pipeline, "nothing like it", which=Filter(names=[f"{n}.txt"]), mode="vector")
            assert hit.name == f"{n}.txt"
        assert len(await find(pipeline, "x", k=100, mode="vector")) == 100
