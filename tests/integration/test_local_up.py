"""`penstock up` and `down` with real servers and stub roles: what starts, is watched, stops, and is refused."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from real_servers import redis_command, wait_until

from penstock.errors import AlreadyRunning, DataFolderError, ModelUnavailable, PortTaken
from penstock.local.data_folder import find_data_folder, is_locked, make_data_folder
from penstock.local.postgres import prepare_postgres
from penstock.local.run_state import RunState, read_state

pytestmark = pytest.mark.slow

STUB = str(Path(__file__).with_name("local_stub.py"))
NOBODY = 65534


@dataclass(slots=True)
class Up:
    """A `penstock up` that runs, and what it has said."""

    process: subprocess.Popen[str]
    data: Path
    lines: list[str] = field(default_factory=list[str])

    def said(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]

    def wait_for(self, pattern: str, *, times: int = 1) -> None:
        wait_until(lambda: len(self.said(pattern)) >= times, what=f"{pattern!r} in {self.lines}")

    @property
    def state(self) -> RunState:
        state = read_state(find_data_folder(self.data))
        assert state is not None
        return state

    def pid(self, part: str) -> int:
        return self.state.parts[part].pid

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


StartUp = Callable[..., Up]


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[StartUp]:
    """Starts `penstock up` on a data folder of this test; ends what is left of it afterwards."""
    started: list[Up] = []

    def start(*options: str, data: Path = tmp_path / "data", **variables: str) -> Up:
        running = Up(_popen("up", "--data", str(data), "--port", "0", *options, **variables), data)
        threading.Thread(target=_collect, args=(running,), daemon=True).start()
        started.append(running)
        return running

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()
    for running in started:
        _no_process_left(running.data)


def _popen(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, STUB, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(variables),
        start_new_session=True,
    )


def _environment(variables: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return plain | variables


def _collect(running: Up) -> None:
    assert running.process.stdout is not None
    with running.process.stdout as lines:
        for line in lines:
            running.lines.append(line.rstrip("\n"))


def _run(*arguments: str, **variables: str) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, STUB, *arguments],
        capture_output=True,
        text=True,
        env=_environment(variables),
        timeout=60,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


def _down(data: Path) -> tuple[int, str]:
    return _run("down", "--data", str(data))


def _no_process_left(data: Path) -> None:
    wait_until(lambda: not is_locked(find_data_folder(data)), what=f"processes of {data} to end")


def test_up_runs_every_part_and_down_stops_them_with_their_state(start_up: StartUp) -> None:
    running = start_up("--ingesters", "2", "--embedders", "0")
    running.wait_for("^Penstock is ready at http://127.0.0.1:[0-9]+$")
    assert set(running.state.parts) == {"postgres", "redis", "api", "ingester-1", "ingester-2"}
    assert running.said("^postgres    ready in .* s   PostgreSQL 18, .*/data/postgres")
    assert running.said("^ingester-2  .*warn .*something to know")
    assert not running.said("info")
    with psycopg.connect(_postgres_url(running.data)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    redis_command(_redis_url(running.data), "XADD", "stream", "*", "a", "b")

    assert _down(running.data) == (0, f"Penstock on {running.data} has stopped.\n")
    assert running.process.wait(5) == 0
    assert not (running.data / "penstock.json").exists()
    assert "drained" in (running.data / "logs" / "ingester-1.log").read_text()

    again = start_up("--embedders", "0")
    again.wait_for("^Penstock is ready")
    with psycopg.connect(_postgres_url(again.data)) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    assert redis_command(_redis_url(again.data), "XLEN", "stream") == 1
    assert again.stop() == 0


@pytest.mark.parametrize("part", ["postgres", "redis", "api", "ingester-1"])
def test_part_that_is_killed_comes_back(start_up: StartUp, part: str) -> None:
    running = start_up("--embedders", "0")
    running.wait_for("^Penstock is ready")
    killed = running.pid(part)
    os.kill(killed, signal.SIGKILL)
    running.wait_for(f"^{part} +ended by SIGKILL; starting it again now")
    running.wait_for(f"^{part} +ready in", times=2)
    assert running.pid(part) != killed
    with psycopg.connect(_postgres_url(running.data)) as connection:
        connection.execute("SELECT 1")
    assert running.stop() == 0


def test_worker_that_ends_unasked_with_status_0_is_started_again(start_up: StartUp) -> None:
    running = start_up("--embedders", "0")
    running.wait_for("^Penstock is ready")
    os.kill(running.pid("ingester-1"), signal.SIGTERM)
    running.wait_for("^ingester-1 +ended with exit status 0; starting it again now")
    running.wait_for("^ingester-1 +ready in", times=2)


def test_interrupt_during_the_start_stops_what_has_started(start_up: StartUp) -> None:
    running = start_up()
    running.wait_for("^redis +ready")
    assert running.stop() == 0
    assert not running.said("is ready at")
    _no_process_left(running.data)


def test_second_up_is_refused_and_names_the_first(start_up: StartUp) -> None:
    running = start_up("--embedders", "0")
    running.wait_for("^Penstock is ready")
    status, said = _run("up", "--data", str(running.data), "--port", "0")
    assert status == AlreadyRunning.exit_status
    assert said == (
        f"penstock: Penstock already runs on {running.data} ({running.state.url}, pid {running.process.pid}); "
        f"stop it with penstock down --data {running.data}.\n"
    )


def test_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = _run("up", "--data", str(tmp_path / "data"), "--port", port)
    assert status == PortTaken.exit_status
    assert said == f"penstock: Another program listens on port {port} of 127.0.0.1; choose another with --port.\n"
    assert not (tmp_path / "data" / "postgres").exists()


def test_killed_supervisor_leaves_nothing_and_the_next_one_starts(start_up: StartUp) -> None:
    running = start_up("--embedders", "0")
    running.wait_for("^Penstock is ready")
    parts = [psutil.Process(part.pid) for part in running.state.parts.values()]
    running.process.kill()
    _, alive = psutil.wait_procs(parts, timeout=10)
    assert not alive
    again = start_up("--embedders", "0")
    again.wait_for("^Penstock is ready")
    assert again.stop() == 0


def test_part_that_outlives_a_killed_supervisor_is_ended_by_the_next(start_up: StartUp) -> None:
    running = start_up("--embedders", "0", STUB_DEAF="ingester")
    running.wait_for("^Penstock is ready")
    deaf = running.state.parts["ingester-1"]
    running.process.kill()
    again = start_up("--embedders", "0")
    again.wait_for("^Ending what is left of a Penstock that was killed")
    again.wait_for("^Penstock is ready")
    assert not deaf.lives()
    assert again.stop() == 0


def test_second_interrupt_ends_a_deaf_worker_at_once(start_up: StartUp) -> None:
    running = start_up("--embedders", "0", STUB_DEAF="ingester", PENSTOCK_WORKER_DRAIN_SECONDS="300")
    running.wait_for("^Penstock is ready")
    running.process.send_signal(signal.SIGINT)
    running.wait_for("^Stopping")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(10) == 0
    _no_process_left(running.data)


def test_deaf_worker_is_killed_after_its_drain_limit(start_up: StartUp) -> None:
    running = start_up("--embedders", "0", STUB_DEAF="ingester", PENSTOCK_WORKER_DRAIN_SECONDS="0")
    running.wait_for("^Penstock is ready")
    assert running.stop() == 0
    assert running.said("^ingester-1 +still at work after 5 s: killed")


def test_part_that_was_ready_and_is_killed_soon_each_time_waits_two_seconds_at_most(start_up: StartUp) -> None:
    running = start_up("--embedders", "0")
    running.wait_for("^Penstock is ready")
    for times in range(1, 5):
        running.wait_for("^redis +ready in", times=times)
        os.kill(running.pid("redis"), signal.SIGKILL)
        running.wait_for("^redis +ended by SIGKILL; starting it again", times=times)
    said = [line.partition("again ")[2].partition(",")[0] for line in running.said("^redis +ended")]
    assert said == ["now", "in 0.5 s", "in 1 s", "in 2 s"], "it was ready for less than 5 s each time"
    running.wait_for("^redis +ready in", times=5)
    assert running.stop() == 0


def test_role_that_cannot_start_ends_up_with_its_status_and_its_words(start_up: StartUp) -> None:
    status = ModelUnavailable.exit_status
    running = start_up(STUB_EMBEDDER=f"the model is not here {status}")
    assert running.process.wait(30) == status
    running.wait_for("penstock: embedder-1 does not start. The end of .*embedder-1.log")
    running.wait_for("the model is not here")
    _no_process_left(running.data)


def test_part_that_keeps_dying_at_the_start_is_given_up(start_up: StartUp) -> None:
    running = start_up("--ingesters", "0", STUB_EMBEDDER="oh no 1")
    running.wait_for("^embedder-1 +ended with exit status 1; starting it again in 2 s")
    running.wait_for("embedder-1 does not start")
    assert running.process.wait(30) == 2


@dataclass(slots=True)
class Backlog:
    """What the stub of the API tells."""

    file: Path

    def set(self, to_ingest: int, to_embed: int = 0) -> None:
        """In one step: the stub must not read half of it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{to_ingest} {to_embed}")
        fresh.replace(self.file)


