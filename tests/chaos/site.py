"""A whole Penstock on servers of its own behind proxies: what the fault suite breaks.

ROOT/
├── servers/      PostgreSQL, the broker and their logs; what S3 prints
├── data/         the data folder of `penstock up`: logs and state only
├── tmp/          TMPDIR of the installation: a small file system of its own where mounting is permitted
├── fail-points/  a file here kills the first process that reaches the point of its name
└── clocks/       what the wall clocks show, of the installation and of each server
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import httpx
import obstore
import psutil
import psycopg
from obstore.store import S3Store
from psycopg.rows import dict_row
from real_servers import RunningServer, command_of, free_port, postgres_in, wait_until
from tcp_proxy import TcpProxy

from chaos.broker import Broker
from chaos.clock import Clock, Clocks
from chaos.redis_broker import RedisBroker
from chaos.sqs_broker import SqsBroker
from penstock.failpoints import VARIABLE as FAIL_POINTS_VARIABLE
from penstock.local.program import Program

PENSTOCK = (sys.executable, "-m", "penstock")
TEMPORARY_MIB = 400
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
BUCKET = "files"
SERVICES = ("database", "queue", "store")
Row = dict[str, Any]
BrokerName = Literal["redis", "sqs"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an installation is like."""

    model: str | None = None
    """A folder; None: the default model."""
    lease_seconds: float = 15.0
    parsing_seconds: float = 20.0
    ingesters: int = 2
    embedders: int = 2
    temporary_mib: int = TEMPORARY_MIB
    broker: BrokerName = "redis"
    counts_late_seconds: float = 10.0
    """Of SQS only. The emulator counts exactly; AWS' default is a minute."""

    @property
    def environment(self) -> dict[str, str]:
        chosen = {"PENSTOCK_EMBEDDING_MODEL": self.model} if self.model else {}
        return chosen | {
            "PENSTOCK_QUEUE_LEASE_SECONDS": str(self.lease_seconds),
            "PENSTOCK_PARSING_TIMEOUT_SECONDS": str(self.parsing_seconds),
            "PENSTOCK_PARSING_OCR_TIMEOUT_SECONDS": str(self.parsing_seconds),
            "PENSTOCK_PARSING_CHILDREN": "1",
            "PENSTOCK_WORKER_DRAIN_SECONDS": "5",
        }


