"""Wall clocks that the suite may set, each for some processes: a library of a page, preloaded into them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


@dataclass(frozen=True)
class Clock:
    """The wall clock of all processes that run with `environment`."""

    library: Path
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self.file)}

    def set(self, seconds: float) -> None:
        """From now on the clock shows so much more, or less, than it is."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("q", round(seconds * 1e9)))


class Clocks:
    """Makes clocks; none where there is no C compiler."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = _compiled(folder)

    def make(self, name: str) -> Clock | None:
        if self._library is None:
            return None
        file = self._folder / f"{name}.clock"
        file.write_bytes(struct.pack("q", 0))
        file.chmod(0o644)  # the database runs as another user
        return Clock(self._library, file)


def _compiled(folder: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    library = folder / "clock.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    library.chmod(0o755)
    return library
