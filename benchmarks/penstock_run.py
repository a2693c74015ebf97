"""One Penstock of the benchmark's own: started on an empty data folder, given files, looked into, stopped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
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
POLL_SECONDS = 0.1
DEADLINE_SECONDS = 900.0


class BenchmarkError(Exception):
    """The benchmark has nothing to measure: the sentence says why."""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What one hand-in took, from the first byte sent to the last File complete."""

    seconds: float
    cpu_seconds: float
    """Processor time of all of Penstock's processes, its servers among them."""
    files: list[dict[str, Any]]
    """As `GET /files/{id}` has them."""


@dataclass(frozen=True, slots=True)
class RunningPenstock:
    """Penstock as `penstock up` runs it, with its defaults."""

    data: Path
    start_seconds: float
    http: httpx.Client

    def ingest(self, paths: Sequence[Path]) -> Ingestion:
        """Hand the files in, all at once, and wait until search sees each of them."""
        batch = str(uuid4())
        began, used = time.perf_counter(), self._cpu_seconds()
        with ThreadPoolExecutor(max_workers=len(paths)) as pool:
            file_ids = list(pool.map(self._upload, paths, repeat(batch)))
        self._wait_for(batch)
        seconds = time.perf_counter() - began
        return Ingestion(
            seconds, self._cpu_seconds() - used, [self._json("GET", f"/files/{file_id}") for file_id in file_ids]
        )

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

    def _cpu_seconds(self) -> float:
        state = read_state(find_data_folder(self.data))
        if state is None:
            raise BenchmarkError("Penstock does not run any more")
        supervisor = psutil.Process(state.supervisor.pid)
        return sum(cpu_seconds_of(process) for process in [supervisor, *supervisor.children(recursive=True)])

    def _upload(self, path: Path, batch: str) -> str:
        with path.open("rb") as file:
            answer = self._json("POST", "/files", params={"batch": batch}, files={"file": (path.name, file)})
        return answer["file_id"]

    def _wait_for(self, batch: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            counts: Mapping[str, int] = self._json("GET", f"/batches/{batch}")["files"]
            if counts.get("failed"):
                raise BenchmarkError(f"Penstock failed a file: {counts}")
            if counts["complete"] == sum(counts.values()):
                return
            time.sleep(POLL_SECONDS)
        raise BenchmarkError(f"Penstock did not finish in {DEADLINE_SECONDS:.0f} s")

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self.http.request(method, path, **request).raise_for_status().json()

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Straight from the embedded database, past the API: what is really stored."""
        with psycopg.connect(prepare_postgres(find_data_folder(self.data).postgres).url) as connection:
            return connection.execute(query.encode(), values).fetchall()


def cpu_seconds_of(process: psutil.Process) -> float:
    """Of a process and of its children that have ended; 0 if it has ended itself, for its parent counts it then."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def running_penstock() -> Generator[RunningPenstock]:
    """Runs on an empty data folder, because a text that has its vector already is not embedded again."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        data = Path(folder) / "data"
        began = time.perf_counter()
        try:
            url = _up(data)
            start_seconds = time.perf_counter() - began
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
                yield RunningPenstock(data, start_seconds, http)
        finally:
            _penstock("down", "--data", str(data))


def _up(data: Path) -> str:
    output = _penstock("up", "--detach", "--data", str(data), "--port", "0")
    if ready := READY.search(output):
        return ready.group(1)
    raise BenchmarkError(f"`penstock up` did not say where it is:\n{output}")


def _penstock(*arguments: str) -> str:
    # The caller's settings would make another Penstock than the default one, which is what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    done = subprocess.run([*PENSTOCK, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"`penstock {arguments[0]}` ended with {done.returncode}")
    return done.stdout
