"""The heartbeat of one Worker, in a process of its own: `redis_heartbeat.py` and others run it.

A native library that keeps the interpreter to itself stops every thread of the Worker, also one that would renew
its leases. This process goes on. It is told over stdin, in JSON lines, which messages are worked on, and ends
when stdin does, with the Worker.

    {"parent": pid, "every": seconds, …}    once, with what the broker's own part needs to know
    {"hold": message id, "seconds": …}      renew its lease for at most so long
    {"release": message id}

It writes a line to stdout when it is ready. It renews nothing while the Worker is stopped (SIGSTOP, a debugger), so
that others take the messages over. A Worker that still holds a message long after its time is up hears nothing any
more, and is killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

Renew = Callable[[Sequence[str]], None]
"""Renews the leases of these messages, those that are still ours. Raises nothing because the broker is away."""

DEAF_SECONDS = 10.0
"""Past a message's time the Worker gets so long to let go of it: its event loop should have done so at once."""
KILLED = "a worker was deaf for too long and is killed: its message {id} was to end {seconds:.0f} s ago\n"


class Holds:
    """What the Worker works on, and until when."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._rest = b""

    def hear(self, data: bytes, now: float) -> None:
        """Lines from the Worker, as they come through the pipe."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "hold" in order:
                self._until[order["hold"]] = now + order["seconds"]
            else:
                self._until.pop(order["release"], None)

    def alive(self, now: float) -> list[str]:
        """The messages whose leases are to be renewed."""
        return [message_id for message_id, until in self._until.items() if now < until]

    def overdue(self, now: float) -> tuple[str, float] | None:
        """A message that a Worker which hears us would have let go of, and for how many seconds."""
        for message_id, until in self._until.items():
            if now > until + DEAF_SECONDS:
                return message_id, now - until
        return None


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal or a debugger. Only Linux tells without help."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  # pathlib would double the imports
            return stat.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def beat(open_renewal: Callable[[dict[str, Any]], Renew]) -> None:
    """Beat until stdin ends. `open_renewal` is given the first order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the Worker drains, and needs its leases meanwhile
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as orders:  # it is no path
        order = json.loads(orders.readline())
    renew, holds, parent = open_renewal(order), Holds(), order["parent"]
    due = 0.0
    with suppress(BrokenPipeError):  # the Worker has gone: stdin has ended as well
        os.write(1, b"\n")
    while True:
        readable, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if readable:
            data = os.read(0, 65536)
            if not data:
                return
            holds.hear(data, time.monotonic())
        if (now := time.monotonic()) < due:
            continue
        due = now + order["every"]
        if is_stopped(parent):
            continue
        if overdue := holds.overdue(now):
            message_id, seconds = overdue
            sys.stderr.write(KILLED.format(id=message_id, seconds=seconds))
            os.kill(parent, signal.SIGKILL)
            return
        if ids := holds.alive(now):
            renew(ids)
