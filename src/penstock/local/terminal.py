"""What `penstock up` says: one line for each thing that happens to a part, on stderr; the ready line on stdout."""

from __future__ import annotations

import sys


class Terminal:
    """Lines that begin with the part they are about. A terminal that went away is no reason to stop."""

    def part(self, name: str, text: str) -> None:
        _print(f"{name:<12}{text}", to=sys.stderr)

    def say(self, text: str) -> None:
        _print(text, to=sys.stderr)

    def ready(self, url: str) -> None:
        _print(f"Penstock is ready at {url}", to=sys.stdout)


def _print(line: str, *, to: object) -> None:
    stream = sys.stdout if to is sys.stdout else sys.stderr
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except (OSError, ValueError):
        # A closed pipe or terminal: `penstock up | head -1` must leave a Penstock that runs.
        return
