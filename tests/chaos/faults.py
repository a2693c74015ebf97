"""The faults: what each does to a running installation. `inject` returns when the fault is over."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import psutil
from real_servers import wait_until

from chaos.broker import Broker, Held, ServerFault
from chaos.client import Client
from chaos.ledger import Ledger
from chaos.site import SERVICES, Site
from chaos.takeover import Takeovers
from penstock.failpoints import FAIL_POINTS
from penstock.pipeline.claim import EXTEND_SECONDS

HOUR = 3600.0
SUPPLY_SECONDS = 15.0
BUSY_SECONDS = 10.0
"""How long a Worker is looked for that holds messages."""


@dataclass
class Scene:
    """What a fault may touch."""

    site: Site
    client: Client
    ledger: Ledger
    takeovers: Takeovers
    chance: random.Random
    outage_seconds: float = 3.0
    """The longest that something is away or slow."""
    tried: set[str] = field(default_factory=set[str])
    reached: set[str] = field(default_factory=set[str])
    """Fail points that were on, and those where somebody died."""
    points_to_skip: set[str] = field(default_factory=set[str])
    turn: int = 0
    only_one: Mapping[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    """By role: of its Workers at most one is stopped at a time, or nobody could take over."""

    def next_of(self, things: Sequence[str]) -> str:
        """One after the other, so that each has its turn."""
        self.turn += 1
        return things[self.turn % len(things)]

    def outage(self) -> None:
        """For as long as something is away."""
        time.sleep(self.chance.uniform(0.3, 1) * self.outage_seconds)

    def busy_worker(self, workers: Sequence[str], seconds: float = 2.0) -> str:
        """One of these that holds messages, or, where none comes to hold any, just one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            busy = [name for name in workers if self.takeovers.held_by(self.site.pid(name)).count]
            if busy:
                return self.chance.choice(busy)
            time.sleep(0.02)
        return self.chance.choice(workers)

    def await_substitutes(self, role: str, seconds: float = 60) -> None:
        """Until all Workers of the role take messages: where none is left, nobody can take over."""

        def working() -> bool:
            # A broker knows a consumer only from its first message on; its heartbeat begins with the reading.
            try:
                beating = {child.ppid() for child in self.site.children(self.site.broker.heartbeat)}
            except psutil.NoSuchProcess:  # it ended a moment ago
                return False
            return all(self.site.pid(part) in beating for part in self.workers(role))

        wait_until(working, seconds=seconds, what=f"every {role} to take messages")

    def lose_messages(self) -> bool:
        """All that are on the queues."""
        self.takeovers.forget()
        return self.site.broker.empty()

    def workers(self, role: str) -> list[str]:
        return [name for name in self.site.workers if name.startswith(role)]


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong."""

    name: str
    inject: Callable[[Scene], bool]
    """Returns whether there was anything to break; only then it counts."""
    weight: float = 1.0
    """How often, compared with the others."""
    possible: Callable[[Site], bool] = lambda _: True
    needs: str = ""
    """What is missing where it is not possible."""
    at_once: int = 1
    """How many of it run beside each other: those that take long."""


# Processes that die


def kill_api(scene: Scene) -> bool:
    former = scene.site.pid("api")
    killed = scene.site.kill("api")
    scene.site.await_restart("api", former)
    scene.site.await_ready()
    return bool(killed)


def kill_worker(role: str) -> Callable[[Scene], bool]:
    def inject(scene: Scene) -> bool:
        scene.await_substitutes(role)
        return hit_worker(scene, scene.workers(role), f"kill -9 of an {role.capitalize()}")

    return inject


def hit_worker(scene: Scene, parts: Sequence[str], fault: str, *, seconds: float = BUSY_SECONDS) -> bool:
    """Kill one of these, if possible one that holds messages."""
    with suppress(ProcessLookupError):
        stopped = stop_busy(scene, parts, seconds)
        os.kill(stopped.pid, signal.SIGKILL)
        scene.takeovers.watch(fault, stopped.held)
        scene.site.await_restart(stopped.part, stopped.pid)
        return True
    return False


@dataclass(frozen=True)
class Stopped:
    """A Worker under SIGSTOP."""

    part: str
    pid: int
    held: Held


def stop_busy(scene: Scene, parts: Sequence[str], seconds: float = BUSY_SECONDS) -> Stopped:
    """One of these under SIGSTOP that holds messages or, where none comes to hold any, just one.

    It is stopped first and looked at then: what one holds that goes on may be done a moment later. Raises
    `ProcessLookupError` where it ended meanwhile.
    """
    deadline = time.monotonic() + seconds
    while True:
        await_messages(scene, max(0.0, deadline - time.monotonic()))
        for part in scene.chance.sample(parts, len(parts)):
            pid = scene.site.pid(part)
            os.kill(pid, signal.SIGSTOP)
            try:
                held = scene.takeovers.held_by(pid)
                is_late = time.monotonic() > deadline
            except BaseException:
                os.kill(pid, signal.SIGCONT)
                raise
            if held.count or is_late:
                return Stopped(part, pid, held)
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)  # for who was stopped to come on


def await_messages(scene: Scene, seconds: float = 5.0) -> None:
    """Where all is done, Files are read again."""
    if scene.site.broker.messages():
        return
    for _, file_id in scene.ledger.alive()[-3:]:
        scene.client.reingest(file_id)
    deadline = time.monotonic() + seconds
    while not scene.site.broker.messages() and time.monotonic() < deadline:
        time.sleep(0.01)


def kill_child(module: str) -> Callable[[Scene], bool]:
    def inject(scene: Scene) -> bool:
        for child in scene.chance.sample(found := scene.site.children(module), len(found)):
            with suppress(psutil.NoSuchProcess):
                child.kill()
                return True
        return False

    return inject


def kill_heartbeat(scene: Scene) -> bool:
    return kill_child(scene.site.broker.heartbeat)(scene)


def stop_heartbeat(scene: Scene) -> bool:
    """SIGSTOP for longer than the lease: its Worker goes on, and others are handed what that works on."""
    children = scene.site.children(scene.site.broker.heartbeat)
    for child in scene.chance.sample(children, len(children)):
        with suppress(psutil.NoSuchProcess):
            child.suspend()
            time.sleep(scene.site.plan.lease_seconds + scene.chance.uniform(1, 2))
            child.resume()
            return True
    return False


def kill_supervisor(scene: Scene) -> bool:
    """Its parts end with it; `penstock up` starts all again."""
    site = scene.site
    for part in site.workers:
        scene.takeovers.watch("kill -9 of the supervisor", scene.takeovers.held_by(site.pid(part)))
    killed = site.kill("supervisor")
    site.up()
    return bool(killed)


def reach_fail_point(scene: Scene) -> bool:
    """Every point in turn: whoever reaches it dies there."""
    skipped = scene.points_to_skip | NEVER_REACHED
    name = scene.next_of([point for point in sorted(FAIL_POINTS) if point not in skipped])
    scene.tried.add(name)
    asked = scene.site.fail_points / name
    asked.touch()
    with supply(scene, name) as supplied:
        deadline = time.monotonic() + _patience(scene.site, name)
        while asked.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        supplied.set()
    with suppress(FileNotFoundError):
        asked.unlink()
        return False
    scene.reached.add(name)
    if name in SLOW_POINTS:
        scene.points_to_skip.add(name)
    scene.site.await_ready()
    return True


def _patience(site: Site, point: str) -> float:
    if point == "recover.files_wait_again":
        return max(SUPPLY_SECONDS, 3 * site.broker.recovery_seconds)
    return SLOW_POINTS.get(point, SUPPLY_SECONDS)


@contextmanager
def supply(scene: Scene, point: str) -> Generator[threading.Event]:
    """What the steps besides the usual ones need to run, over and over: that brings `point` about in the end."""
    stop = threading.Event()

    usual = _read_often if point.startswith(("dispatch", "ingest", "embed", "reingest")) else _come_and_go
    bring_about = SUPPLIES.get(point, usual)

    def work() -> None:
        while not stop.is_set():
            bring_about(scene)
            stop.wait(0.1)

    thread = threading.Thread(target=work, name="supply", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()


def _read_often(scene: Scene) -> None:
    """A long File again and again: each time supersedes the time before, while that is being read."""
    alive = [file_id for _, file_id in scene.ledger.alive()]
    longest = "select file_id from files where file_id = any(%s) order by chunk_count desc limit 3"
    for row in scene.site.rows(longest, alive):
        for _ in range(3):
            scene.client.reingest(row["file_id"])
            time.sleep(scene.chance.uniform(0, 0.1))


def _come_and_go(scene: Scene) -> None:
    """A File that nobody can read is handed in, fails, is tried again, and is deleted."""
    name = f"passing-{scene.chance.random()}.bin"
    file_id = scene.client.hand_in(name, b"\x00\xff" + scene.chance.randbytes(100), uuid4())
    scene.client.break_off(name)
    for verb in ("replay", "drop"):
        _await_failure(scene, file_id)
        for letter in scene.client.dead_letters():
            if letter["file_id"] == str(file_id):
                getattr(scene.client, verb)(letter)
    scene.client.delete(file_id)


def _await_failure(scene: Scene, file_id: UUID, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    failed = "select 1 from files where file_id = %s and status = 'failed'"
    while not scene.site.rows(failed, file_id) and time.monotonic() < deadline:
        time.sleep(0.02)


def _write_by_url(scene: Scene) -> None:
    """A client writes a File to the store itself."""
    file_id = scene.client.write_by_url(f"direct-{scene.chance.random()}.txt", b"Written past the API.")
    scene.client.delete(file_id)


def _upload_slowly(scene: Scene) -> None:
    """For so long that the object's reservation has to be extended."""
    pieces = int(EXTEND_SECONDS) + 10
    file_id = scene.client.hand_in(f"slow-{scene.chance.random()}.txt", bytes(pieces * 4096), uuid4(), pause=1.0)
    scene.client.delete(file_id)


