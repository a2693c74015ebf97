"""The way of Chunks through queue, Embedder and database, with an engine that returns at once.

Row 5: chunks/s of the Embedder's step, from the rows that wait to the vectors in the rows, everything durable;
without the HNSW index, and with it, to say what it costs. Row 12: processor time of every process for one Chunk, from
upload to searchable, less that of the parser children; with neither index, with the full-text index, and with both.

    PYTHONPATH=tests .venv/bin/python benchmarks/flow.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from random import Random
from uuid import uuid4

import httpx
from measured import Figure, keep
from real_servers import free_port
from roles import (
    Site,
    drop_vector_indexes,
    embedded,
    forget_files,
    let_go,
    running_site,
    sentences,
    since,
    store_chunks,
    without_text_search,
)

from penstock.embedding import open_engine
from penstock.settings import load_settings

ENGINE = {"PENSTOCK_EMBEDDING_MODEL": "fake://384", "PENSTOCK_CHUNKING_MAX_TOKENS": "254"}
"""Chunks as the default model takes them."""
PATIENCE_SECONDS = 180.0
UPLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    files: int
    chunks_each: int
    with_hnsw: int
    """Chunks, where the index is kept."""
    uploads: int
    """Files of about 100 Chunks."""
    notes: int
    """Files of one Chunk."""
    rounds: int


FULL = Size(files=20, chunks_each=1000, with_hnsw=6000, uploads=40, notes=200, rounds=3)
QUICK = Size(files=4, chunks_each=192, with_hnsw=256, uploads=2, notes=5, rounds=1)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did."""

    chunks: int
    files: int
    seconds: float
    used: dict[str, float]
    """Processor seconds by what used them."""

    @property
    def rate(self) -> float:
        return self.chunks / self.seconds

    def milliseconds(self, *, without: tuple[str, ...] = ()) -> float:
        """Processor time for one Chunk."""
        return 1000 * sum(used for name, used in self.used.items() if name not in without) / self.chunks

    def told(self) -> dict[str, object]:
        by_part = {name: round(1000 * used / self.chunks, 4) for name, used in self.used.items()}
        return {**asdict(self), "chunks_per_second": self.rate, "cpu_ms_per_chunk": by_part}


def embed(site: Site, random: Random, *, files: int, chunks_each: int) -> Run:
    """Let the Embedders that run work off so many Chunks; timed from the first vectors to the last File."""
    with without_text_search(site):
        store_chunks(site, files=files, chunks_each=chunks_each, random=random)
    let_go(site)
    site.wait_until(lambda: embedded(site), seconds=PATIENCE_SECONDS, what="the first vectors")
    began, first, before = time.perf_counter(), embedded(site), site.used()
    site.wait_until(lambda: _complete(site) == files, seconds=PATIENCE_SECONDS, what="all vectors")
    run = Run(files * chunks_each - first, files, time.perf_counter() - began, since(before, site.used()))
    forget_files(site)
    return run


def _complete(site: Site) -> int:
    return site.rows("select count(*) from files where status = 'complete'")[0][0]


def embedding_rates(size: Size, random: Random) -> dict[str, list[Run]]:
    """By Embedders and index, in turns."""
    runs: dict[str, list[Run]] = {"1 Embedder": [], "2 Embedders": [], "2 Embedders, HNSW": []}
    with running_site() as site:
        site.start("embedder", **ENGINE)
        drop_vector_indexes(site)
        for _ in range(size.rounds):
            runs["1 Embedder"].append(embed(site, random, files=size.files, chunks_each=size.chunks_each))
        site.start("embedder", **ENGINE)
        drop_vector_indexes(site)
        for _ in range(size.rounds):
            runs["2 Embedders"].append(embed(site, random, files=size.files, chunks_each=size.chunks_each))
    with running_site() as site:
        for _ in range(2):
            site.start("embedder", **ENGINE)
        chunks_each = size.with_hnsw // size.files
        runs["2 Embedders, HNSW"].append(embed(site, random, files=size.files, chunks_each=chunks_each))
    return runs


def end_to_end(size: Size, random: Random) -> dict[str, Run]:
    """From upload to searchable, with one of each role; by what is indexed."""
    runs: dict[str, Run] = {}
    with running_site() as site:
        port = str(free_port())
        site.start("api", PENSTOCK_API_PORT=port, **ENGINE)
        for role in ("ingester", "embedder"):
            site.start(role, **ENGINE)
        url = f"http://127.0.0.1:{port}"
        site.wait_until(lambda: _answers(url), seconds=PATIENCE_SECONDS, what="the API")
        upload(site, url, [sentences(random, 200)])  # warms the parser children
        runs["both indexes"] = upload(site, url, long_texts(size, random))
        drop_vector_indexes(site)
        runs["full-text index"] = upload(site, url, long_texts(size, random))
        runs["full-text index, one Chunk a File"] = upload(site, url, notes(size, random))
        with without_text_search(site):
            runs["no index"] = upload(site, url, long_texts(size, random))
            runs["no index, one Chunk a File"] = upload(site, url, notes(size, random))
    return runs


