"""Servers that a test may stop, kill, freeze and start again, and waiting with a deadline."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from penstock.local.postgres import Postgres, prepare_postgres
from penstock.local.program import Program
from penstock.local.redis import Redis, prepare_redis

START_SECONDS = 30.0


def wait_until(condition: Callable[[], object], *, seconds: float = START_SECONDS, what: str = "") -> None:
    """Return as soon as `condition()` holds; fail the test if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.01)


@dataclass(slots=True)
class RunningServer:
    """A server that a test may stop, kill and start again, at the same URL and with the same data."""

    url: str
    program: Program
    is_ready: Callable[[int], bool]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server does not run"
        return self.process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.program.tethered(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.program.environment
            )
        wait_until(self._started, what=f"{self.program.argv[0]}, see {self.log}")

    def _started(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"{self.program.argv[0]} ended: {self.log.read_text(errors='replace')[-2000:]}")
        return self.is_ready(self.pid)

    def kill(self) -> None:
        """kill -9, as the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A clean stop."""
        self._end(self.program.stop_signal)

    def restart(self) -> None:
        """kill -9, then start again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze the server: it accepts connections and never answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, signal_number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(signal_number)
            self.process.send_signal(signal.SIGCONT)  # a frozen one hears nothing else
            self.process.wait(START_SECONDS)
            self.process = None


def postgres_in(folder: Path) -> RunningServer:
    """A PostgreSQL with its data and its log in `folder`; not started yet."""
    server: Postgres = prepare_postgres(folder / "postgres", durable=False)
    return RunningServer(server.url, server.program, server.is_ready, folder / "postgres.log")


def redis_in(folder: Path) -> RunningServer:
    """A Redis with its data and its log in `folder`; not started yet."""
    server: Redis = prepare_redis(folder / "redis")
    return RunningServer(server.url, server.program, lambda _: server.is_ready(), folder / "redis.log")


def aws_in(folder: Path) -> RunningServer:
    """An AWS of this machine, moto's over HTTP, with its log in `folder`; not started yet. It keeps nothing on disk."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program((sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)))
    return RunningServer(url, program, lambda _: _aws_answers(url), folder / "aws.log")


def _aws_answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/moto-api/", trust_env=False).is_success
    except httpx.TransportError:
        return False


def forget_all(aws_url: str) -> None:
    """Leave that AWS as if it had just been started."""
    httpx.post(f"{aws_url}/moto-api/reset", trust_env=False).raise_for_status()


def nats_in(folder: Path, *options: str) -> RunningServer:
    """The distribution's NATS with JetStream, with its data and its log in `folder`; not started yet."""
    server = shutil.which("nats-server")
    if server is None:
        pytest.skip("no nats-server installed (Debian: nats-server)")
    port = free_port()
    program = Program((server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "nats"), *options))
    return RunningServer(f"nats://127.0.0.1:{port}", program, lambda _: _nats_answers(port), folder / "nats.log")


def _nats_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False


def redis_command(url: str, *words: str) -> Any:
    """Send one command to Redis and return its answer."""
    client: Any = redis.Redis.from_url(url, decode_responses=True)  # pyright: ignore[reportUnknownMemberType]  # **kwargs
    with client:
        return client.execute_command(*words)


def command_of(process: psutil.Process) -> list[str]:
    """The words of its command; none where it has ended since it was found, as one that was killed."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
