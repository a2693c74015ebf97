"""What `penstock up` starts and stops by itself as the backlog changes, without processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from penstock.local.limits import Limits
from penstock.local.part import Part, PartPlan
from penstock.local.plans import ROLES, WorkerPlans
from penstock.local.program import Program
from penstock.local.scaler import ScaledRole, Scaler
from penstock.local.terminal import Terminal
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE
from penstock.scaling import Scaled, ScalingRule

COOLDOWN = 60


@dataclass(eq=False)
class FakePart:
    plan: PartPlan
    is_stopping: bool = False


@dataclass
class FakeFleet:
    """Starts at once, and lets no Worker end before the test says so."""

    parts: list[FakePart] = field(default_factory=list[FakePart])

    def launch(self, plan: PartPlan) -> Part:
        self.parts.append(FakePart(plan))
        return cast("Part", self.parts[-1])

    def retire(self, part: Part) -> None:
        cast("FakePart", part).is_stopping = True

    def has(self, part: Part) -> bool:
        return cast("FakePart", part) in self.parts

    def drained(self) -> None:
        self.parts = [part for part in self.parts if not part.is_stopping]

    @property
    def running(self) -> list[str]:
        return sorted(part.plan.name for part in self.parts if not part.is_stopping)


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def scaler(fleet: FakeFleet) -> Scaler:
    """Ingesters that work 10 messages off in time, 4 at most, and one Embedder at most."""
    roles = (
        _scaled("ingester", INGEST_QUEUE, ScalingRule(1, 10, most=4, cooldown_seconds=COOLDOWN)),
        _scaled("embedder", EMBEDDING_QUEUE, ScalingRule(1, 10, most=1, cooldown_seconds=COOLDOWN)),
    )
    return Scaler(roles, fleet, read_backlog=lambda: None, terminal=Terminal())


def _scaled(role: str, queue: str, rule: ScalingRule) -> ScaledRole:
    plans = WorkerPlans(role, queue, Limits(0, rule.most), rule, Program(ROLES[role]), 25)
    return ScaledRole(plans, rule, {}, Scaled(0))


def backlog(to_ingest: int, to_embed: int = 0) -> dict[str, int]:
    return {INGEST_QUEUE: to_ingest, EMBEDDING_QUEUE: to_embed}


def test_without_work_nothing_is_started(scaler: Scaler, fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    scaler.look(backlog(0), now=0)
    assert fleet.running == []
    assert capsys.readouterr().err == ""


def test_a_file_starts_both_kinds_at_once(scaler: Scaler, fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    scaler.look(backlog(1), now=0)
    assert fleet.running == ["embedder-1", "ingester-1"]
    assert capsys.readouterr().err.splitlines() == [
        "ingester-1  starting: 1 waiting or in work on ingest-queue",
        "embedder-1  starting: there are files to ingest, which will be to embed soon",
    ]


def test_more_come_at_once_and_go_after_the_cooldown_in_a_line_each(
    scaler: Scaler, fleet: FakeFleet, capsys: pytest.CaptureFixture[str]
) -> None:
    scaler.look(backlog(25), now=0)
    assert fleet.running == ["embedder-1", "ingester-1", "ingester-2", "ingester-3"]
    scaler.look(backlog(1, 3), now=1)
    scaler.look(backlog(1, 3), now=COOLDOWN - 1)
    assert len(fleet.running) == 4
    capsys.readouterr()
    scaler.look(backlog(1, 3), now=COOLDOWN)
    assert fleet.running == ["embedder-1", "ingester-1"]
    scaler.look(backlog(0, 0), now=COOLDOWN + 1)
    scaler.look(backlog(0, 0), now=2 * COOLDOWN)
    assert fleet.running == []
    assert capsys.readouterr().err.splitlines() == [
        "ingester-2  stopping: 1 enough for ingest-queue for 60 s",
        "ingester-3  stopping: 1 enough for ingest-queue for 60 s",
        "ingester-1  stopping: nothing waiting or in work on ingest-queue for 60 s",
        "embedder-1  stopping: nothing waiting or in work on embedding-queue for 60 s",
    ]


def test_who_drains_is_not_stopped_twice_and_keeps_its_place_until_it_has_ended(
    scaler: Scaler, fleet: FakeFleet
) -> None:
    scaler.look(backlog(40), now=0)
    scaler.look(backlog(1), now=COOLDOWN)
    scaler.look(backlog(1), now=COOLDOWN + 1)
    assert len(fleet.parts) == 5
    scaler.look(backlog(40), now=COOLDOWN + 2)
    assert fleet.running == ["embedder-1", "ingester-1"], "three drain, and four are the most"
    fleet.drained()
    scaler.look(backlog(40), now=COOLDOWN + 3)
    assert fleet.running == ["embedder-1", "ingester-1", "ingester-2", "ingester-3", "ingester-4"]


def test_while_nobody_knows_the_backlog_the_workers_stay_and_it_is_said_once(
    scaler: Scaler, fleet: FakeFleet, capsys: pytest.CaptureFixture[str]
) -> None:
    scaler.look(backlog(25), now=0)
    capsys.readouterr()
    for now in range(1, 10 * COOLDOWN):
        scaler.look(None, now=now)
    scaler.look(backlog(0), now=10 * COOLDOWN)
    assert len(fleet.running) == 4
    assert capsys.readouterr().err.splitlines() == [
        "scaling     the Core API does not tell the backlog: the Workers stay as they are",
        "scaling     the Core API tells the backlog again",
    ]
    scaler.look(backlog(0), now=11 * COOLDOWN)
    assert fleet.running == []