def long_texts(size: Size, random: Random) -> list[str]:
    """Of about 100 Chunks each, in paragraphs."""
    return ["\n\n".join(sentences(random, 160) for _ in range(100)) for _ in range(size.uploads)]


def notes(size: Size, random: Random) -> list[str]:
    return [sentences(random, 120) for _ in range(size.notes)]


def upload(site: Site, url: str, texts: list[str]) -> Run:
    """Hand the texts in as Markdown files, and wait until search sees each."""
    batch, before, began = str(uuid4()), site.used(), time.perf_counter()
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http, ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(_post, repeat(http), repeat(batch), texts))
    where = "from files where batch = %s and status"
    site.wait_until(
        lambda: site.rows(f"select count(*) {where} = 'complete'", batch)[0][0] == len(texts),
        seconds=PATIENCE_SECONDS,
        what="all files",
    )
    seconds, used = time.perf_counter() - began, since(before, site.used())
    [(chunks,)] = site.rows("select sum(chunk_count) from files where batch = %s", batch)
    return Run(int(chunks), len(texts), seconds, used)


def _post(http: httpx.Client, batch: str, text: str) -> None:
    file = ("note.md", io.BytesIO(text.encode()))
    http.post("/files", params={"batch": batch}, files={"file": file}).raise_for_status()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False


async def engine_rate(texts: list[str]) -> float:
    """Chunks/s of the default engine alone, on texts like the stored ones."""
    engine = await open_engine(load_settings({}).embedding)
    try:
        await engine.embed_documents(texts[:16])
        began = time.perf_counter()
        half = len(texts) // 2
        await asyncio.gather(engine.embed_documents(texts[:half]), engine.embed_documents(texts[half:]))
        return len(texts) / (time.perf_counter() - began)
    finally:
        await engine.close()


def figures(rates: dict[str, list[Run]], costs: dict[str, Run], engine: float) -> list[Figure]:
    rate = {name: statistics.median(run.rate for run in runs) for name, runs in rates.items()}
    best = max("1 Embedder", "2 Embedders", key=lambda name: rate[name])
    plain, indexed = costs["no index"], costs["both indexes"]
    parser = ("parser child",)
    small = costs["no index, one Chunk a File"]
    return [
        Figure(
            row=5,
            measure="chunks through queue, Embedder and database, without the HNSW index",
            unit="chunks/s",
            ours=rate[best],
            against=engine,
            other="the real engine",
            value=rate[best],
            wanted=5000,
            note=f"{best}, engine returns at once; with the HNSW index {rate['2 Embedders, HNSW']:.0f} chunks/s.",
        ),
        Figure(
            row=12,
            measure="processor time a chunk outside parsing, embedding and the indexes",
            unit="ms",
            ours=plain.milliseconds(without=parser),
            against=None,
            other="",
            value=plain.milliseconds(without=parser),
            wanted=0.4,
            better="lower",
            note=f"All processes but the parser children, files of {plain.chunks // plain.files} chunks; with both "
            f"indexes {indexed.milliseconds(without=parser):.2f} ms; files of one chunk, a file: "
            f"{small.milliseconds(without=parser):.1f} ms.",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds; measures nothing")
    parser.add_argument("--only", choices=("rate", "cost"), help="one half of it; keeps nothing")
    arguments = parser.parse_args()
    size, random = (QUICK if arguments.quick else FULL), Random(12)
    rates = embedding_rates(size, random) if arguments.only != "cost" else {}
    for name, runs in rates.items():
        for run in runs:
            print(f"{name:36} {run.rate:7.0f} chunks/s", run.told()["cpu_ms_per_chunk"])
    costs = end_to_end(size, random) if arguments.only != "rate" else {}
    for name, run in costs.items():
        print(f"{name:36} {run.rate:7.0f} chunks/s", run.told()["cpu_ms_per_chunk"])
    if arguments.only:
        return
    engine = asyncio.run(engine_rate([sentences(random, 128) for _ in range(64 if arguments.quick else 512)]))
    told = {name: [run.told() for run in runs] for name, runs in rates.items()}
    keep(
        "flow", figures(rates, costs, engine), {"embedder": told, "end_to_end": {n: r.told() for n, r in costs.items()}}
    )


if __name__ == "__main__":
    main()
