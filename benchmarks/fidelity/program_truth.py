"""What other people's programs read from the formats of before 2007: Debian's `antiword` and `catdoc`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ANTIWORD = ("antiword", "-w", "0", "-m", "UTF-8.txt")
XLS2CSV = ("xls2csv", "-d", "utf-8", "-q", "0", "-c", " ")
CATPPT = ("catppt", "-d", "utf-8")
CATDOC = ("catdoc", "-d", "utf-8", "-w")
"""Reads RTF, too."""
SECONDS = 60


def program_reader(command: Sequence[str]) -> Callable[[Path], str | None]:
    """A reader by that program; None for a file that it refuses or dies of."""

    def read(path: Path) -> str | None:
        done = subprocess.run([*command, str(path)], capture_output=True, check=False, timeout=SECONDS)
        text = done.stdout.decode("utf-8", "replace")
        return text if done.returncode == 0 and text.strip() else None

    return read


def is_installed(command: Sequence[str]) -> bool:
    return shutil.which(command[0]) is not None
