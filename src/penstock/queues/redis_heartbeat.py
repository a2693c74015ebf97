"""The heartbeat of a Worker whose queue is on Redis: `python -m penstock.queues.redis_heartbeat`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from penstock.queues.heartbeat import Renew, beat
from penstock.queues.redis_scripts import RENEW

REDIS_SECONDS = 5.0


def open_renewal(order: dict[str, Any]) -> Renew:
    """Told the `url`, and whose leases on what: `stream`, `group`, `consumer`."""
    client: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # **kwargs
        order["url"], socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )
    script = client.register_script(RENEW)

    def renew(ids: Sequence[str]) -> None:
        try:
            script(keys=[order["stream"]], args=[order["group"], order["consumer"], *ids])
        except (RedisError, OSError):
            return  # the Worker has said that Redis is away; it is tried again with the next beat

    return renew


if __name__ == "__main__":
    beat(open_renewal)
