"""A run: the files once without faults, then with each kind of fault in turn, then with all of them at random."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid5

from chaos.client import Client
from chaos.corpus import Document
from chaos.faults import SLOW_POINTS, Fault, Scene, faults_of
from chaos.ledger import Findings, Ledger, Outcome, await_stillness, check, orphans, outcomes, unclaimed
from chaos.site import Plan, Site
from chaos.takeover import Takeovers

NAMESPACE = UUID("7e1d9f0a-33c4-4f0e-9d6c-0d3f5a2b8c11")
HANDS = 4
"""Files on their way in at once."""
EVERYTHING = "all of them, at random"
Say = Callable[[str], None]


@dataclass
class Phase:
    """One row of the table."""

    fault: str
    files: int = 0
    struck: Counter[str] = field(default_factory=Counter[str])
    """How often each kind of fault hit something."""
    seconds: float = 0.0
    settling: float = 0.0
    """Seconds from the last fault until nothing moved any more."""
    slowest_takeover: float | None = None
    taken_over: int = 0
    findings: Findings = field(default_factory=Findings)
    skipped: str = ""

    @property
    def times(self) -> int:
        return self.struck.total()


@dataclass
class Result:
    """What a run has shown."""

    seed: int
    phases: list[Phase]
    wrong: list[str]
    """Answers that an API never gives."""
    unreached: list[str]
    orphans: list[str]
    processes_left: list[str]
    temporary_left: list[str]
    seconds: float
    reference_seconds: float
    files: int
    reference: Mapping[str, Outcome]
    plan: Plan
    outage_seconds: float

    @property
    def faults(self) -> int:
        return sum(phase.times for phase in self.phases)

    @property
    def problems(self) -> list[str]:
        """Everything that must not be."""
        found = [f"{phase.fault}: {problem}" for phase in self.phases for problem in phase.findings.problems]
        found += [f"unexpected answer: {answer}" for answer in self.wrong]
        found += [f"fail point not reached: {name}" for name in self.unreached]
        found += [f"orphan object: {key}" for key in self.orphans]
        found += [f"process left: {process}" for process in self.processes_left]
        return found + [f"temporary file left: {path}" for path in self.temporary_left]


@dataclass(frozen=True)
class Order:
    """What to run."""

    seed: int
    documents: Sequence[Document]
    faults: int
    plan: Plan
    minutes: float = 0.0
    """At least so long: the last phase goes on until they are over."""
    outage_seconds: float = 3.0
    kinds: Collection[str] = ()
    """Names of the faults; none: all that the broker has."""
    one_phase: bool = False
    """All kinds in one phase, each at least once: the short version."""


def run(order: Order, root: Path, say: Say) -> Result:
    """Reference, phases, and the look at what is left behind."""
    site = Site(root, order.plan)
    with site.open():
        began = time.monotonic()
        reference, left = _reference(order, site, say)
        referenced, began = time.monotonic() - began, time.monotonic()
        phases, scene = _all_phases(order, site, reference, say)
        seconds = time.monotonic() - began
        left += _await_no_orphans(site)
        site.down()
        processes = _await_no_processes(site)
        temporary = sorted(str(path.relative_to(site.temporary)) for path in site.temporary.iterdir())
    return Result(
        seed=order.seed,
        phases=phases,
        wrong=scene.client.wrong,
        unreached=sorted(scene.tried - scene.reached),
        orphans=left,
        processes_left=processes,
        temporary_left=temporary,
        seconds=seconds,
        reference_seconds=referenced,
        files=len(scene.ledger.wanted),
        reference=reference,
        plan=order.plan,
        outage_seconds=order.outage_seconds,
    )


def _reference(order: Order, site: Site, say: Say) -> tuple[dict[str, Outcome], list[str]]:
    """What becomes of the same files with nothing in their way. They are deleted again: and what is left of them."""
    say("the files without faults")
    client, ledger = Client(site.url), Ledger()
    _hand_in(order.documents, uuid5(NAMESPACE, "reference"), client, ledger, random.Random(order.seed))
    await_stillness(site)
    found = outcomes(site, [document.name for document in order.documents])
    with ThreadPoolExecutor(HANDS) as hands:
        for deleted in [hands.submit(client.delete, file_id) for _, file_id in ledger.alive()]:
            deleted.result()
    client.close()
    return {name: only for name, (only,) in found.items()}, _await_no_orphans(site)


def _hand_in(documents: Sequence[Document], batch: UUID, client: Client, ledger: Ledger, chance: random.Random) -> None:
    pauses = [0.02 if chance.random() < 0.2 else 0.0 for _ in documents]

    def one(document: Document, pause: float) -> None:
        ledger.arrived(document.name, client.hand_in(document.name, document.content, batch, pause=pause))

    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(one, documents, pauses))


def _all_phases(order: Order, site: Site, reference: Mapping[str, Outcome], say: Say) -> tuple[list[Phase], Scene]:
    client, takeovers = Client(site.url), Takeovers(site)
    scene = Scene(site, client, Ledger(), takeovers, random.Random(order.seed), order.outage_seconds)
    if order.one_phase:
        scene.points_to_skip |= SLOW_POINTS.keys()
    deadline = time.monotonic() + 60 * order.minutes
    phases: list[Phase] = []
    try:
        for name, kinds, documents, faults in _shares(order, site):
            until = None
            if name == EVERYTHING:
                until = deadline
                faults = max(len(kinds), order.faults - sum(phase.times for phase in phases))  # noqa: PLW2901
            phase = _one_phase(name, kinds, documents, faults, scene, until=until)
            _judge(phase, documents, scene, reference)
            say(line_of(phase))
            phases.append(phase)
    finally:
        takeovers.close()
        client.close()
    skipped = [fault for fault in _kinds(order, site) if not fault.possible(site)]
    phases += [Phase(fault.name, skipped=f"needs {fault.needs}") for fault in skipped]
    return phases, scene


def _kinds(order: Order, site: Site) -> list[Fault]:
    return [fault for fault in faults_of(site.broker) if not order.kinds or fault.name in order.kinds]


def _shares(order: Order, site: Site) -> list[tuple[str, list[Fault], Sequence[Document], int]]:
    """Name, kinds of fault, files and number of faults of each phase. The last one has a quarter of the files."""
    kinds = [fault for fault in _kinds(order, site) if fault.possible(site)]
    if order.one_phase:
        return [(EVERYTHING, kinds, order.documents, max(order.faults, len(kinds)))]
    total = sum(fault.weight for fault in kinds) * 4 / 3
    shares: list[tuple[str, list[Fault], Sequence[Document], int]] = []
    start = 0
    for fault in kinds:
        end = start + round(len(order.documents) * fault.weight / total)
        faults = max(1, round(order.faults * fault.weight / total))
        shares.append((fault.name, [fault], order.documents[start:end], faults))
        start = end
    return [*shares, (EVERYTHING, kinds, order.documents[start:], order.faults)]


def _one_phase(
    name: str, kinds: list[Fault], documents: Sequence[Document], faults: int, scene: Scene, *, until: float | None
) -> Phase:
    """Files come in while faults happen: a handful, then a fault in the middle of them, and so on."""
    phase, began = Phase(name, files=len(documents)), time.monotonic()
    batch = uuid5(NAMESPACE, f"{scene.chance.random()} {name}")
    tempo = _Tempo(faults, until)
    beside = kinds[0].at_once - 1 if len(kinds) == 1 else 0
    with ThreadPoolExecutor(1 + beside) as others:
        driving = others.submit(_drive, documents, batch, scene, tempo)
        injecting = [others.submit(_inject, kinds, scene, tempo) for _ in range(beside)]
        try:
            # In this thread: a server dies with the thread that started it.
            phase.struck = _inject(kinds, scene, tempo)
            for injected in injecting:
                phase.struck += injected.result()
        finally:
            tempo.finish()
            scene.site.heal()
        driving.result()
    phase.settling = await_stillness(scene.site)
    phase.seconds = time.monotonic() - began
    return phase


class _Tempo:
    """Keeps files and faults in step: before the n-th of N faults n/N of the files have been let in."""

    def __init__(self, faults: int, until: float | None) -> None:
        self.faults, self._until = faults, until
        self._began = time.monotonic()
        self._done = self._misses = 0
        self._changed = threading.Condition()

    def more(self) -> bool:
        """Whether another fault is wanted; counts it as done."""
        with self._changed:
            late = self._until is not None and time.monotonic() < self._until
            if self._done >= self.faults and not late:
                return False
            self._done += 1
            self._changed.notify_all()
            return True

    def missed(self) -> None:
        """There was nothing to break: another one instead, but not for ever."""
        with self._changed:
            if self._misses < self.faults:
                self._misses += 1
                self._done -= 1

    def finish(self) -> None:
        with self._changed:
            self.faults, self._until, self._done = 1, None, 1
            self._changed.notify_all()

    def await_share(self, share: float) -> None:
        """Until so much of the phase is over."""
        with self._changed:
            while self._share() < share:
                self._changed.wait(0.2)

    def _share(self) -> float:
        by_faults = self._done / self.faults
        if self._until is None:
            return by_faults
        return min(by_faults, (time.monotonic() - self._began) / max(0.1, self._until - self._began))


def _drive(documents: Sequence[Document], batch: UUID, scene: Scene, tempo: _Tempo) -> None:
    chance = random.Random(str(batch))
    handful = max(2, round(len(documents) / tempo.faults))
    for start in range(0, len(documents), handful):
        tempo.await_share(start / len(documents))
        _hand_in(documents[start : start + handful], batch, scene.client, scene.ledger, chance)


def _inject(kinds: list[Fault], scene: Scene, tempo: _Tempo) -> Counter[str]:
    """Inject until the tempo says enough, each kind as often as the others; how often each hit something."""
    struck = Counter({fault.name: 0 for fault in kinds})
    order: list[Fault] = []
    while tempo.more():
        if not order:
            order = scene.chance.sample(kinds, len(kinds))
        _await_work(scene.site)
        time.sleep(scene.chance.uniform(0, 0.3))
        fault = order.pop()
        if fault.inject(scene):
            struck[fault.name] += 1
        else:
            order.insert(0, fault)
            tempo.missed()
    return struck


def _await_work(site: Site, seconds: float = 1.5) -> None:
    """A fault while nobody works proves little."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and site.broker.messages() == 0:
        time.sleep(0.02)


