"""What half a million stored Chunks cost: how fast new ones come in beside them, and how fast and well search finds.

Two data folders, one with few Chunks and one with many (`many_chunks.py`), both running. New documents of the same
kind go into one and the other in turns, from upload to searchable. Then questions that have answers in the real ones
among the stored Chunks are asked over HTTP, one after the other, of the folder with many. What they find is set beside
an exact search: all vectors compared, all Chunks with any word of the question scored.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID

import numpy as np
import psycopg
from folders import CORPORA
from idle import percentile
from many_chunks import DOCUMENTS, Vectors, fill, new_documents
from measured import RESULTS, Figure, keep
from penstock_run import RunningPenstock, running_penstock
from pydantic import SecretStr
from retrieval.corpus import chroma

from penstock.database import search as statements
from penstock.database.connection import Database, Rows
from penstock.database.embeddings import register_model
from penstock.database.search import Condition, Filter, ModelIndex, Scored
from penstock.embedding import open_engine
from penstock.pipeline.highlight import Wording
from penstock.pipeline.narrowing import narrowed
from penstock.pipeline.ranking import fuse
from penstock.pipeline.search import CANDIDATES, LEAST_CANDIDATES
from penstock.settings import DatabaseSettings, EmbeddingSettings

K = 10
LIMIT = max(LEAST_CANDIDATES, CANDIDATES * K)
"""Candidates of each half of a hybrid search."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    few: int
    many: int
    """Stored Chunks."""
    documents: int
    """New ones in each round."""
    rounds: int
    questions: int
    judged: int
    """Of the questions: an exact search takes seconds."""
    folders: Sequence[str] = DOCUMENTS


FULL = Size(few=10_000, many=500_000, documents=60, rounds=3, questions=200, judged=50)
QUICK = Size(few=700, many=2_000, documents=4, rounds=1, questions=10, judged=10, folders=DOCUMENTS[-1:])


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the ids of the Chunks found, best first, and the seconds that it took."""

    chunk_ids: list[str]
    seconds: float


def bring_in(penstock: RunningPenstock, size: Size, *, seed: int) -> float:
    """Hand new documents in; Chunks a second until search sees them all."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        paths = [Path(folder) / f"{seed}-{at}.txt" for at in range(size.documents)]
        for path, text in zip(paths, new_documents(penstock.database_url, size.documents, seed=seed), strict=True):
            path.write_text(text)
        done = penstock.ingest(paths)
    return sum(file["chunk_count"] for file in done.files) / done.seconds


def take_turns(few: RunningPenstock, many: RunningPenstock, size: Size) -> tuple[list[float], list[float]]:
    """Chunks a second of each, by round; what is new to one is new to the other."""
    speeds: tuple[list[float], list[float]] = ([], [])
    for penstock in (few, many):
        bring_in(penstock, size, seed=1)  # warms it
    for round_ in range(size.rounds):
        for penstock, measured in zip((few, many), speeds, strict=True):
            measured.append(bring_in(penstock, size, seed=2 + round_))
    return speeds


def ask(penstock: RunningPenstock, questions: Sequence[str], mode: str) -> list[Asked]:
    asked = list[Asked]()
    for question in questions:
        began = time.perf_counter()
        hits = penstock.search(question, k=K, mode=mode)
        asked.append(Asked([hit["chunk_id"] for hit in hits], time.perf_counter() - began))
    return asked


@dataclass(frozen=True, slots=True)
class Exact:
    """Every stored vector, in memory, and the Chunk of each."""

    ids: list[UUID]
    vectors: Vectors

    def nearest(self, vector: Vectors, count: int) -> list[UUID]:
        return [self.ids[at] for at in np.argsort(-(self.vectors @ vector), kind="stable")[:count]]