def _lose_messages(scene: Scene) -> None:
    _read_often(scene)
    scene.lose_messages()
    time.sleep(scene.site.broker.recovery_seconds)


def _stop_in_work(scene: Scene) -> None:
    """A Worker that holds more messages than it works on at once is asked to stop."""
    for _, file_id in list(scene.ledger.alive())[:40]:
        scene.client.reingest(file_id)
    part = scene.busy_worker(scene.workers(scene.chance.choice(("ingester", "embedder"))))
    pid = scene.site.pid(part)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        scene.site.await_restart(part, pid)


def _read_long(scene: Scene) -> None:
    """A File so long that its first Chunks are recorded while the rest is read."""
    sentence = (
        "The valve of pump {n} in the northern hall is opened by hand, and closed when the gauge shows two bars. "
    )
    text = "\n\n".join(sentence.format(n=n) * 10 for n in range(600))
    file_id = scene.client.hand_in(f"long-{scene.chance.random()}.txt", text.encode(), uuid4())
    deadline = time.monotonic() + SUPPLY_SECONDS
    unread = "select 1 from files where file_id = %s and status in ('queued', 'ingesting')"
    while scene.site.rows(unread, file_id) and time.monotonic() < deadline:
        time.sleep(0.02)
    scene.client.delete(file_id)


