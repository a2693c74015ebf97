"""How long the messages of a dead or stopped worker wait until somebody else has them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import redis

from chaos.site import Site
from penstock.models import QUEUES
from penstock.queues.redis_leases import GROUP, RETURNED

LOOK_SECONDS = 0.1
GIVE_UP_SECONDS = 90.0


@dataclass
class Watch:
    """The messages that one worker held when it was hit."""

    fault: str
    began: float
    left: dict[str, set[str]]
    """By queue, the ids that nobody else has yet."""
    consumers: set[str] = field(default_factory=set[str])


class Takeovers:
    """Watches in the background; `slowest` says the longest wait by fault, in seconds."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._stop = threading.Event()
        self.slowest: dict[str, float] = {}
        self.messages: dict[str, int] = {}
        """By fault, how many messages were taken over."""
        self._thread = threading.Thread(target=self._look, name="takeovers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def held_by(self, pid: int) -> Watch:
        """What the worker with this process number holds now. Give it to `watch` when the worker was hit."""
        watch = Watch("", 0.0, {})
        with self._site.redis_client() as client:
            for queue in QUEUES:
                for consumer in _consumers(client, queue):
                    if f"-{pid}-" in consumer:
                        watch.consumers.add(consumer)
                        watch.left[queue] = _pending_of(client, queue, consumer)
        watch.left = {queue: ids for queue, ids in watch.left.items() if ids}
        return watch

    def watch(self, fault: str, held: Watch) -> None:
        """The worker that held these was hit now."""
        if held.left:
            held.fault, held.began = fault, time.monotonic()
            with self._lock:
                self.messages[fault] = self.messages.get(fault, 0) + sum(map(len, held.left.values()))
                self._watches.append(held)

    def forget(self) -> None:
        """Redis lost the messages: nobody can take them over now."""
        with self._lock:
            self._watches.clear()

    @property
    def unfinished(self) -> int:
        with self._lock:
            return len(self._watches)

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self._lock:
                watches = list(self._watches)
            for watch in watches:
                try:
                    self._look_at(watch)
                except redis.RedisError:
                    break  # it is down just now: the messages wait, and so do we

    def _look_at(self, watch: Watch) -> None:
        with self._site.redis_client() as client:
            for queue, ids in watch.left.items():
                for message_id in list(ids):
                    found = client.xpending_range(queue, GROUP, message_id, message_id, 1)
                    holder = found[0]["consumer"].decode() if found else ""
                    if holder not in watch.consumers | {RETURNED}:
                        ids.discard(message_id)
        waited = time.monotonic() - watch.began
        if not any(watch.left.values()) or waited > GIVE_UP_SECONDS:
            with self._lock:
                if watch in self._watches:  # not if it was forgotten meanwhile
                    self._watches.remove(watch)
                    self.slowest[watch.fault] = max(self.slowest.get(watch.fault, 0.0), waited)


def _consumers(client: Any, queue: str) -> list[str]:
    try:
        return [consumer["name"].decode() for consumer in client.xinfo_consumers(queue, GROUP)]
    except redis.ResponseError:  # emptied a moment ago
        return []


def _pending_of(client: Any, queue: str, consumer: str) -> set[str]:
    found = client.xpending_range(queue, GROUP, "-", "+", 1000, consumername=consumer)
    return {entry["message_id"].decode() for entry in found}
