"""The life of a Worker process: waits for its services, answers on its health port, drains on SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from real_servers import RunningServer, free_port, postgres_in, redis_in, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """A PostgreSQL and a Redis that do not run yet."""
    postgres, redis = postgres_in(tmp_path), redis_in(tmp_path)
    yield postgres, redis
    for server in (postgres, redis):
        server.kill()


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
    wait_until(lambda: "waiting for a service" in log.read_text(), what="the worker to say what it waits for")
    postgres.start()
    redis.start()
    wait_until(lambda: _status(port, "ready") == 200, seconds=60, what="the worker to be ready")
    assert "penstock_attempts" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert log.read_text().count("waiting for a service") == 1, "said once, not each time"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert '"event": "stopped"' in log.read_text()
    assert "Traceback" not in log.read_text()


def _status(port: int, page: str) -> int | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/{page}").status_code
    except httpx.TransportError:
        return None