@pytest.fixture
def backlog(tmp_path: Path) -> Backlog:
    made = Backlog(tmp_path / "backlog")
    made.set(0)
    return made


@pytest.fixture
def scaled_up(start_up: StartUp, backlog: Backlog, database_url: str, redis_url: str) -> StartUp:
    """Starts `penstock up` that obeys the backlog at once; on servers that run already, since these are not tested."""
    variables = {
        "STUB_BACKLOG": str(backlog.file),
        "PENSTOCK_SCALING_COOLDOWN_SECONDS": "0.1",
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": redis_url,
    }
    return partial(start_up, **variables)


def test_workers_come_with_a_backlog_and_go_with_it(scaled_up: StartUp, backlog: Backlog) -> None:
    running = scaled_up("--ingesters", "0-2", "--embedders", "auto")
    running.wait_for("^Penstock is ready")
    assert set(running.state.parts) == {"api"}
    backlog.set(1_000_000)
    running.wait_for("^(ingester-1|ingester-2|embedder-1) +ready in", times=3)
    assert running.said("^ingester-2  starting: 1,000,000 waiting or in work on ingest-queue$")

    os.kill(running.pid("ingester-1"), signal.SIGKILL)
    running.wait_for("^ingester-1 +ended by SIGKILL; starting it again now")
    running.wait_for("^ingester-1 +ready in", times=2)

    backlog.file.unlink()
    running.wait_for("^scaling +the Core API does not tell the backlog: the Workers stay as they are")
    assert set(running.state.parts) == {"api", "ingester-1", "ingester-2", "embedder-1"}
    workers = [psutil.Process(running.pid(name)) for name in ("ingester-1", "ingester-2")]
    backlog.set(0, 1)
    running.wait_for("^scaling +the Core API tells the backlog again")
    running.wait_for("^ingester-[12] +stopping: nothing waiting or in work on ingest-queue for 0.1 s$", times=2)
    wait_until(lambda: set(running.state.parts) == {"api", "embedder-1"}, what="no Ingester")
    assert not any(worker.is_running() for worker in workers), "a zombie runs, too"
    assert running.stop() == 0
    assert len(running.said("ended")) == 1, "who is asked to stop has not died"
    for part in ("ingester-1", "ingester-2", "embedder-1"):
        assert "drained" in (running.data / "logs" / f"{part}.log").read_text()