def _crash_parsers(scene: Scene) -> None:
    """A parser that dies of its file: the file is tried again, a little later."""
    _read_often(scene)
    kill_child("penstock.parsing.child")(scene)


SUPPLIES: Mapping[str, Callable[[Scene], None]] = MappingProxyType(
    {
        "recover.files_wait_again": _lose_messages,
        "claim.reservation_extended": _upload_slowly,
        "ingest.early_chunks_recorded": _read_long,
        "queue.all_given_back": _stop_in_work,
        "queue.message_given_back": _crash_parsers,
        "upload.begun": _write_by_url,
        "upload.completed": _write_by_url,
    }
)
"""What brings a point about that is not on the way of a File that comes, fails, is tried again and goes."""
NEVER_REACHED = frozenset({"mirror.object_recorded", "mirror.object_forgotten", "upload.refused"})
"""Here: nobody tells this installation of its bucket, and no upload is too large. Their steps may be done twice, which
tests/integration/test_bucket.py and test_direct_uploads.py hold."""
SLOW_POINTS = {"claim.reservation_extended": 90.0, "queue.all_given_back": 60.0}
"""How long it may take to bring a point about, in seconds. Once in a run is enough for these."""


def stop_and_continue(scene: Scene) -> bool:
    """SIGSTOP for longer than the lease: the sleeper's messages go to others, and its late writes change nothing."""
    role = scene.next_of(("ingester", "embedder"))
    with scene.only_one[role]:
        scene.await_substitutes(role)
        with suppress(ProcessLookupError):
            stopped = stop_busy(scene, scene.workers(role))
            scene.takeovers.watch("SIGSTOP for longer than the lease, then SIGCONT", stopped.held)
            time.sleep(scene.site.plan.lease_seconds + scene.chance.uniform(1, 3))
            os.kill(stopped.pid, signal.SIGCONT)
            return True
    return False