def all_vectors(url: str) -> Exact:
    """Through a binary COPY, whose rows all have the same length: 19 bytes of header, then field after field."""
    with (
        psycopg.connect(url) as rows,
        rows.cursor() as cursor,
        cursor.copy(
            "copy (select chunk_id, embedding from embeddings join chunks c using (chunk_id)"
            " join files f using (file_id) where c.generation = f.active_generation) to stdout (format binary)"
        ) as copy,
    ):
        content = b"".join(copy)
    dimensions = int.from_bytes(content[19 + 2 + 4 + 16 + 4 :][:2], "big")
    row = np.dtype([
        ("fields", ">i2"), ("id_length", ">i4"), ("id", "V16"), ("vector_length", ">i4"), ("dimensions", ">i2"),
        ("unused", ">i2"), ("vector", ">f4", (dimensions,)),
    ])  # fmt: skip
    stored = np.frombuffer(content, row, offset=19, count=(len(content) - 21) // row.itemsize)
    return Exact([UUID(bytes=one.tobytes()) for one in stored["id"]], stored["vector"].astype(np.float32))


async def answer_exactly(penstock: RunningPenstock, questions: Sequence[str]) -> dict[str, list[set[str]]]:
    """By mode the Chunks that each question finds where nothing is left out for speed."""
    exact = all_vectors(penstock.database_url)
    found: dict[str, list[set[str]]] = {"vector": [], "hybrid": []}
    engine = await open_engine(EmbeddingSettings())
    database = await Database.open(DatabaseSettings(url=SecretStr(penstock.database_url)))
    try:
        async with database.transaction() as rows:
            model = await register_model(
                rows, name=engine.model, revision=engine.revision, dimensions=engine.dimensions
            )
        index = ModelIndex(model, engine.dimensions, ef_search=100)
        for question in questions:
            vector = await engine.embed_query(question)
            near = exact.nearest(vector, LIMIT)
            async with database.transaction() as rows:
                best = await hybrid_exactly(rows, question, vector, near, index)
            found["vector"].append({str(chunk_id) for chunk_id in near[:K]})
            found["hybrid"].append({str(scored.chunk_id) for scored in best[:K]})
    finally:
        await database.close()
        await engine.close()
    return found


async def hybrid_exactly(
    rows: Rows, question: str, vector: Vectors, near: Sequence[UUID], index: ModelIndex
) -> list[Scored]:
    """As `pipeline.search` does it, but every Chunk with any word of the question is scored."""
    terms = await statements.weigh_terms(rows, question)
    match = narrowed(terms, Wording.of(question).required, most=float("inf"))
    which = Condition(Filter())
    matching = await statements.best_matching(rows, terms, match.tsquery, which, limit=LIMIT)
    candidates = list(dict.fromkeys([*near, *(scored.chunk_id for scored in matching)]))
    evidence = await statements.evidence_around(rows, candidates, terms, vector, index)
    return fuse(candidates, evidence, terms)


def recall(asked: Sequence[Asked], exact: Sequence[set[str]]) -> float:
    """The mean share of the exact search's best that were found."""
    return statistics.fmean(
        len(wanted & set(one.chunk_ids)) / len(wanted) for one, wanted in zip(asked, exact, strict=False)
    )


def milliseconds(asked: Sequence[Asked]) -> dict[str, float]:
    seconds = [one.seconds for one in asked]
    return {"p50": round(1000 * statistics.median(seconds), 1), "p95": round(1000 * percentile(seconds, 0.95), 1)}


def timed(what: str, seconds: dict[str, float], work: Callable[[], object]) -> None:
    began = time.perf_counter()
    work()
    seconds[what] = round(time.perf_counter() - began, 1)
    print(f"{what}: {seconds[what]} s", flush=True)


def measure(size: Size, folder: Path, seconds: dict[str, float]) -> tuple[list[Figure], dict[str, object]]:
    few_data, many_data = folder / "few", folder / "many"
    timed("few chunks stored", seconds, lambda: fill(few_data, size.few, CORPORA, size.folders))
    subprocess.run(["cp", "-a", few_data, many_data], check=True)  # with the database's user as owner
    timed("many chunks stored", seconds, lambda: fill(many_data, size.many, CORPORA, size.folders))
    questions = Random(11).sample([question.text for question in chroma().questions], size.questions)
    with running_penstock(few_data) as few, running_penstock(many_data) as many:
        beside_few, beside_many = take_turns(few, many, size)
        for mode in ("hybrid", "vector"):
            ask(many, questions[: size.judged], mode)  # what was last used is in memory, as where people search
        asked = {mode: ask(many, questions, mode) for mode in ("hybrid", "vector", "text")}
        exact = asyncio.run(answer_exactly(many, questions[: size.judged]))
    recalls = {mode: recall(asked[mode], found) for mode, found in exact.items()}
    times = {mode: milliseconds(found) for mode, found in asked.items()}
    speed = (statistics.median(beside_many), statistics.median(beside_few))
    return figures(size, speed, times, recalls), {
        "stored": [size.few, size.many],
        "chunks_per_second": {"few": beside_few, "many": beside_many},
        "search_milliseconds": times,
        "recall_at_10": recalls,
        "seconds": seconds,
    }


def figures(
    size: Size, speed: tuple[float, float], times: dict[str, dict[str, float]], recalls: dict[str, float]
) -> list[Figure]:
    among = f"search among {size.many:,} stored chunks, "
    note = f"hybrid, over HTTP, p50 {times['hybrid']['p50']} ms; p95 by vectors alone {times['vector']['p95']} ms"
    p95 = times["hybrid"]["p95"]
    return [
        Figure(
            11, f"chunks beside {size.many:,} stored ones, upload to searchable", "chunks/s", *speed,
            f"beside {size.few:,}", speed[0] / speed[1], 0.8, "higher", "the real engine and the vector index",
        ),
        Figure(11, among + "p95", "ms", p95, None, "", p95, 50, "lower", note),
        Figure(11, among + "recall@10 by vectors", "", recalls["vector"], None, "", recalls["vector"], 0.95),
        Figure(
            11, among + "recall@10 of hybrid search", "", recalls["hybrid"], None, "", recalls["hybrid"], 0.95,
            "higher", "beside the same fusion of exact vectors and of every chunk with a word of the question",
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two thousand chunks; measures nothing")
    parser.add_argument("--output", type=Path, default=RESULTS / "half_a_million.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        Path(folder).chmod(0o711)  # the database's user has to pass
        found, details = measure(QUICK if options.quick else FULL, Path(folder), {})
    keep("half_a_million", found, details, output=options.output)


if __name__ == "__main__":
    main()
