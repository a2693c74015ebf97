"""One Penstock of the benchmark's own: started on an empty data folder, given files, looked into, stopped."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
import psycopg
from numpy.typing import NDArray

from penstock.local.data_folder import find_data_folder
from penstock.local.postgres import prepare_postgres
from penstock.local.run_state import read_state
from penstock.models import embedded_text

PENSTOCK = (sys.executable, "-P", "-m", "penstock")
READY = re.compile(r"Penstock is ready at (http://\S+)")
MOST_UPLOADS = 16
"""At once."""
POLL_SECONDS = 0.05
DEADLINE_SECONDS = 900.0


class BenchmarkError(Exception):
    """The benchmark has nothing to measure: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What one hand-in took, from the first byte sent to the last File complete."""

    seconds: float
    cpu_seconds_by_role: dict[str, float]
    """Processor time of all of Penstock's processes, its servers among them."""
    seconds_to_first_vector: float
    """Until the first Chunk had its vector, as `GET /batches/{batch}` tells."""
    files: list[dict[str, Any]]
    """As `GET /files/{id}` has them."""

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu_seconds_by_role.values())


@dataclass(frozen=True, slots=True)
class Added:
    """What one `penstock add` took, from its start to its end."""

    seconds: float
    cpu_seconds_by_role: dict[str, float]
    """Processor time of all of Penstock's processes, and of the command itself."""
    rows: list[dict[str, Any]]
    """What it printed: a row for each file."""


