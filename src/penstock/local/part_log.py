"""The log file of one part, and which of its lines a person at the terminal wants to see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 20 * 1024 * 1024
"""Then the file becomes `.log.1`, in place of the one before."""

OUR_WARNING = re.compile(rb'^\S+ (?:warn|error|fatal) |"level": ?"(?:warning|error|critical)"')
OUR_READY = re.compile(rb'^\S+ info +\S+ +ready\b|"event": ?"ready\b')
POSTGRES_WARNING = re.compile(rb"\] PANIC: |No space left on device")
REDIS_WARNING = re.compile(rb"No space left on device|Bad file format|MISCONF|Out Of Memory")


class PartLog:
    """Appends lines to a file of bounded size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def write(self, line: bytes) -> None:
        """Append `line`. Where that fails (a full disk) the line is lost: the part itself must go on."""
        try:
            file = self._file or self._open()
            file.write(line + b"\n")
            if file.tell() > MAX_BYTES:
                self._turn_over()
        except OSError:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def last_lines(self, count: int) -> list[str]:
        """The end of the file, at most 64 KiB of it."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 65_536))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def _open(self) -> BinaryIO:
        self.path.touch(mode=0o600)
        self._file = self.path.open("ab", buffering=0)
        return self._file

    def _turn_over(self) -> None:
        self.close()
        self.path.replace(self.path.with_suffix(".log.1"))
