"""What `penstock up` says: one line for each thing that happens to a part, on stderr; the ready line on stdout."""

from __future__ import annotations

import sys
from typing import TextIO


class Terminal:
    """Lines that begin with the part they are about."""

    def part(self, name: str, text: str) -> None:
        self.say(f"{name:<12}{text}")

    def say(self, text: str) -> None:
        _print(text, sys.stderr)

    def ready(self, url: str) -> None:
        _print(f"Penstock is ready at {url}", sys.stdout)


def _print(line: str, stream: TextIO) -> None:
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except (OSError, ValueError):
        # A closed pipe or terminal: `penstock up | head -1` must leave a Penstock that runs.
        return
