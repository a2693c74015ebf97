"""The life of a Worker process: waits for its services, answers on its health port, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from pipeline_services import Pipeline, open_pipeline
from real_servers import RunningServer, command_of, free_port, postgres_in, redis_command, redis_in, wait_until

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, File, FileStatus

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """A PostgreSQL and a Redis that do not run yet."""
    postgres, redis = postgres_in(tmp_path), redis_in(tmp_path)
    yield postgres, redis
    for server in (postgres, redis):
        server.kill()


@pytest.fixture
def health_port(servers: tuple[RunningServer, RunningServer], monkeypatch: pytest.MonkeyPatch) -> int:
    """Where a Worker answers whose services run."""
    for server in servers:
        server.start()
    port = free_port()
    monkeypatch.setenv("PENSTOCK_WORKER_HEALTH_PORT", str(port))
    return port


@pytest.mark.parametrize("role", ["ingester", "embedder"])
def test_a_worker_starts_before_its_services_and_is_ready_when_they_are(
    servers: tuple[RunningServer, RunningServer], tmp_path: Path, role: str
) -> None:
    postgres, redis = servers
    port = free_port()
    environment = dict(os.environ) | {
        "PENSTOCK_DATABASE_URL": postgres.url,
        "PENSTOCK_QUEUE_URL": redis.url,
        "PENSTOCK_OBJECT_STORE_URL": f"file://{tmp_path}/objects",
        "PENSTOCK_EMBEDDING_MODEL": "fake://384",
        "PENSTOCK_WORKER_HEALTH_PORT": str(port),
        "PENSTOCK_LOG_FORMAT": "json",
    }
    log = tmp_path / "worker.log"
    with log.open("wb") as stderr:
        worker = subprocess.Popen([sys.executable, "-m", "penstock", role], env=environment, stderr=stderr)
    wait_until(lambda: _status(port, "live") == 200, what="the worker to live")
    assert _status(port, "ready") == 503
    assert _ready(port) == {"status": "not_ready", "role": role}
    wait_until(lambda: "waiting for a service" in log.read_text(), what="the worker to say what it waits for")
    postgres.start()
    redis.start()
    wait_until(lambda: _status(port, "ready") == 200, seconds=60, what="the worker to be ready")
    told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "penstock_leases_lost 0.0" in told
    queue = {"ingester": INGEST_QUEUE, "embedder": EMBEDDING_QUEUE}[role]
    assert f'penstock_attempts_total{{queue="{queue}",verdict="done"}} 0.0' in told, "there before the first attempt"
    assert ('code="parser_crashed"' in told) == (role == "ingester")
    if role == "embedder":
        assert "penstock_embedding_batch_capacity 16384.0" in told
        assert "penstock_embedding_concurrency 2.0" in told
    assert log.read_text().count("waiting for a service") == 1, "said once, not each time"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert '"event": "stopped"' in log.read_text()
    assert "Traceback" not in log.read_text()


@dataclass
class Outage:
    """An Ingester that has Files to read, whose database was killed, and that has said so."""

    pipeline: Pipeline
    files: list[File]
    worker: subprocess.Popen[bytes]
    log: Path


@asynccontextmanager
async def outage(servers: tuple[RunningServer, RunningServer], folder: Path, *, files: int) -> AsyncGenerator[Outage]:
    postgres, redis = servers
    postgres.start()
    redis.start()
    log = folder / "ingester.log"
    async with open_pipeline(postgres.url, redis.url, folder, "fake://384") as pipeline:
        with _worker("ingester", servers, folder, log) as worker:
            wait_until(lambda: '"event": "ready"' in log.read_text(), what="the worker")
            worker.send_signal(signal.SIGSTOP)
            submitted = [await pipeline.submit(f"Gauge {n}.") for n in range(files)]
            await pipeline.services.queues.publish(INGEST_QUEUE, pipeline.asked.messages[INGEST_QUEUE])
            postgres.kill()
            worker.send_signal(signal.SIGCONT)
            wait_until(lambda: "a service is away" in log.read_text(), what="the worker to say so")
            yield Outage(pipeline, submitted, worker, log)


async def test_a_worker_that_is_asked_to_stop_drains_and_says_so(
    servers: tuple[RunningServer, RunningServer], health_port: int, tmp_path: Path
) -> None:
    postgres, redis = servers
    port, log = health_port, tmp_path / "ingester.log"
    async with open_pipeline(postgres.url, redis.url, tmp_path, "fake://384") as pipeline:
        with _worker("ingester", servers, tmp_path, log) as worker:
            wait_until(lambda: _status(port, "ready") == 200, seconds=60, what="the worker to be ready")
            parsers = [
                child
                for child in psutil.Process(worker.pid).children()
                if "penstock.parsing.child" in command_of(child)
            ]
            for parser in parsers:
                parser.suspend()
            file = await pipeline.submit("Gauge 7.")
            await pipeline.services.queues.publish(INGEST_QUEUE, pipeline.asked.messages[INGEST_QUEUE])

            async def reading() -> bool:
                return (await pipeline.file(file.file_id)).status is FileStatus.INGESTING

            async with asyncio.timeout(30):
                while not await reading():
                    await asyncio.sleep(0.01)
            worker.send_signal(signal.SIGTERM)
            wait_until(lambda: _ready(port)["status"] == "draining", what="the worker to say so")
            assert (_status(port, "ready"), _status(port, "live")) == (503, 200)
            for parser in parsers:
                parser.resume()
            assert worker.wait(20) == 0
        assert (await pipeline.file(file.file_id)).status is FileStatus.EMBEDDING, "what was in work was finished"


async def test_a_worker_waits_for_a_database_that_is_away_and_says_so_once(
    servers: tuple[RunningServer, RunningServer], tmp_path: Path
) -> None:
    postgres, redis = servers
    async with outage(servers, tmp_path, files=6) as found:
        pipeline, log = found.pipeline, found.log
        postgres.start()
        wait_until(lambda: "the service is back" in log.read_text(), what="the worker to say so")

        async def ingested() -> bool:
            return all([(await pipeline.file(file.file_id)).status is FileStatus.EMBEDDING for file in found.files])

        async with asyncio.timeout(30):
            while not await ingested():
                await asyncio.sleep(0.05)
        found.worker.send_signal(signal.SIGTERM)
        assert found.worker.wait(20) == 0
        assert redis_command(redis.url, "EXISTS", f"{INGEST_QUEUE}-attempts") == 0
        assert await pipeline.services.queues.dead_letters(INGEST_QUEUE) == []
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.count("a service is away; files wait for it") == 1
    assert "trying again" not in events, "no line for each file"


async def test_a_worker_that_is_asked_to_stop_during_an_outage_stops_at_once(
    servers: tuple[RunningServer, RunningServer], tmp_path: Path
) -> None:
    _, redis = servers
    async with outage(servers, tmp_path, files=1) as found:
        found.worker.send_signal(signal.SIGTERM)
        assert found.worker.wait(10) == 0
        assert "Traceback" not in found.log.read_text()
        assert redis_command(redis.url, "HGETALL", f"{INGEST_QUEUE}-attempts") == {}, "given back, no attempt burnt"


def test_a_worker_that_is_asked_to_stop_while_it_starts_does_not_start_first(
    servers: tuple[RunningServer, RunningServer], health_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, log = health_port, tmp_path / "ingester.log"
    monkeypatch.setenv("PENSTOCK_PARSING_CHILDREN", "16")  # whose start takes a while
    with _worker("ingester", servers, tmp_path, log) as worker:
        wait_until(lambda: _status(port, "live") == 200, what="the worker to live")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[-1] == "stopped"
    assert "ready" not in events
    assert "Traceback" not in log.read_text()


@contextmanager
def _worker(
    role: str, servers: tuple[RunningServer, RunningServer], folder: Path, log: Path
) -> Generator[subprocess.Popen[bytes]]:
    postgres, redis = servers
    environment = dict(os.environ) | {
        "PENSTOCK_DATABASE_URL": postgres.url,
        "PENSTOCK_DATABASE_CONNECT_TIMEOUT_SECONDS": "1",
        "PENSTOCK_QUEUE_URL": redis.url,
        "PENSTOCK_OBJECT_STORE_URL": f"file://{folder}/objects",
        "PENSTOCK_EMBEDDING_MODEL": "fake://384",
        "PENSTOCK_LOG_FORMAT": "json",
    }
    with log.open("wb") as stderr:
        worker = subprocess.Popen([sys.executable, "-m", "penstock", role], env=environment, stderr=stderr)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.wait()


def _ready(port: int) -> dict[str, str]:
    return httpx.get(f"http://127.0.0.1:{port}/health/ready").json()


def _status(port: int, page: str) -> int | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/{page}").status_code
    except httpx.TransportError:
        return None