def rolling_restart(scene: Scene) -> bool:
    """SIGTERM to each Worker in turn; the next one when the one before works again."""
    for part in scene.site.workers:
        pid = scene.site.pid(part)
        held = scene.takeovers.held_by(pid)
        said = scene.site.log(part).count(" ready ")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            scene.takeovers.watch("rolling restart of all Workers", held)
            scene.site.await_restart(part, pid)
            wait_until(lambda part=part, said=said: scene.site.log(part).count(" ready ") > said, what=f"{part} ready")
    return True


# Servers


def kill_postgres(scene: Scene) -> bool:
    scene.site.postgres.kill()
    scene.outage()
    scene.site.postgres.start()
    return True


def restart_postgres(scene: Scene) -> bool:
    scene.site.postgres.stop()
    scene.outage()
    scene.site.postgres.start()
    return True


def happens(fault: ServerFault) -> Callable[[Scene], bool]:
    """It happens to the broker."""

    def inject(scene: Scene) -> bool:
        if fault.loses:
            scene.takeovers.forget()
        struck = fault.inject(scene.chance, scene.outage)
        if fault.loses:
            scene.takeovers.forget()  # what was seen to be held between the two
        return struck

    return inject


# The network


def network(service: str, kind: str) -> Callable[[Scene], bool]:
    def inject(scene: Scene) -> bool:
        proxy = scene.site.proxies[service]
        if kind == "cut":
            proxy.cut()
        elif kind == "stalled":
            proxy.stall()
        else:
            proxy.slow(scene.chance.uniform(0.05, 0.3))
        scene.outage()
        proxy.heal()
        return True

    return inject


# Messages


def publish_again_shuffled(scene: Scene) -> bool:
    """Every message that is on a queue once more, in random order."""
    await_messages(scene)
    return scene.site.broker.publish_again(scene.chance) > 0


def give_to_two(scene: Scene) -> bool:
    await_messages(scene)
    return scene.site.broker.give_to_two()


# Disk, clocks, requests


def fill_the_disk(scene: Scene) -> bool:
    """Not a byte is left where Ingesters and their parser children work."""
    filler = scene.site.temporary / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        scene.outage()
    finally:
        filler.unlink(missing_ok=True)
    return True


