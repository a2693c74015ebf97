"""What search does differently where there are many Chunks, on real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random
from uuid import UUID

import numpy as np
import psycopg
import pytest
from pipeline_services import Pipeline, open_pipeline
from pydantic import SecretStr

from penstock.database import search as statements
from penstock.database.connection import Database
from penstock.database.migrate import migrate, migrations
from penstock.database.search import Condition, Filter, ModelIndex
from penstock.models import Hit
from penstock.pipeline import search as step
from penstock.pipeline.search import Query, SearchMode, search
from penstock.settings import DatabaseSettings

NUMBERS = [f"number{n}" for n in range(240)]
"""Each in one passage of its own."""
SHARES = {"turbine": 0.9, "inspection": 0.5, "penstock": 0.2, "spillway": 0.05}
"""Of the passages that have the word."""


def passages() -> list[str]:
    """One Chunk each: with some of the words, in places of their own, and filled up to the same length."""
    random = Random(5)
    texts = list[str]()
    for number in NUMBERS:
        said = [word for word, share in SHARES.items() if random.random() < share]
        texts.append(" ".join([*said, number, *random.choices(["gravel", "sand", "clay", "loam"], k=170)]))
    return texts


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://64") as opened:
        sections = [f"# Part {n}\n\n{text}." for n, text in enumerate(passages())]
        for name, some in (("first.md", sections[:200]), ("second.md", sections[200:])):
            await opened.submit("\n\n".join(some), name)
        await opened.run()
        yield opened


async def find(pipeline: Pipeline, text: str, *, k: int = 10, which: Filter | None = None) -> list[Hit]:
    return await search(
        Query(text, k=k, mode=SearchMode.TEXT, which=which or Filter()),
        database=pipeline.services.database,
        engine=pipeline.embedding.engine,
        index=pipeline.embedding.index,
    )


@pytest.mark.slow
async def test_common_words_are_weighed_by_statistics_as_if_they_were_counted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pipeline.services.database.transaction() as rows:
        await rows.execute("analyze chunks")
        counted = await statements.weigh_terms(rows, "turbine inspection penstock spillway number7 unknown")
        monkeypatch.setattr(statements, "COUNTED_CHUNKS", 100)
        estimated = await statements.weigh_terms(rows, "turbine inspection penstock spillway number7 unknown")
    assert [word.spelling for word in estimated.words] == [*SHARES, "number7"]
    for word, known in zip(estimated.words, counted.words, strict=True):
        assert word.lexemes == known.lexemes
        assert word.chunks == pytest.approx(known.chunks, rel=0.05)  # pyright: ignore[reportUnknownMemberType]
        assert word.weight == pytest.approx(known.weight, rel=0.1)  # pyright: ignore[reportUnknownMemberType]
    assert estimated.chunks == pytest.approx(counted.chunks, rel=0.05)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.slow
async def test_where_not_all_are_scored_the_best_are_the_same(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ["turbine spillway inspection", "penstock spillway", "number7 turbine penstock inspection number200"]
    all_scored = [[hit.chunk_id for hit in await find(pipeline, query, k=5)] for query in queries]
    looked_at = list[int]()
    best_matching = statements.best_matching

    async def counting(*args: object, **kwargs: object) -> object:
        found = await best_matching(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        looked_at.append(len(found))
        return found

    monkeypatch.setattr(statements, "best_matching", counting)
    monkeypatch.setattr(step, "SCORED", 15)
    monkeypatch.setattr(step, "SCORED_AGAIN", 60)
    for query, best in zip(queries, all_scored, strict=True):
        assert [hit.chunk_id for hit in await find(pipeline, query, k=5)] == best, query
    assert min(looked_at) < 60, "nothing was left out, so that nothing is shown"


@pytest.mark.slow
async def test_a_filter_that_leaves_out_what_was_scored_loses_no_hit(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "SCORED", 5)
    monkeypatch.setattr(step, "SCORED_AGAIN", 10)
    hits = await find(pipeline, "number7 turbine", which=Filter(names=["second.md"]))
    assert len(hits) == 10
    assert all("turbine" in hit.text and hit.name == "second.md" for hit in hits)


@pytest.mark.slow
async def test_how_often_a_word_occurs_is_read_from_its_rank(pipeline: Pipeline) -> None:
    often = {"plom": 1, "krat": 2, "dweb": 3, "zint": 7, "vorp": 20, "glim": 41}
    await pipeline.submit(" ".join(word for word, times in often.items() for _ in range(times)), "often.txt")
    await pipeline.run()
    async with pipeline.services.database.transaction() as rows:
        found = await rows.execute(
            "select chunk_id, text from chunks join files using (file_id) where name = 'often.txt'"
        )
        texts: dict[UUID, str] = {row["chunk_id"]: row["text"] async for row in found}
        terms = await statements.weigh_terms(rows, " ".join(often))
        vector = np.zeros(64, np.float32)
        evidence = await statements.evidence_around(rows, list(texts), terms, vector, pipeline.embedding.index)
    for one in evidence:
        assert one.frequencies == Counter(texts[one.chunk_id].split())


async def test_a_filled_database_of_an_older_release_keeps_its_vectors_and_gets_the_new_index(
    database_url: str,
) -> None:
    vectors = np.random.default_rng(3).standard_normal((200, 8)).astype(np.float32)
    settings = DatabaseSettings(url=SecretStr(database_url), connect_timeout_seconds=5)
    (newer,) = (migration for migration in migrations() if migration.name == "search_many_chunks")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table schema_migrations (version integer primary key, name text not null)")
        for migration in (one for one in migrations() if one.version < newer.version):
            connection.execute(migration.sql.encode())
            connection.execute("insert into schema_migrations values (%s, %s)", [migration.version, migration.name])
        connection.execute(
            "insert into files (file_id, name, object_key, owns_object, size, active_generation, status)"
            " values (gen_random_uuid(), 'a', 'a', true, 1, 1, 'complete')"
        )
        connection.execute("insert into models (name, revision, dimensions) values ('small', 'a', 8)")
        connection.execute(
            "create index embeddings_nearest_1 on embeddings using hnsw ((embedding::vector(8)) vector_ip_ops)"
            " where model_id = 1"
        )
        for at, vector in enumerate(vectors):
            _insert(connection, UUID(int=at + 1), at, vector)
    migrate(settings)
    query = np.random.default_rng(4).standard_normal(8).astype(np.float32)
    database = await Database.open(settings)
    async with database.transaction() as rows:
        await rows.execute("set local enable_seqscan = off")
        await rows.execute("set local enable_sort = off")
        found = await statements.nearest(rows, query, ModelIndex(1, 8, 200), Condition(Filter()), limit=20)
        definitions = await rows.execute("select indexdef, indisvalid from pg_indexes join pg_index"
            " on indexrelid = indexname::regclass where indexname = 'embeddings_nearest_1'")  # fmt: skip
        (index,) = await definitions.fetchall()
        await rows.execute("select pg_stat_force_next_flush()")
    async with database.transaction() as rows:
        used = await rows.execute(
            "select idx_scan from pg_stat_user_indexes where indexrelname = 'embeddings_nearest_1'"
        )
        (scans,) = await used.fetchall()
    await database.close()
    assert "halfvec(8)" in index["indexdef"]
    assert index["indisvalid"]
    assert scans["idx_scan"] == 1
    exact = vectors @ query
    assert [one.chunk_id.int - 1 for one in found] == np.argsort(-exact)[:20].tolist()
    assert [one.score for one in found] == pytest.approx(np.sort(exact)[::-1][:20].tolist(), rel=1e-5)  # pyright: ignore[reportUnknownMemberType]


def _insert(connection: psycopg.Connection, chunk_id: UUID, index: int, vector: np.ndarray) -> None:
    connection.execute(
        "insert into chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, char_start, char_end,"
        " headings, language, context)"
        " select %s, file_id, 1, %s, 'A pump.', %s, 3, 0, 7, '{}', 'english', '' from files",
        [chunk_id, index, bytes([index])],
    )
    connection.execute(
        "insert into embeddings (chunk_id, model_id, text_hash, embedding) values (%s, 1, %s, %s::real[]::vector)",
        [chunk_id, bytes([index]), vector.tolist()],
    )
