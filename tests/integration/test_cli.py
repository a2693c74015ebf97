"""The command as a program of its own: start-up, terminals, signals, many files, large files."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from api_in_memory import ApiInMemory, Server

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "penstock")
HEAVY = ("openvino", "fastapi", "starlette", "psycopg", "faststream", "numpy", "obstore", "tokenizers")
MEBIBYTE = 2**20
Output = int | IO[bytes] | None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server().running() as server:
        yield server


@pytest.fixture
def api(server: Server) -> ApiInMemory:
    return server.fresh()


def start(
    api: ApiInMemory, *arguments: object, stdout: Output = None, stderr: Output = None, columns: int = 100
) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PENSTOCK_URL": api.url, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    words = [str(argument) for argument in arguments]
    return subprocess.Popen([*COMMAND, *words], env=environment, stdout=stdout, stderr=stderr)


def until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def read_all(terminal: int) -> str:
    """What a program wrote to its terminal until it ended."""
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            piece = b""
        if not piece:
            os.close(terminal)
            return b"".join(pieces).decode()
        pieces.append(piece)


def peak_memory(process: subprocess.Popen[Any]) -> int:
    """Waits for a child to end and returns its largest resident set, bytes.

    Not `ru_maxrss`: the kernel counts in it what pytest held when it forked.
    """
    peak = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        high_water = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        peak = max(peak, int(high_water[1]) * 1024 if high_water else 0)
        time.sleep(0.01)
    return peak


def make_files(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.md").write_text(f"# File {number}\n")
    return folder


# -- start-up


def imported_by(*arguments: str) -> set[str]:
    """Top-level modules that a command imports."""
    script = (
        "import sys\n"
        "from penstock.cli import main\n"
        f"sys.argv = {['penstock', *arguments]!r}\n"
        "try:\n    main()\n"
        "finally:\n    sys.stderr.write(' '.join(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return {module.partition(".")[0] for module in ended.stderr.split()}


def test_help_imports_no_more_than_it_needs() -> None:
    assert not imported_by("--help") & {*HEAVY, "httpx", "pydantic", "rich", "structlog", "asyncio"}
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "Exit statuses" in shown.stdout
    assert "130  interrupted with Ctrl-C" in shown.stdout


@pytest.mark.parametrize("command", [("queues",), ("search", "q"), ("files",), ("add", ".")])
def test_client_commands_import_no_role(command: tuple[str, ...]) -> None:
    assert not imported_by(*command, "--url", "http://127.0.0.1:9") & set(HEAVY)


def test_version() -> None:
    shown = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"penstock \d+\.\d+\.\d+\S*\n", shown.stdout)


def test_a_reader_that_has_seen_enough_is_no_error(api: ApiInMemory, tmp_path: Path) -> None:
    assert start(api, "add", make_files(tmp_path / "d", 300), stdout=subprocess.DEVNULL).wait(60) == 0
    listing = start(api, "files", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listing.stdout
    assert listing.stderr
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr.read() == b""
    listing.stderr.close()
    listing.wait(30)


# -- terminals


def test_bars_on_a_terminal(api: ApiInMemory, tmp_path: Path) -> None:
    api.embed_seconds = 0.1  # one after the other: the command looks often enough to see them wait
    folder = make_files(tmp_path / "d", 40)
    (folder / "bad.md").write_text("FAIL no_text The file holds no text.")
    ours, theirs = pty.openpty()
    added = start(api, "add", folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = read_all(ours)
    assert added.wait(30) == 1
    for stage in ("uploaded", "ingested", "embedded"):
        assert re.search(rf"{stage}.*\d+/\d+", shown)
    assert "failed    d/bad.md  no_text: The file holds no text." in shown
    assert re.search(r"41 files, \d+ pages, 120 chunks in [\d.]+ s \(\d+ chunks/s; embedding was the bottleneck", shown)
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_json_stays_clean_while_the_bars_are_on_the_error_terminal(api: ApiInMemory, tmp_path: Path) -> None:
    api.embed_seconds = 0.02
    ours, theirs = pty.openpty()
    folder = make_files(tmp_path / "d", 20)
    added = start(api, "add", folder, "--json", stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = read_all(ours)
    out, _ = added.communicate(timeout=30)
    assert {json.loads(line)["status"] for line in out.splitlines()} == {"complete"}
    assert "embedded" in shown


@pytest.mark.parametrize(("columns", "spare"), [(80, False), (200, True)])
def test_a_narrow_terminal_shows_names_on_one_line(api: ApiInMemory, tmp_path: Path, columns: int, spare: bool) -> None:
    start(api, "add", make_files(tmp_path / "d", 1), stdout=subprocess.DEVNULL).wait(30)
    ours, theirs = pty.openpty()
    listing = start(api, "files", stdout=theirs, columns=columns)
    os.close(theirs)
    shown = read_all(ours)
    assert listing.wait(30) == 0
    assert ("size" in shown) is spare
    assert re.search(r"complete .* d/\S+", shown)


def test_a_table_on_a_terminal_and_lines_with_tabs_elsewhere(api: ApiInMemory, tmp_path: Path) -> None:
    start(api, "add", make_files(tmp_path / "d", 3), stdout=subprocess.DEVNULL).wait(30)
    ours, theirs = pty.openpty()
    listing = start(api, "files", stdout=theirs)
    os.close(theirs)
    shown = read_all(ours)
    assert listing.wait(30) == 0
    assert "status" in shown
    assert "\t" not in shown


# -- signals and outages


def test_control_c_ends_the_waiting_and_says_that_the_work_goes_on(api: ApiInMemory, tmp_path: Path) -> None:
    api.embed_seconds = 60
    folder = make_files(tmp_path / "d", 5)
    added = start(api, "add", folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: len(api.files) == 5 and any(request.startswith("GET /batches") for request in api.requests))
    added.send_signal(signal.SIGINT)
    _, told = added.communicate(timeout=30)
    assert added.returncode == 130
    assert b"What is handed in (5 files) goes on by itself" in told
    assert b"Traceback" not in told


def test_control_c_gives_the_terminal_back(api: ApiInMemory, tmp_path: Path) -> None:
    api.embed_seconds = 60
    folder = make_files(tmp_path / "d", 5)
    ours, theirs = pty.openpty()
    added = start(api, "add", folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    until(lambda: any(request.startswith("GET /batches") for request in api.requests))
    added.send_signal(signal.SIGINT)
    shown = read_all(ours)
    assert added.wait(30) == 130
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_an_api_that_restarts_is_waited_for(tmp_path: Path) -> None:
    folder = make_files(tmp_path / "d", 30)
    with Server().running() as first:
        api = first.fresh()
        api.embed_seconds = 0.1
        added = start(api, "add", folder, "--json", stdout=subprocess.PIPE)
        until(lambda: len(api.files) == 30)
    with Server(port=first.port).running() as second:
        second.api = api
        out, _ = added.communicate(timeout=60)
    assert added.returncode == 0
    assert len(out.splitlines()) == 30


def test_a_terminated_add_ends_at_once(api: ApiInMemory, tmp_path: Path) -> None:
    api.embed_seconds = 60
    added = start(api, "add", make_files(tmp_path / "d", 2), stdout=subprocess.DEVNULL)
    until(lambda: len(api.files) == 2)
    added.terminate()
    assert added.wait(10) != 0


# -- size


def test_thousands_of_small_files(api: ApiInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_files(tmp_path / "d", 4_000)
    with (tmp_path / "out").open("wb") as out:
        began = time.monotonic()
        added = start(api, "add", folder, "--json", stdout=out)
        memory = peak_memory(added)
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\n4,000 files: {seconds:.1f} s, {memory / MEBIBYTE:.0f} MiB")  # noqa: T201
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert added.returncode == 0
    assert len({row["file_id"] for row in rows}) == len(rows) == 4_000
    assert memory < 150 * MEBIBYTE


def test_a_gigabyte_in_constant_memory(api: ApiInMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(2**30)
    began = time.monotonic()
    added = start(api, "add", large, "--json", stdout=subprocess.DEVNULL)
    memory = peak_memory(added)
    with capsys.disabled():
        print(f"\n1 GiB: {time.monotonic() - began:.1f} s, {memory / MEBIBYTE:.0f} MiB")  # noqa: T201
    assert added.returncode == 0
    [stored] = api.files.values()
    assert stored.size == 2**30
    assert memory < 150 * MEBIBYTE