def jump_clock(scene: Scene) -> bool:
    """The clock of the installation or of a server's machine is set, and set right again.

    Half of the times a Worker is killed before it is set right.
    """
    clock = scene.site.clocks[scene.next_of(sorted(scene.site.clocks))]
    clock.set(scene.chance.choice((-HOUR, -60.0, -5.0, 5.0, 60.0, HOUR)))
    scene.outage()
    if scene.chance.random() < 0.5:
        hit_worker(scene, scene.site.workers, "clock jumps", seconds=0.5)
    clock.set(0)
    return True


def change_a_file(scene: Scene) -> bool:
    """Read a File again, or delete it, whatever is being done with it."""
    alive = scene.ledger.alive()[-40:]
    if not alive:
        return False
    name, file_id = scene.chance.choice(alive)
    if scene.chance.random() < 0.7:
        scene.client.reingest(file_id)
    else:
        scene.ledger.deleted(name)
        scene.client.delete(file_id)
    return True


def replay_and_drop(scene: Scene) -> bool:
    """A dead letter goes back on its queue, and another one is forgotten."""
    letters = scene.client.dead_letters() or _new_dead_letters(scene)
    for letter in letters[:1]:
        scene.client.replay(letter)
    for letter in letters[1:2]:
        scene.client.drop(letter)
    return bool(letters)


def _new_dead_letters(scene: Scene, seconds: float = 10.0) -> list[dict[str, Any]]:
    """Files that failed fail again when they are read again."""
    for row in scene.site.rows("select file_id from files where status = 'failed' limit 2"):
        scene.client.reingest(row["file_id"])
    deadline = time.monotonic() + seconds
    while not (letters := scene.client.dead_letters()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return letters


def _has_clocks(site: Site) -> bool:
    return bool(site.clocks)


def faults_of(broker: Broker) -> tuple[Fault, ...]:
    """All faults, in the order of the table: those of every broker, and this one's own."""
    return (
        *PROCESSES,
        *(Fault(fault.name, happens(fault), weight=fault.weight) for fault in broker.faults),
        Fault("PostgreSQL restarted", restart_postgres),
        *(
            Fault(f"network {kind} before {label}", network(service, kind), weight=0.5)
            for service, label in zip(SERVICES, ("PostgreSQL", broker.name, "the object store"), strict=True)
            for kind in ("cut", "stalled", "slow")
        ),
        *OTHERS,
    )


PROCESSES = (
    Fault("kill -9 of the API", kill_api, weight=2),
    Fault("kill -9 of an Ingester", kill_worker("ingester"), weight=3),
    Fault("kill -9 of an Embedder", kill_worker("embedder"), weight=3),
    Fault("kill -9 of a parser child", kill_child("penstock.parsing.child"), weight=3),
    Fault("kill -9 of a heartbeat child", kill_heartbeat, weight=2),
    Fault("kill -9 of PostgreSQL", kill_postgres, weight=2),
    Fault("kill -9 of the supervisor", kill_supervisor),
    Fault(
        "kill -9 at a fail point",
        reach_fail_point,
        weight=4,
        possible=lambda _: bool(FAIL_POINTS),
        needs="fail points in the steps",
    ),
    Fault("SIGSTOP for longer than the lease, then SIGCONT", stop_and_continue, at_once=2),
    Fault("SIGSTOP of a heartbeat child for longer than the lease", stop_heartbeat, at_once=2),
)
OTHERS = (
    Fault("every message twice, in random order", publish_again_shuffled, weight=2),
    Fault("one message to two Workers at the same moment", give_to_two, weight=2),
    Fault(
        "disk full where files are parsed",
        fill_the_disk,
        possible=lambda site: site.is_small_disk,
        needs="the permission to mount a file system",
    ),
    Fault("clock jumps", jump_clock, possible=_has_clocks, needs="a C compiler"),
    Fault("rolling restart of all Workers", rolling_restart, weight=0.5),
    Fault("deletes and re-ingests while files are worked on", change_a_file, weight=3),
    Fault("dead letters replayed and dropped", replay_and_drop),
)