def _judge(phase: Phase, documents: Sequence[Document], scene: Scene, reference: Mapping[str, Outcome]) -> None:
    phase.findings = check(scene.site, scene.ledger, [document.name for document in documents], reference)
    if messages := scene.site.broker.messages():
        phase.findings.add("stuck", f"{messages} messages are left on the queues")
    if scene.takeovers.unfinished:
        phase.findings.add("stuck", f"{scene.takeovers.unfinished} Workers' messages were taken over by nobody")
    slowest = scene.takeovers.slowest
    mine = (
        slowest if phase.fault == EVERYTHING else {phase.fault: slowest[phase.fault]} if phase.fault in slowest else {}
    )
    phase.slowest_takeover = max(mine.values(), default=None)
    phase.taken_over = scene.takeovers.messages.get(phase.fault, 0)


def _await_no_orphans(site: Site, seconds: float = 60) -> list[str]:
    """What is still to be deleted is due at once; whatever is left then is an orphan."""
    deadline = time.monotonic() + seconds
    while (left := unclaimed(site) + orphans(site)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _await_no_processes(site: Site, seconds: float = 5) -> list[str]:
    """`down` returns when the data folder is free, a moment before the supervisor ends."""
    deadline = time.monotonic() + seconds
    while (left := site.processes_left()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [str(process) for process in left]


def line_of(phase: Phase) -> str:
    """A phase as a line for a person who waits."""
    if phase.skipped:
        return f"{phase.fault}: not injected, {phase.skipped}"
    found = phase.findings
    takeover = "" if phase.slowest_takeover is None else f", slowest takeover {phase.slowest_takeover:.1f} s"
    return (
        f"{phase.fault}: {phase.times} times, {phase.files} files, {found.lost} lost, {found.stuck} stuck, "
        f"{found.duplicated} duplicated, {found.different} different{takeover}; "
        f"{phase.seconds:.0f} s, of which {phase.settling:.0f} s settling"
    )
