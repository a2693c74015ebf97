"""The Workers of `penstock up --ingesters auto`: looks at the backlog, and obeys the rule of `scaling.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.local.part import Part, PartPlan
from penstock.local.plans import WorkerPlans
from penstock.local.terminal import Terminal
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE
from penstock.scaling import Scaled, ScalingRule, change, hold, scale

LOOK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_PER_LOOK = 10.0
"""Counting a million rows takes the database 0.2 s, of which it has better use: a tenth of its time at most."""
NAME = "scaling"

Backlog = Mapping[str, int]
"""By queue, the messages that wait, in the rows too, and those in work."""


class Fleet(Protocol):
    """Who runs the parts."""

    def launch(self, plan: PartPlan) -> Part:
        """Start a part and return without waiting until it is ready."""
        ...

    def retire(self, part: Part) -> None:
        """Have a part finish or give back what it has, and end; return without waiting for that."""
        ...

    def has(self, part: Part) -> bool:
        """Whether the part still runs, or will again; one that was retired until it has ended."""
        ...


@dataclass(slots=True)
class ScaledRole:
    """The Workers of one role."""

    plans: WorkerPlans
    rule: ScalingRule
    parts: dict[int, Part]
    """By number, those that run and those that still drain."""
    scaled: Scaled

    @property
    def queue(self) -> str:
        return self.plans.queue


def work_to_come(backlog: Backlog) -> Backlog:
    """The backlog, with a message to embed as soon as there is a File to ingest.

    A File becomes at least one. An Embedder takes as long to start as an Ingester: where none runs, both start at once.
    """
    foretold = min(1, backlog[INGEST_QUEUE])
    return {**backlog, EMBEDDING_QUEUE: max(backlog[EMBEDDING_QUEUE], foretold)}


class Scaler:
    """Starts and stops Workers until it is cancelled."""

    def __init__(
        self,
        roles: Sequence[ScaledRole],
        fleet: Fleet,
        *,
        read_backlog: Callable[[], Backlog | None],
        terminal: Terminal,
    ) -> None:
        self._roles = roles
        self._fleet = fleet
        self._read_backlog = read_backlog
        """May block. None: nobody knows."""
        self._terminal = terminal
        self._is_blind = False

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            backlog = await asyncio.to_thread(self._read_backlog)
            now = time.monotonic()
            self.look(backlog, now=now)
            await asyncio.sleep(min(max(LOOK_SECONDS, PAUSE_PER_LOOK * (now - began)), LONGEST_PAUSE_SECONDS))

    def look(self, backlog: Backlog | None, *, now: float) -> None:
        """Do what the backlog of this moment asks for."""
        self._tell_if_blind(backlog)
        for role in self._roles:
            if backlog is None:
                role.scaled = hold(role.scaled, now=now)
            else:
                self._obey(role, backlog, now)

    def _obey(self, role: ScaledRole, backlog: Backlog, now: float) -> None:
        role.scaled = scale(role.scaled, role.rule, backlog=work_to_come(backlog)[role.queue], now=now)
        role.parts = {number: part for number, part in role.parts.items() if self._fleet.has(part)}
        running = [number for number, part in role.parts.items() if not part.is_stopping]
        stopping = [number for number, part in role.parts.items() if part.is_stopping]
        wanted = change(role.scaled.workers, most=role.rule.most, running=running, stopping=stopping)
        for number in wanted.start:
            plan = role.plans.plan(number)
            self._terminal.part(plan.name, why_started(role.queue, backlog))
            role.parts[number] = self._fleet.launch(plan)
        for number in wanted.stop:
            part = role.parts[number]
            self._terminal.part(part.plan.name, why_stopped(role.queue, role.scaled.workers, role.rule))
            self._fleet.retire(part)

    def _tell_if_blind(self, backlog: Backlog | None) -> None:
        if self._is_blind != (backlog is None):
            self._is_blind = backlog is None
            known = "the Core API tells the backlog again"
            unknown = "the Core API does not tell the backlog: the Workers stay as they are"
            self._terminal.part(NAME, unknown if self._is_blind else known)


def why_started(queue: str, backlog: Backlog) -> str:
    """In a line, what a Worker of this queue is started for."""
    if not backlog[queue]:
        return "starting: there are files to ingest, which will be to embed soon"
    return f"starting: {backlog[queue]:,} waiting or in work on {queue}"


def why_stopped(queue: str, workers: int, rule: ScalingRule) -> str:
    """In a line, what a Worker of this queue is stopped for, of which so many stay."""
    seconds = f"for {rule.cooldown_seconds:g} s"
    if not workers:
        return f"stopping: nothing waiting or in work on {queue} {seconds}"
    return f"stopping: {workers} enough for {queue} {seconds}"
