"""A data folder with as many Chunks as one wants, in minutes, made from real ones.

Real documents go through a Penstock of its own once. Their Chunks are then varied: a File is a run of Chunks of a real
one, each made of sentences of two of them, with words exchanged for others by how often they occur, and names that
occur nowhere else. Its vector is the mean of the two, moved at random by what lies between neighbours among the real
ones. So words are as frequent together as in real texts, vectors lie in real clusters, and no two are the same.

Rows are written by COPY and the indexes made afterwards, as no installation does: this is the place to measure in, not
the measurement.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from penstock_run import RunningPenstock, running_penstock

DOCUMENTS = ("ir/chroma/docs", "filings", "docs/procrastinate-org+procrastinate/docs")
FILE_CHUNKS = 50
DOCUMENT_CHUNKS = 8
"""That a new document is made of."""
MIXED = 0.35
"""The share of a Chunk's sentences that another of the same file brings."""
FROM_AFAR = 0.15
"""The share of Chunks whose other one is of any file. Without them each real Chunk is an island of hundreds of near
ones, as in no corpus: for 9 of 100 questions the vector index did not find the right island at all."""
EXCHANGED = 0.06
"""The share of its words that other words replace."""
NAMES = 0.01
"""The share of its words that names replace, of which there are as many as Chunks."""
MOVED = 0.45
"""Length of the random part of a vector of length 1: neighbours among the real ones are about so far apart."""
SYLLABLES = "ba be bi bo da de do fa fi ga go ka ke ki la le lo ma me mo na ne no pa po ra re ri ro sa se so ta te to"
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Base:
    """Real Chunks, those of one file in a row."""

    texts: list[str]
    contexts: list[str]
    headings: list[str]
    """As PostgreSQL writes an array."""
    languages: list[str]
    vectors: Vectors
    files: list[range]
    """The Chunks of each."""
    words: list[str]
    cumulated: NDArray[np.float64]
    """How likely each of `words` or one before it is."""


