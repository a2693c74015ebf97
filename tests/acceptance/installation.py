"""A whole Penstock, as `penstock up` runs it, and its command line, as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from real_servers import command_of, free_port

CORPORA = Path(__file__).resolve().parents[2].parent / "shared" / "corpora"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "documents"
PENSTOCK = (sys.executable, "-m", "penstock")


@dataclass(frozen=True)
class Installation:
    """One data folder and the address of its API."""

    data: Path
    url: str

    def run(self, *words: object, seconds: float = 300, status: int | None = 0) -> str:
        """Run a command and return its stdout. Fails the test where it ends otherwise than with `status`."""
        done = subprocess.run(
            [*PENSTOCK, *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert status is None or done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: object, seconds: float = 300, status: int | None = 0) -> Any:
        return json.loads(self.run(*words, "--json", seconds=seconds, status=status))

    def lines(self, *words: object, seconds: float = 300, status: int | None = 0) -> list[dict[str, Any]]:
        """The objects of a command that prints one a line."""
        return [json.loads(line) for line in self.run(*words, "--json", seconds=seconds, status=status).splitlines()]

    def start(self, *words: object) -> subprocess.Popen[str]:
        """A command in the background."""
        return subprocess.Popen(
            [*PENSTOCK, *map(str, words)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {"PENSTOCK_DATA": str(self.data), "PENSTOCK_URL": self.url}

    @property
    def database_url(self) -> str:
        """Of the embedded PostgreSQL, as its processes have it."""
        (worker, *_) = self.processes("ingester") or self.processes("api")
        return worker.environ()["PENSTOCK_DATABASE_URL"]

    def processes(self, role: str) -> list[psutil.Process]:
        """The running processes of a role."""
        supervisor = psutil.Process(json.loads((self.data / "penstock.json").read_text())["supervisor"]["pid"])
        return [
            child for child in supervisor.children(recursive=True) if command_of(child)[-3:] == ["-m", "penstock", role]
        ]

    def log(self, part: str) -> str:
        """What a part has written; nothing where it never ran."""
        path = self.data / "logs" / f"{part}.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def penstock_up(data: Path, *options: object) -> Generator[Installation]:
    """`penstock up --detach` on a data folder, and `down` behind the block."""
    port = free_port()
    installation = Installation(data, f"http://127.0.0.1:{port}")
    said = installation.run("up", "--detach", "--port", port, *options)
    assert said.splitlines()[-1] == f"Penstock is ready at {installation.url}"
    try:
        yield installation
    finally:
        installation.run("down")
