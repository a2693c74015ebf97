"""The Core API as a process of its own, on a free port, with a fake model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from real_servers import wait_until


@dataclass(frozen=True, slots=True)
class RunningApi:
    """`http` talks to it; `log` is what it wrote."""

    url: str
    http: httpx.Client
    process: subprocess.Popen[bytes]
    log_path: Path
    objects: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return psutil.Process(self.process.pid).memory_info().rss

    def is_ready(self) -> bool:
        return self.status("/health/ready") == 200

    def is_live(self) -> bool:
        return self.status("/health/live") == 200

    def status(self, path: str) -> int:
        """Of a GET; 0 where nothing answers."""
        assert self.process.poll() is None, f"the API ended: {self.log}"
        try:
            return self.http.get(path).status_code
        except httpx.TransportError:
            return 0

    def stored_objects(self) -> list[Path]:
        return [path for path in self.objects.rglob("*") if path.is_file()]

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running_api(
    folder: Path, *, database_url: str, queue_url: str, wait: bool = True, settings: Mapping[str, str] | None = None
) -> Generator[RunningApi]:
    """Listens when the block begins; may not be ready yet. `settings` are of the environment, without PENSTOCK_."""
    port = _free_port()
    objects = folder / "objects"
    environment = {
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": queue_url,
        "PENSTOCK_OBJECT_STORE_URL": objects.as_uri(),
        "PENSTOCK_EMBEDDING_MODEL": "fake://384",
        "PENSTOCK_API_PORT": str(port),
        **{f"PENSTOCK_{name}": value for name, value in (settings or {}).items()},
    }
    log_path = folder / "api.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "api"], stdin=subprocess.DEVNULL, stderr=log, env=inherited | environment
        )
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        api = RunningApi(url, http, process, log_path, objects)
        try:
            if wait:
                wait_until(api.is_live, what="the API is live")
            yield api
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
