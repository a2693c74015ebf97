"""The heartbeat of a Worker whose queue is on Redis: `python -m penstock.queues.redis_heartbeat`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from penstock.queues.heartbeat import Renew, beat
from penstock.queues.redis_address import redis_address
from penstock.queues.redis_client import Errors, connect_blocking
from penstock.queues.redis_scripts import RENEW


def open_renewal(order: dict[str, Any]) -> Renew:
    """Told the `url`, and whose leases on what: `stream`, `group`, `consumer`."""
    address = redis_address(order["url"])

    @cache
    def script() -> Any:
        return connect_blocking(address).register_script(RENEW)

    def renew(ids: Sequence[str]) -> None:
        try:
            script()(keys=[order["stream"]], args=[order["group"], order["consumer"], *ids])
        except Errors:
            return  # the Worker has said that Redis is away; it is tried again with the next beat

    return renew


if __name__ == "__main__":
    beat(open_renewal)
