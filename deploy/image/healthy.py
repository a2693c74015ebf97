"""The image's health check: exit status 0 while the role that runs in this container is ready, 1 otherwise.

Which role that is says the command line of process 1, also where an init process stands before it.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

PATIENCE_SECONDS = 4.0
COMMAND_LINE = Path("/proc/1/cmdline")


def port(command_line: bytes, environment: dict[str, str]) -> str:
    """Where the role answers: the API on its own port, a Worker on its health port."""
    is_api = b"api" in command_line.split(b"\0")
    return environment["PENSTOCK_API_PORT" if is_api else "PENSTOCK_WORKER_HEALTH_PORT"]


def ready(url: str) -> bool:
    """Whether a GET of `url` is answered with success in time."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310  (http, on this machine)
            return bool(answer.status == 200)
    except OSError as error:  # refused, late, or an answer such as 503, which urllib raises
        print(error, file=sys.stderr)  # noqa: T201  (docker inspect shows it)
        return False


def main() -> int:
    where = port(COMMAND_LINE.read_bytes(), dict(os.environ))
    return 0 if ready(f"http://127.0.0.1:{where}/health/ready") else 1


if __name__ == "__main__":
    sys.exit(main())
