"""How long the messages of a dead or stopped worker wait until somebody else has them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from chaos.broker import Held
from chaos.site import Site

LOOK_SECONDS = 0.1
GIVE_UP_SECONDS = 90.0


@dataclass
class Watch:
    """The messages that one worker held when it was hit."""

    fault: str
    began: float
    held: Held


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

    def held_by(self, pid: int) -> Held:
        """What the worker with this process number holds now. Give it to `watch` when the worker was hit."""
        return self._site.broker.held_by(pid)

    def watch(self, fault: str, held: Held) -> None:
        """The worker that held these was hit now."""
        if held.count:
            with self._lock:
                self.messages[fault] = self.messages.get(fault, 0) + held.count
                self._watches.append(Watch(fault, time.monotonic(), held))

    def forget(self) -> None:
        """The broker lost the messages: nobody can take them over now."""
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
                except self._site.broker.away:
                    break  # it is down just now: the messages wait, and so do we

    def _look_at(self, watch: Watch) -> None:
        self._site.broker.look_again(watch.held)
        waited = time.monotonic() - watch.began
        if not watch.held.count or waited > GIVE_UP_SECONDS:
            with self._lock:
                if watch in self._watches:  # not if it was forgotten meanwhile
                    self._watches.remove(watch)
                    self.slowest[watch.fault] = max(self.slowest.get(watch.fault, 0.0), waited)
