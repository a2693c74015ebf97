"""One to eight Embedders on a remote engine of 100 ms latency: does the next one bring as much as the first?

A real HTTP server stands for the remote engine (`remote_engine.py`). Each Embedder sends it `REQUESTS` requests at
once, of `TEXTS` texts each: so few that eight Embedders wait for the engine, and not for the processors of a small
machine. All else is as users have it, the HNSW index too. Embedders are started until there are eight, and stopped
again until there is one; each number is measured on both ways.

    PYTHONPATH=tests .venv/bin/python benchmarks/embedders.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import httpx
from measured import Figure, keep
from real_servers import free_port
from roles import Role, Site, embedded, let_go, running_site, since, store_chunks, without_text_search

LATENCY_MS = 100
TEXTS = 8
REQUESTS = 1
TOKENS = 128
"""Of each stored Chunk."""
CHUNKS_EACH = 1024
"""Of a File; messages are full."""
RATE = REQUESTS * TEXTS * 1000 / LATENCY_MS
"""Chunks/s that the remote engine has for one Embedder."""
SETTLE_SECONDS = 1.0
SERVER = Path(__file__).with_name("remote_engine.py")
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    counts: tuple[int, ...]
    seconds: float
    """For each measurement."""


FULL = Size(counts=(1, 2, 4, 8), seconds=8)
QUICK = Size(counts=(1, 2), seconds=0.5)


@dataclass(frozen=True, slots=True)
class Point:
    """So many Embedders, for a while."""

    embedders: int
    chunks: int
    seconds: float
    used: dict[str, float]
    """Processor seconds by what used them."""

    @property
    def rate(self) -> float:
        return self.chunks / self.seconds


@contextmanager
def remote_engine() -> Generator[str]:
    """Runs while the block does: its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with subprocess.Popen([sys.executable, str(SERVER), str(port), str(LATENCY_MS)]) as server:
        try:
            _wait_for(url)
            yield url
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            body = {"model": "remote", "input": ["ready?"]}
            httpx.post(f"{url}/embeddings", json=body, trust_env=False).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def measure(site: Site, embedders: int, *, seconds: float) -> Point:
    """From one message's vectors to another's, so that none is counted in part."""
    began, first, before = _next_step(site)
    time.sleep(seconds)
    ended, last, after = _next_step(site)
    return Point(embedders, last - first, ended - began, since(before, after))


def _next_step(site: Site) -> tuple[float, int, dict[str, float]]:
    """The moment at which the next vectors are there, how many there are then, and what was used by then."""
    so_far = embedded(site)
    site.wait_until(lambda: embedded(site) > so_far, seconds=PATIENCE_SECONDS, what="more vectors")
    return time.perf_counter(), embedded(site), site.used()


def curve(size: Size) -> list[Point]:
    """Up to the most Embedders, and down again."""
    points: list[Point] = []
    running: list[Role] = []
    random = Random(9)
    with running_site() as site, remote_engine() as url:
        for count in (*size.counts, *reversed(size.counts)):
            while len(running) < count:
                running.append(start_embedder(site, url))
            while len(running) > count:
                site.stop(running.pop())
            store_enough(site, seconds=count * (size.seconds + SETTLE_SECONDS), random=random)
            _next_step(site)
            time.sleep(SETTLE_SECONDS)  # who came last is at work as well
            points.append(measure(site, count, seconds=size.seconds))
    return points


def store_enough(site: Site, *, seconds: float, random: Random) -> None:
    """Let there be Chunks for so many seconds of one Embedder, and for what is read ahead."""
    wanted = seconds * RATE + 2 * CHUNKS_EACH
    [(left,)] = site.rows("select coalesce(sum(chunk_count - embedded_count), 0) from files")
    if left < wanted:
        with without_text_search(site):
            files = math.ceil((wanted - left) / CHUNKS_EACH)
            store_chunks(site, files=files, chunks_each=CHUNKS_EACH, random=random)
        let_go(site)


def start_embedder(site: Site, url: str) -> Role:
    return site.start(
        "embedder",
        PENSTOCK_EMBEDDING_URL=url,
        PENSTOCK_EMBEDDING_MODEL="remote",
        PENSTOCK_EMBEDDING_CONCURRENCY=str(REQUESTS),
        PENSTOCK_EMBEDDING_BATCH_TEXTS=str(TEXTS),
        PENSTOCK_EMBEDDING_BATCH_TOKENS=str(TEXTS * TOKENS),
    )


def figure(points: Sequence[Point]) -> tuple[Figure, list[dict[str, float]]]:
    rates: defaultdict[int, list[float]] = defaultdict(list)
    for point in points:
        rates[point.embedders].append(point.rate)
    means = {count: statistics.mean(of_count) for count, of_count in rates.items()}
    fewest, most = min(means), max(means)
    linear = means[fewest] * most / fewest
    busy = max(sum(point.used.values()) / point.seconds for point in points if point.embedders == most)
    found = Figure(
        row=9,
        measure=f"{fewest} to {most} Embedders on a remote engine of {LATENCY_MS} ms latency",
        unit="chunks/s",
        ours=means[most],
        against=linear,
        other=f"{most} times one",
        value=means[most] / linear,
        wanted=0.95,
        note=f"{REQUESTS} requests of {TEXTS} texts at once from each Embedder: one lets the engine wait "
        f"{1 - means[fewest] / (fewest * RATE):.0%} of the time. {most} Embedders with database and queue keep "
        f"{busy:.1f} processors busy, which is what limits more of them, or larger requests.",
    )
    return found, [{"embedders": count, "chunks_per_second": rate} for count, rate in means.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds; measures nothing")
    points = curve(QUICK if parser.parse_args().quick else FULL)
    for point in points:
        used = {part: round(seconds / point.seconds, 2) for part, seconds in point.used.items()}
        print(f"{point.embedders} Embedders {point.rate:7.0f} chunks/s, processors: {used}")
    found, by_count = figure(points)
    keep("embedders", [found], {"curve": by_count, "points": [asdict(point) for point in points]})


if __name__ == "__main__":
    main()
