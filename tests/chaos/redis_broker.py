"""Redis under the fault suite."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import redis
from real_servers import redis_in
from redis.exceptions import ResponseError

from chaos.broker import MOST_AGAIN, Broker, Held, ServerFault
from penstock.models import QUEUES
from penstock.queues.redis_leases import GROUP, RETURNED

LOOK_SECONDS = 5.0
"""What was lost is looked for so often."""


class RedisBroker(Broker):
    """Redis as `penstock up` runs it."""

    name = "Redis"
    heartbeat = "penstock.queues.redis_heartbeat"
    has_clock = True
    away = (redis.RedisError,)
    left_out: ClassVar[Mapping[str, str]] = {
        "all messages purged": "that is `FLUSHALL`",
        "the queues deleted and made again": "that is `FLUSHALL`, too: a stream is made with its first message",
        "SQS frozen": "*network stalled before Redis* is the same to its clients",
        "SQS restarted empty": "see *Redis restarted empty*",
    }

    def __init__(self, folder: Path) -> None:
        self.server = redis_in(folder)
        self._file = folder / "redis" / "appendonly.aof"

    @property
    def target(self) -> Path:
        return Path(unquote(urlsplit(self.server.url).path))

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"

    @property
    def environment(self) -> dict[str, str]:
        return {}

    @property
    def recovery_seconds(self) -> float:
        return LOOK_SECONDS + 1

    @property
    def faults(self) -> tuple[ServerFault, ...]:
        return (
            ServerFault("kill -9 of Redis", self._kill, weight=2),
            ServerFault("FLUSHALL", self._lose_all, weight=2, loses=True),
            ServerFault("Redis restarted empty", self._restart_empty, loses=True),
            ServerFault("Redis restarted from an old copy", self._restart_from_an_old_copy, loses=True),
        )

    def client(self) -> Any:
        return redis.Redis.from_url(self.server.url)  # pyright: ignore[reportUnknownMemberType]  # **kwargs

    def empty(self) -> bool:
        with self.client() as client:
            return bool(client.flushall())

    def _lose_all(self, *_: object) -> bool:
        return self.empty()

    def messages(self) -> int:
        with self.client() as client:
            return sum(client.xlen(queue) for queue in QUEUES)

    def held_by(self, pid: int) -> Held:
        held = Held()
        with self.client() as client:
            for queue in QUEUES:
                for consumer in _consumers(client, queue):
                    if f"-{pid}-" in consumer:
                        held.holders.add(consumer)
                        held.left[queue] = dict.fromkeys(_pending_of(client, queue, consumer), "")
        held.left = {queue: found for queue, found in held.left.items() if found}
        return held

    def look_again(self, held: Held) -> None:
        with self.client() as client:
            for queue, left in held.left.items():
                for message_id in list(left):
                    found = client.xpending_range(queue, GROUP, message_id, message_id, 1)
                    holder = found[0]["consumer"].decode() if found else ""
                    if holder not in held.holders | {RETURNED}:
                        del left[message_id]

    def publish_again(self, chance: random.Random) -> int:
        with self.client() as client:
            return sum(_publish_again(chance, client, queue) for queue in QUEUES)

    def give_to_two(self) -> bool:
        """The same message twice in one transaction: two workers that wait for one get it at the same moment."""
        given = False
        with self.client() as client:
            for queue in QUEUES:
                for _, fields in client.xrange(queue, count=1):
                    with client.pipeline(transaction=True) as commands:
                        commands.xadd(queue, fields)
                        commands.xadd(queue, fields)
                        commands.execute()
                    given = True
                given = _hand_to_another(client, queue) or given
        return given

    def _kill(self, _: random.Random, outage: Callable[[], None]) -> bool:
        self.server.kill()
        outage()
        self.server.start()
        return True

    def _restart_empty(self, *_: object) -> bool:
        self.server.kill()
        self._file.unlink(missing_ok=True)
        self.server.start()
        return True

    def _restart_from_an_old_copy(self, chance: random.Random, _: Callable[[], None]) -> bool:
        """What was published since is lost, and what was done since comes back."""
        copy = self._file.with_suffix(".copy")
        with self.client() as client:
            client.config_set("appendfsync", "always")
            client.set("chaos", "an entry that makes the file whole up to here")
            client.delete("chaos")
            shutil.copy(self._file, copy)
            client.config_set("appendfsync", "everysec")
        time.sleep(chance.uniform(0.5, 3))  # work goes on
        self.server.kill()
        copy.replace(self._file)
        self.server.start()
        return True


def _consumers(client: Any, queue: str) -> list[str]:
    try:
        return [consumer["name"].decode() for consumer in client.xinfo_consumers(queue, GROUP)]
    except ResponseError:  # emptied a moment ago
        return []


def _pending_of(client: Any, queue: str, consumer: str) -> set[str]:
    found = client.xpending_range(queue, GROUP, "-", "+", 1000, consumername=consumer)
    return {entry["message_id"].decode() for entry in found}


def _publish_again(chance: random.Random, client: Any, queue: str) -> int:
    entries = client.xrange(queue, count=MOST_AGAIN)
    for _, fields in chance.sample(entries, len(entries)):
        client.xadd(queue, fields)
    return len(entries)


def _hand_to_another(client: Any, queue: str) -> bool:
    """A message in one worker's hands now counts as another's, who knows nothing of it."""
    try:
        pending = client.xpending_range(queue, GROUP, "-", "+", 1)
        others = [consumer["name"] for consumer in client.xinfo_consumers(queue, GROUP)]
    except ResponseError:  # Redis has just come back empty: there is no group yet
        return False
    for entry in pending:
        for other in others:
            if other != entry["consumer"] and b"-" in other:
                client.xclaim(queue, GROUP, other, 0, [entry["message_id"]])
                return True
    return False