def test_stop_while_scaled_workers_drain(scaled_up: StartUp, backlog: Backlog) -> None:
    backlog.set(1_000_000)
    running = scaled_up("--ingesters", "1-2", "--embedders", "0", STUB_DEAF="ingester")
    running.wait_for("^ingester-[12] +ready in", times=2)
    backlog.set(0)
    running.wait_for("^ingester-2 +stopping: 1 enough for ingest-queue for 0.1 s")
    workers = [running.pid("ingester-1"), running.pid("ingester-2")]
    running.process.send_signal(signal.SIGINT)
    running.wait_for("^Stopping")
    assert all(map(psutil.pid_exists, workers)), "both take their time"
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert running.process.wait(30) == 0
    assert not (running.data / "penstock.json").exists(), "the one that was stopped first did not write it again"


def test_scaled_worker_that_cannot_start_is_tried_again_while_the_api_serves(
    scaled_up: StartUp, backlog: Backlog
) -> None:
    backlog.set(0, 5)
    status = ModelUnavailable.exit_status
    running = scaled_up("--ingesters", "0", "--embedders", "auto", STUB_EMBEDDER=f"the model is not here {status}")
    running.wait_for("^Penstock is ready")
    running.wait_for(f"^embedder-1 +ended with exit status {status}; starting it again in 1 s")
    assert running.process.poll() is None
    assert running.stop() == 0


