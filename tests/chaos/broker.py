"""What differs between brokers, for the fault suite: how each is broken, looked into, and what is not done to it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from real_servers import RunningServer
from tcp_proxy import Target

MOST_AGAIN = 200
"""Messages of a queue that come again at once: what is doubled every second fills any queue."""


@dataclass(frozen=True)
class ServerFault:
    """Something that happens to the broker itself."""

    name: str
    inject: Callable[[random.Random, Callable[[], None]], bool]
    """Given chance, and what lasts as long as an outage does. Returns whether there was anything to break."""
    weight: float = 1.0
    loses: bool = False
    """Whether messages are gone afterwards: nobody can take them over."""


@dataclass
class Held:
    """The messages that one Worker held at a moment, less those that are done or in another's hands since."""

    holders: set[str] = field(default_factory=set[str])
    """What the broker calls that Worker."""
    left: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By queue and id the body, where the broker tells it."""

    @property
    def count(self) -> int:
        return sum(map(len, self.left.values()))


class Broker(ABC):
    """One broker that runs for a site, asked and broken past the proxy."""

    name: ClassVar[str]
    """As people call it."""
    heartbeat: ClassVar[str]
    """The module of its heartbeat."""
    has_clock: ClassVar[bool]
    """Whether its wall clock is somebody's to set."""
    away: ClassVar[tuple[type[Exception], ...]]
    """What looking raises while it is down."""
    left_out: ClassVar[Mapping[str, str]]
    """Faults of the other brokers that are not injected here, and why."""
    server: RunningServer

    @property
    @abstractmethod
    def target(self) -> Target:
        """Where its proxy leads."""

    @abstractmethod
    def url(self, port: int) -> str:
        """PENSTOCK_QUEUE_URL, by the proxy's port."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What the installation needs besides."""

    @property
    @abstractmethod
    def recovery_seconds(self) -> float:
        """After it lost its messages and was left alone, what was lost is announced again within so long."""

    @property
    @abstractmethod
    def faults(self) -> tuple[ServerFault, ...]:
        """What happens to the server. Cuts, stalls and slowness are the proxy's."""

    @abstractmethod
    def empty(self) -> bool:
        """Lose all messages; whether it could be told to."""

    @abstractmethod
    def messages(self) -> int:
        """On both queues: waiting, in work, and put off."""

    @abstractmethod
    def held_by(self, pid: int) -> Held:
        """What the Worker with this process number holds now."""

    @abstractmethod
    def look_again(self, held: Held) -> None:
        """Take from `held` what is done, or in the hands of somebody else."""

    @abstractmethod
    def publish_again(self, chance: random.Random) -> int:
        """Every message that is on a queue once more, in random order; how many."""

    @abstractmethod
    def give_to_two(self) -> bool:
        """The same message to two Workers at the same moment, and one that is being worked on to another."""
