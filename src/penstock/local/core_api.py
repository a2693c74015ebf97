"""What the supervisor asks its own Core API: whether it is ready, and how much waits."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

from penstock.models import QUEUES

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # where to ask what listens everywhere
TIMEOUT_SECONDS = 5.0


def answers(host: str, port: int) -> bool:
    """Whether the API there says that it is ready."""
    return _get(host, port, "/health/ready") is not None


def read_backlog(host: str, port: int) -> Mapping[str, int] | None:
    """By queue, the messages that wait, in the rows too, and those in work; None while the API cannot tell."""
    body = _get(host, port, "/queues")
    if body is None:
        return None
    try:
        depths = json.loads(body)
        return {queue: int(depths[queue]["waiting"]) + int(depths[queue]["in_flight"]) for queue in QUEUES}
    except (ValueError, TypeError, LookupError):  # another program has taken the port
        return None


def _get(host: str, port: int, path: str) -> bytes | None:
    """The body of a good answer."""
    connection = http.client.HTTPConnection(ANYWHERE.get(host, host), port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