def test_number_of_workers_that_is_none_is_refused(tmp_path: Path) -> None:
    status, said = _run("up", "--data", str(tmp_path / "data"), "--embedders", "4-2")
    assert status == 2
    assert "Invalid value for --embedders" in said
    assert "'4-2' has more at least than at most" in " ".join(said.replace("│", " ").split())
    assert not (tmp_path / "data").exists()


def test_servers_of_the_users_own_are_used_and_not_started(
    start_up: StartUp, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    urls = {
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": redis_url,
        "PENSTOCK_OBJECT_STORE_URL": "s3://bucket",
    }
    running = start_up("--embedders", "0", **urls)
    running.wait_for("^Penstock is ready")
    assert running.said("^postgres    not ours: PENSTOCK_DATABASE_URL is set, ")
    assert running.said("^redis       not ours: PENSTOCK_QUEUE_URL is set, ")
    assert running.said("^objects     not ours: PENSTOCK_OBJECT_STORE_URL is set, s3://bucket$")
    assert set(running.state.parts) == {"api", "ingester-1"}
    assert f"database={database_url}" in (tmp_path / "data" / "logs" / "ingester-1.log").read_text()
    assert running.stop() == 0


def test_long_data_path_works(start_up: StartUp, tmp_path: Path) -> None:
    data = tmp_path / ("long-" * 20) / "data"
    running = start_up("--embedders", "0", data=data)
    running.wait_for("^Penstock is ready")
    assert running.stop() == 0


def test_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    status, said = _run("up", "--data", str(tmp_path))
    assert status == DataFolderError.exit_status
    assert said.startswith(f"penstock: {tmp_path} has data format '99', and this Penstock reads format '1'.")


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    status, said = _run("up", "--data", str(tmp_path))
    assert status == DataFolderError.exit_status
    assert "is not empty and not a data folder of Penstock (it has thesis.odt)" in said


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, said = _run("up", "--data", str(tmp_path / "file" / "data"))
    assert status == DataFolderError.exit_status
    assert "Not a directory" in said
    assert "Traceback" not in said


def test_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with _not_as_root(), pytest.raises(DataFolderError, match=r"is not writable for this user \(Permission denied\)"):
        make_data_folder(tmp_path / "data")


@contextmanager
def _not_as_root() -> Generator[None]:
    """Root may write everywhere: be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_detach_returns_when_ready_and_down_ends_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    finished = subprocess.run(
        [sys.executable, STUB, "up", "--data", str(data), "--port", "0", "--embedders", "0-1", "--detach"],
        capture_output=True,
        text=True,
        env=_environment({}),
        timeout=60,
        check=True,
    )
    state = read_state(find_data_folder(data))
    assert state is not None
    assert finished.stdout == f"Penstock is ready at {state.url}\n"
    assert "postgres    ready in" in finished.stderr
    status, said = _run("up", "--data", str(data), "--port", "0", "--detach")
    assert (status, said[:31]) == (AlreadyRunning.exit_status, "penstock: Penstock already runs")
    assert _down(data) == (0, f"Penstock on {data} has stopped.\n")
    assert _down(data) == (0, f"Penstock on {data} does not run.\n")


def test_down_on_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert _down(tmp_path / "nothing") == (0, f"Penstock on {tmp_path / 'nothing'} does not run.\n")


def test_supervisor_does_not_load_what_only_its_parts_need() -> None:
    code = "import penstock.local.supervisor, sys; print({'fastapi', 'openvino', 'faststream'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "set()\n"


def _postgres_url(data: Path) -> str:
    """Its sockets are not always in the data folder: their path must be short."""
    return prepare_postgres(find_data_folder(data).postgres).url


def _redis_url(data: Path) -> str:
    return f"unix://{data / 'redis' / 'redis.sock'}"