@dataclass(frozen=True, slots=True)
class RunningPenstock:
    """Penstock as `penstock up` runs it, with its defaults."""

    data: Path
    start_seconds: float
    http: httpx.Client

    def ingest(self, paths: Sequence[Path]) -> Ingestion:
        """Hand the files in, many at once, and wait until search sees each of them."""
        batch = str(uuid4())
        began, used = time.perf_counter(), self.cpu_seconds_by_role()
        with ThreadPoolExecutor(max_workers=min(len(paths), MOST_UPLOADS)) as pool:
            file_ids = list(pool.map(self.upload, paths, repeat(batch)))
        first_vector = self._wait_for(batch)
        seconds = time.perf_counter() - began
        return Ingestion(
            seconds,
            used_since(used, self.cpu_seconds_by_role()),
            first_vector - began,
            [self._json("GET", f"/files/{file_id}") for file_id in file_ids],
        )

    def upload(self, path: Path, batch: str | None = None) -> str:
        """Hand one file in, and do not wait for it; returns its id."""
        params = {"batch": batch} if batch else {}
        with path.open("rb") as file:
            answer = self._json("POST", "/files", params=params, files={"file": (path.name, file)})
        return answer["file_id"]

    def add(self, *folders: Path) -> Added:
        """Hand folders in as a user does, with `penstock add --recursive`, and wait for its end."""
        began, used = time.perf_counter(), self.cpu_seconds_by_role()
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*PENSTOCK, "add", *map(str, folders), "--recursive", "--json"],
            env=clean_environment() | {"PENSTOCK_URL": str(self.http.base_url)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        by_role = used_since(used, self.cpu_seconds_by_role())
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        by_role["penstock add"] = now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime
        return Added(seconds, by_role, [json.loads(line) for line in done.stdout.splitlines()])

    def search(self, query: str, *, k: int = 5, mode: str = "hybrid", **filters: list[str]) -> list[dict[str, Any]]:
        return self._json("POST", "/search", json={"query": query, "k": k, "mode": mode, "filters": filters})

    def text(self, file_id: str) -> str:
        """The extracted text that `char_span` refers to."""
        return self.http.get(f"/files/{file_id}/text").raise_for_status().content.decode("utf-8")

    def chunks(self, file_id: str) -> Iterator[dict[str, Any]]:
        """Every Chunk of the File, in order."""
        cursor: str | None = None
        while True:
            wanted = {"limit": 1000} if cursor is None else {"limit": 1000, "cursor": cursor}
            page = self._json("GET", f"/files/{file_id}/chunks", params=wanted)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def sums(self, file_ids: Sequence[str]) -> dict[str, int]:
        """Chunks, characters, tokens and the largest Chunk's tokens, over these Files."""
        names = ("chunks", "characters", "tokens", "largest_chunk_tokens")
        row = self._rows(
            "select count(*), sum(length(text)), sum(token_count), max(token_count) from chunks"
            " where file_id = any(%s::uuid[])",
            list(file_ids),
        )[0]
        return dict(zip(names, map(int, row), strict=True))

    def stored_vectors(self, count: int) -> tuple[list[str], NDArray[np.float32]]:
        """What was embedded of Chunks, and their vectors of shape (texts, dimensions); by hash, each time alike."""
        rows = self._rows(
            "select distinct on (text_hash) context, text, embedding::real[]"
            " from chunks join embeddings using (chunk_id, text_hash)"
            " order by text_hash limit %s",
            count,
        )
        texts = [embedded_text(context, text) for context, text, _ in rows]
        return texts, np.array([vector for *_, vector in rows], dtype=np.float32)

    def cpu_seconds_by_role(self) -> dict[str, float]:
        """Processor time since each started, of those that run and of their children that have ended."""
        supervisor = self.supervisor()
        used: defaultdict[str, float] = defaultdict(float)
        for process in [supervisor, *supervisor.children(recursive=True)]:
            used[role_of(process)] += cpu_seconds_of(process)
        return dict(used)

    def supervisor(self) -> psutil.Process:
        """The parent of all parts. Raises `BenchmarkError` where it has ended."""
        state = read_state(find_data_folder(self.data))
        if state is None:
            raise BenchmarkError("Penstock does not run any more")
        return psutil.Process(state.supervisor.pid)

    def _wait_for(self, batch: str) -> float:
        """When the first Chunk had its vector, by `time.perf_counter`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        first_vector: float | None = None
        while time.monotonic() < deadline:
            sums = self._json("GET", f"/batches/{batch}")
            counts: Mapping[str, int] = sums["files"]
            if first_vector is None and sums["embedded"]:
                first_vector = time.perf_counter()
            if counts.get("failed"):
                raise BenchmarkError(f"Penstock failed a file: {counts}")
            if counts["complete"] == sum(counts.values()):
                return first_vector or time.perf_counter()
            time.sleep(POLL_SECONDS)
        raise BenchmarkError(f"Penstock did not finish in {DEADLINE_SECONDS:.0f} s")

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self.http.request(method, path, **request).raise_for_status().json()

    @property
    def database_url(self) -> str:
        """Of the embedded database, to look past the API at what is really stored."""
        return prepare_postgres(find_data_folder(self.data).postgres).url

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode(), values).fetchall()


ROLES = {
    "penstock.parsing.child": "parser children",
    "api": "api",
    "ingester": "ingester",
    "embedder": "embedder",
}


def role_of(process: psutil.Process) -> str:
    """What a process of Penstock does, by its command."""
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return "ended"
    first = Path(command[0]).name if command else ""
    for server in ("postgres", "redis"):
        if first.startswith(server):
            return server
    return next((ROLES[word] for word in command if word in ROLES), "others")


def used_since(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Processor time by role between two moments."""
    return {role: seconds - before.get(role, 0) for role, seconds in now.items()}


def cpu_seconds_of(process: psutil.Process) -> float:
    """Of a process and of its children that have ended; 0 if it has ended itself, for its parent counts it then."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def looking(look: Callable[[], object], *, every: float) -> Generator[None]:
    """Calls `look` once every so many seconds, in a thread of its own, while the block runs."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(every):
            look()

    looker = threading.Thread(target=go_on, daemon=True)
    looker.start()
    try:
        yield
    finally:
        stop.set()
        looker.join()


@contextmanager
def running_penstock(
    data: Path | None = None, *, settings: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> Generator[RunningPenstock]:
    """Runs on an empty data folder, because a text that has its vector already is not embedded again; or on `data`.

    `settings` and `options` of `penstock up` are those that are not to be the defaults.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        data = data or Path(folder) / "data"
        began = time.perf_counter()
        try:
            url = _up(data, settings or {}, options)
            start_seconds = time.perf_counter() - began
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
                yield RunningPenstock(data, start_seconds, http)
        finally:
            _penstock("down", "--data", str(data))


def _up(data: Path, settings: Mapping[str, str], options: Sequence[str]) -> str:
    output = _penstock("up", "--detach", "--data", str(data), "--port", "0", *options, settings=settings)
    if ready := READY.search(output):
        return ready.group(1)
    raise BenchmarkError(f"`penstock up` did not say where it is:\n{output}")


def clean_environment() -> dict[str, str]:
    """Without the caller's settings: the default Penstock is what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}


def _penstock(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    environment = clean_environment() | dict(settings or {})
    done = subprocess.run([*PENSTOCK, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"`penstock {arguments[0]}` ended with {done.returncode}")
    return done.stdout