def fill(data: Path, chunks: int, corpora: Path, folders: Sequence[str] = DOCUMENTS) -> None:
    """Make sure that `data` has so many Chunks, complete and searchable; nothing where it has them already.

    The real documents are those in `folders` of the corpora.
    """
    mark = data / "benchmark.json"
    if mark.exists() and json.loads(mark.read_text())["chunks"] >= chunks:
        return
    with running_penstock(data) as penstock:
        _hand_in_documents(penstock, [corpora / folder for folder in folders])
        with psycopg.connect(penstock.database_url) as rows:
            base = _base(rows)
            there = _value(rows, "select count(*) from chunks")
            _drop_indexes(rows)
        missing = max(0, chunks - there)
        shares = [(missing // 2, 2 * there), (missing - missing // 2, 2 * there + 1)]
        context = multiprocessing.get_context("fork")
        writers = [
            context.Process(target=_write, args=(penstock.database_url, base, count, seed)) for count, seed in shares
        ]
        began = time.perf_counter()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
            if writer.exitcode:
                raise RuntimeError(f"a writer ended with {writer.exitcode}")
        print(f"{missing:,} Chunks written in {time.perf_counter() - began:.0f} s", flush=True)
        with psycopg.connect(penstock.database_url, autocommit=True) as rows:
            _make_indexes(rows)
    mark.write_text(json.dumps({"chunks": chunks}))


def new_documents(url: str, count: int, *, seed: int) -> list[str]:
    """Texts of some pages each, varied like what is stored; the same `seed` gives the same ones."""
    random = np.random.default_rng(seed)
    with psycopg.connect(url) as rows:
        base = _base(rows)
    sources = np.asarray(random.choice(len(base.files), size=count, p=_sizes(base))).tolist()
    return [_document(base, base.files[int(source)], random) for source in sources]


def _document(base: Base, source: range, random: np.random.Generator) -> str:
    chosen = source.start + (random.integers(len(source)) + np.arange(DOCUMENT_CHUNKS)) % len(source)
    others = source.start + random.integers(len(source), size=DOCUMENT_CHUNKS)
    return "\n\n".join(_varied(base, one, other, random) for one, other in zip(chosen, others, strict=True))


def _hand_in_documents(penstock: RunningPenstock, folders: Sequence[Path]) -> None:
    with psycopg.connect(penstock.database_url) as rows:
        if _value(rows, "select count(*) from files"):
            return
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    taken = penstock.ingest(paths)
    print(f"{len(taken.files)} real files ingested in {taken.seconds:.0f} s", flush=True)


def _base(rows: psycopg.Connection) -> Base:
    found = rows.execute(
        "select c.file_id, c.text, c.context, c.headings::text, c.language, e.embedding::real[] from chunks c"
        " join embeddings e using (chunk_id) join files f using (file_id)"
        " where f.owner <> 'varied' order by c.file_id, c.index"
    ).fetchall()
    counts = Counter(word for row in found for word in row[1].split())
    occurrences = np.array(list(counts.values()), dtype=np.float64)
    starts = [0, *(at for at in range(1, len(found)) if found[at][0] != found[at - 1][0]), len(found)]
    return Base(
        texts=[row[1] for row in found],
        contexts=[row[2] for row in found],
        headings=[row[3] for row in found],
        languages=[row[4] for row in found],
        vectors=np.array([row[5] for row in found], dtype=np.float32),
        files=[range(first, last) for first, last in pairwise(starts)],
        words=list(counts),
        cumulated=np.cumsum(occurrences / occurrences.sum()),
    )


def _write(url: str, base: Base, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    with psycopg.connect(url) as rows:
        rows.execute("set synchronous_commit = off")
        rows.commit()
        while count > 0:
            _write_file(rows, base, min(count, FILE_CHUNKS), random)
            count -= FILE_CHUNKS


def _write_file(rows: psycopg.Connection, base: Base, count: int, random: np.random.Generator) -> None:
    """One varied File, complete, in a transaction."""
    file_id = UUID(bytes=random.bytes(16), version=4)
    source = base.files[random.choice(len(base.files), p=_sizes(base))]
    chosen = source.start + (random.integers(len(source)) + np.arange(count)) % len(source)
    others = source.start + random.integers(len(source), size=count)
    afar = random.random(count) < FROM_AFAR
    others[afar] = random.integers(len(base.texts), size=int(afar.sum()))
    texts = [_varied(base, one, other, random) for one, other in zip(chosen, others, strict=True)]
    ids = [UUID(bytes=random.bytes(16), version=4) for _ in range(count)]
    rows.execute(
        "insert into files (file_id, owner, name, object_key, owns_object, media_type, size, sha256, status, language,"
        " active_generation, chunk_count, embedded_count, token_count, announced_at, announced_index, settled_at)"
        " values (%s, 'varied', %s, 'none', false, 'text/markdown', %s, %s, 'complete', %s, 1, %s, %s, %s, now(), %s,"
        " now())",
        [file_id, f"varied-{file_id}.md", sum(map(len, texts)), file_id.hex, base.languages[source.start],
         count, count, sum(map(_tokens, texts)), count - 1],
    )  # fmt: skip
    with rows.cursor().copy(
        "copy chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, char_start, char_end,"
        " headings, context, context_tokens, language) from stdin"
    ) as copy:
        for index, (at, text) in enumerate(zip(map(int, chosen), texts, strict=True)):
            copy.write_row(
                (ids[index], file_id, 1, index, text, hashlib.sha256(text.encode()).digest(), _tokens(text), 0,
                 len(text), base.headings[at], base.contexts[at], 10, base.languages[at])
            )  # fmt: skip
    vectors = _moved(base.vectors[chosen], base.vectors[others], random)
    with rows.cursor().copy("copy embeddings from stdin (format binary)") as copy:
        copy.write(_binary(ids, [hashlib.sha256(text.encode()).digest() for text in texts], vectors))
    rows.commit()


def _sizes(base: Base) -> NDArray[np.float64]:
    sizes = np.array([len(file) for file in base.files], dtype=np.float64)
    return sizes / sizes.sum()


def _tokens(text: str) -> int:
    return max(1, round(1.3 * len(text.split())))


def _varied(base: Base, one: int, other: int, random: np.random.Generator) -> str:
    """A text of the sentences of two Chunks, with some words exchanged."""
    brought = [sentence for sentence in base.texts[other].split(". ") if random.random() < MIXED]
    kept = [sentence for sentence in base.texts[one].split(". ") if not brought or random.random() >= MIXED]
    words = ". ".join([*kept, *brought] or [base.texts[one]]).split(" ")
    places = random.integers(len(words), size=random.binomial(len(words), EXCHANGED))
    for at, word in zip(places, np.searchsorted(base.cumulated, random.random(len(places)) * (1 - 1e-6)), strict=True):
        words[at] = base.words[word]
    for at in random.integers(len(words), size=random.binomial(len(words), NAMES)):
        words[at] = _name(random)
    return " ".join(words)


def _name(random: np.random.Generator) -> str:
    syllables = SYLLABLES.split()
    return "".join(syllables[int(at)] for at in random.integers(len(syllables), size=4)).capitalize()


def _moved(ones: Vectors, others: Vectors, random: np.random.Generator) -> Vectors:
    mean: Vectors = np.asarray((1 - MIXED) * ones + MIXED * others, np.float32)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    noise: Vectors = np.asarray(random.standard_normal((len(ones), ones.shape[1])), np.float32)
    moved: Vectors = mean + MOVED * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _binary(ids: Sequence[UUID], hashes: Sequence[bytes], vectors: Vectors) -> bytes:
    """Rows of `embeddings` as COPY takes them in its binary form, which costs a hundredth of that in digits."""
    count, dimensions = vectors.shape
    row = np.dtype([
        ("fields", ">i2"), ("id_length", ">i4"), ("id", "V16"), ("model_length", ">i4"), ("model", ">i4"),
        ("hash_length", ">i4"), ("hash", "V32"), ("vector_length", ">i4"), ("dimensions", ">i2"), ("unused", ">i2"),
        ("vector", ">f4", (dimensions,)),
    ])  # fmt: skip
    rows = np.zeros(count, row)
    rows["fields"], rows["id_length"], rows["model_length"], rows["hash_length"] = 4, 16, 4, 32
    rows["vector_length"], rows["model"], rows["dimensions"] = 4 + 4 * dimensions, 1, dimensions
    rows["id"] = np.frombuffer(b"".join(one.bytes for one in ids), "V16")
    rows["hash"] = np.frombuffer(b"".join(hashes), "V32")
    rows["vector"] = vectors
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


INDEXES = ("chunks_text_search", "embeddings_same_text", "embeddings_nearest_1")


def _drop_indexes(rows: psycopg.Connection) -> None:
    """Remember how the indexes are made, and drop them."""
    rows.execute("create table if not exists benchmark_indexes (name text primary key, made text not null)")
    rows.execute(
        "insert into benchmark_indexes select indexname, indexdef from pg_indexes where indexname = any(%s)"
        " on conflict do nothing",
        [list(INDEXES)],
    )
    for name in INDEXES:
        rows.execute(f"drop index if exists {name}".encode())
    rows.commit()


def _make_indexes(rows: psycopg.Connection) -> None:
    """Make them again, as fast as the machine can, and let the server know what is there."""
    rows.execute("set maintenance_work_mem = '3GB'")
    rows.execute("set max_parallel_maintenance_workers = 2")
    for name, made in rows.execute("select name, made from benchmark_indexes").fetchall():
        began = time.perf_counter()
        rows.execute(made.encode())
        print(f"{name} made in {time.perf_counter() - began:.0f} s", flush=True)
    rows.execute("drop table benchmark_indexes")
    rows.execute("vacuum (analyze) files, chunks, embeddings")


def _value(rows: psycopg.Connection, query: str) -> Any:
    row = rows.execute(query.encode()).fetchone()
    assert row is not None, "an aggregate always has a row"
    return row[0]