class Site:
    """The servers, the proxies in front of them, and the installation that knows only the proxies."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root, self.plan = root, plan
        for folder in (self.servers, self.data, self.temporary, self.fail_points):
            folder.mkdir(parents=True, exist_ok=True)
        clocks = Clocks(root / "clocks")
        self.broker = self._broker()
        clocked = ("installation", "database", *(["queue"] if self.broker.has_clock else []))
        self.clocks = {name: clock for name in clocked if (clock := clocks.make(name))}
        self.postgres = with_clock(postgres_in(self.servers), self.clocks.get("database"))
        with_clock(self.broker.server, self.clocks.get("queue"))
        self.s3 = s3_in(self.servers)
        self.proxies: dict[str, TcpProxy] = {}
        self.port = free_port()
        self.is_small_disk = _mount(self.temporary, plan.temporary_mib)

    def _broker(self) -> Broker:
        if self.plan.broker == "redis":
            return RedisBroker(self.servers)
        return SqsBroker(self.servers, counts_late_seconds=self.plan.counts_late_seconds)

    @property
    def servers(self) -> Path:
        return self.root / "servers"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def fail_points(self) -> Path:
        return self.root / "fail-points"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        clock = self.clocks["installation"].environment if self.clocks else {}
        return ours | CREDENTIALS | clock | self.plan.environment | self.broker.environment | {
            "PENSTOCK_DATA": str(self.data),
            "PENSTOCK_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.proxies['database'].port}/penstock",
            "PENSTOCK_QUEUE_URL": self.broker.url(self.proxies["queue"].port),
            "PENSTOCK_OBJECT_STORE_URL": f"s3://{BUCKET}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxies['store'].port}",
            "AWS_ALLOW_HTTP": "true",
            FAIL_POINTS_VARIABLE: str(self.fail_points),
            "TMPDIR": str(self.temporary),
        }  # fmt: skip

    @contextmanager
    def open(self) -> Generator[Site]:
        """Everything runs while the block does."""
        try:
            for server in (self.postgres, self.broker.server, self.s3):
                server.start()
            httpx.put(f"{self.s3.url}/{BUCKET}", trust_env=False).raise_for_status()
            self.proxies = {
                "database": TcpProxy(_postgres_socket(self.postgres.url)),
                "queue": TcpProxy(self.broker.target),
                "store": TcpProxy(("127.0.0.1", urlsplit(self.s3.url).port or 0)),
            }
            self.up()
            yield self
        finally:
            self._close()

    def up(self) -> None:
        """Start the installation, or start it again where its supervisor was killed; returns when it is ready."""
        command = [*PENSTOCK, "up", "--detach", "--port", str(self.port), "--data", str(self.data)]
        command += ["--ingesters", str(self.plan.ingesters), "--embedders", str(self.plan.embedders)]
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, f"up: {done.stdout}"

    def down(self) -> None:
        command = [*PENSTOCK, "down", "--data", str(self.data)]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def heal(self) -> None:
        """Nothing is wrong with network, disk and clocks any more."""
        for proxy in self.proxies.values():
            proxy.heal()
        for clock in self.clocks.values():
            clock.set(0)
        for filler in self.temporary.glob("filler*"):
            filler.unlink()
        for asked in self.fail_points.iterdir():
            asked.unlink(missing_ok=True)

    def _close(self) -> None:
        self.heal()
        with suppress(subprocess.CalledProcessError):
            self.down()
        for process in self.processes_left():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for server in (self.postgres, self.broker.server, self.s3):
            server.stop()
        for proxy in self.proxies.values():
            proxy.close()
        if self.is_small_disk:
            subprocess.run(["umount", "--lazy", str(self.temporary)], check=False)

    # Processes

    def pid(self, part: str) -> int:
        """The process of a part (`api`, `ingester-1`, …) or of the `supervisor` as it was last started."""
        state = json.loads((self.data / "penstock.json").read_text())
        return int((state["supervisor"] if part == "supervisor" else state["parts"][part])["pid"])

    @property
    def workers(self) -> list[str]:
        counts = {"ingester": self.plan.ingesters, "embedder": self.plan.embedders}
        return [f"{role}-{number}" for role, count in counts.items() for number in range(1, count + 1)]

    def kill(self, part: str, signal_number: int = signal.SIGKILL) -> int:
        """Signal a part; its number, or 0 where it is dead already."""
        pid = self.pid(part)
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return 0
        return pid

    def children(self, module: str) -> list[psutil.Process]:
        """The processes below the supervisor that run `python -m module`."""
        return [process for process in self._family() if module in command_of(process)]

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.pid("supervisor")).children(recursive=True)
        except (psutil.NoSuchProcess, FileNotFoundError):
            return []

    def processes_left(self) -> list[psutil.Process]:
        """Whatever still runs with this installation's folders in its environment or command."""
        marks = (f"PENSTOCK_DATA={self.data}", str(self.temporary))
        return [process for process in psutil.process_iter() if _mentions(process, marks)]

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def await_ready(self, seconds: float = 60) -> None:
        wait_until(self.is_ready, seconds=seconds, what="the API to be ready")

    def await_restart(self, part: str, former: int, seconds: float = 60) -> None:
        """Until the supervisor has started the part again."""
        wait_until(lambda: self.pid(part) != former, seconds=seconds, what=f"another {part}")

    # What the services hold, asked past the proxies

    def rows(self, query: str, *parameters: object) -> list[Row]:
        with psycopg.Connection[Row].connect(self.postgres.url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def objects(self) -> set[str]:
        store = S3Store(
            BUCKET,
            endpoint=self.s3.url,
            access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region=CREDENTIALS["AWS_REGION"],
            client_options={"allow_http": True},
        )
        pages = obstore.list(store)  # pyright: ignore[reportUnknownMemberType]  # names a type of pyarrow
        return {found["path"] for page in pages for found in page}

    def log(self, part: str) -> str:
        return (self.data / "logs" / f"{part}.log").read_text(errors="replace")


def with_clock(server: RunningServer, clock: Clock | None) -> RunningServer:
    """The server, on a clock that the suite may set."""
    if clock is not None:
        environment = dict(server.program.environment) | clock.environment
        server.program = dataclasses.replace(server.program, environment=environment)
    return server


def s3_in(folder: Path) -> RunningServer:
    """An S3 in memory, over HTTP; not started yet."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = Program(
        (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)), stop_signal=signal.SIGTERM
    )

    def answers(_: int) -> bool:
        try:
            return httpx.get(url, trust_env=False).is_success
        except httpx.TransportError:
            return False

    return RunningServer(url, program, answers, folder / "s3.log")


def _postgres_socket(url: str) -> Path:
    return Path(unquote(urlsplit(url).query.removeprefix("host="))) / ".s.PGSQL.5432"


def _mount(folder: Path, mebibytes: int) -> bool:
    """Whether `folder` is now a file system of its own, which a test can fill. Needs a permission that few have."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    command = [mount, "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _mentions(process: psutil.Process, marks: tuple[str, ...]) -> bool:
    with suppress(psutil.Error):
        if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            return False
        told = [*process.cmdline(), *(f"{name}={value}" for name, value in process.environ().items())]
        return any(mark in word for word in told for mark in marks)
    return False


def pauses(total: float, step: float = 0.05) -> Iterator[None]:
    """Sleeps in steps until `total` seconds are over."""
    deadline = time.monotonic() + total
    while time.monotonic() < deadline:
        time.sleep(step)
        yield
