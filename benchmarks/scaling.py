"""Prove the scaling rule: a day of 10^4, 10^6 and 10^8 files, how long files wait, how many Workers run, what it costs.

Writes `docs/scaling.md` and its plots. Takes some forty seconds of one core and measures nothing: the same seed and the
same `results/end_to_end.json` give the same page on any machine.

    .venv/bin/python benchmarks/scaling.py [--quick] [--docs FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from measured import RESULTS
from scaling_model import (
    DAY,
    Arrivals,
    Files,
    Outcome,
    Platform,
    Stage,
    Work,
    day,
    messages_per_file,
    simulate,
)
from scaling_page import Row, Tables, write_page

from penstock.scaling import EMBEDDERS, INGESTERS, ScalingRule

DOCS = Path(__file__).resolve().parent.parent / "docs"
SEED = 6
LOADS = (10**4, 10**6, 10**8)
"""Files a day."""
FILES = Files()
CORES = 2
"""Of one Worker."""
BULK_SHARE, BULK_HOURS = 0.2, (3, 11, 20)
"""Of the day's files this share is handed in at once, in three loads; the others come by day more than by night."""
ROOM = 4.0
"""The limit, as a multiple of the Workers that the day's mean keeps busy."""

KEDA = Platform("Kubernetes, nodes there", period=15, lag=15, start=45)
NODES = Platform("Kubernetes, nodes started", period=15, lag=15, start=150)
ECS = Platform("ECS on Fargate", period=60, lag=180, start=60)
ONE_MACHINE = Platform("one machine", period=1, lag=0, start=5)
PLATFORMS = (ONE_MACHINE, KEDA, NODES, ECS)

TARGETS = (30, 60, 120, 180, 300, 600)
COOLDOWNS = (0, 60, 120, 300, 900)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one file and one Chunk cost, in seconds of one core, and where that was measured."""

    per_file: float
    read_chunk: float
    embed_chunk: float
    source: str

    def ingesting(self) -> Work:
        return Work(self.per_file / CORES, self.read_chunk / CORES, side_by_side=CORES)

    def embedding(self) -> Work:
        return Work(0.0, self.embed_chunk / CORES, side_by_side=1)


PER_FILE = 0.025
"""Processor seconds of the Ingester for a file however short it is: ADR 23."""
NOTED = Measured(
    PER_FILE, 0.0020, 0.0288, "ADR 22 to 24: 140 µs for each of 205 tokens, 1.7 ms to read and 0.3 ms to cut a Chunk"
)
"""On a processor without matrix units, for filings in PDF, by processor time."""


def measured(path: Path) -> Measured:
    """From the last `make bench`, if it measured the parts alone; else what the decisions noted."""
    alone = json.loads(path.read_text()).get("alone") if path.is_file() else None
    if not alone:
        return NOTED
    chunks, cores = alone["chunks"], alone["cores"]
    read, embed = (alone["parse"] + alone["chunk"]) / chunks, alone["embed"] * cores / chunks
    return Measured(PER_FILE, read, embed, "`benchmarks/results/end_to_end.json`, the parts alone; the file by ADR 23")


@dataclass(frozen=True, slots=True)
class World:
    """What does not change between runs."""

    work: Measured
    seconds: int

    @property
    def per_file(self) -> float:
        return messages_per_file(FILES)

    def service(self) -> tuple[float, float]:
        """Seconds of an Ingester and of an Embedder for one message on the average."""
        ingest, embed = self.work.ingesting(), self.work.embedding()
        return (
            ingest.per_file + FILES.mean_chunks * ingest.per_chunk,
            FILES.mean_chunks * embed.per_chunk / self.per_file,
        )

    def rules(self, load: int, *, target: float, cooldown: float) -> tuple[ScalingRule, ScalingRule]:
        """For both kinds of Worker, by their mean service times, with room for the day's peak."""
        ingest, embed = self.service()
        return (
            rule(ingest, load, target=target, cooldown=cooldown),
            rule(embed, load * self.per_file, target=target, cooldown=cooldown),
        )

    def run(self, arrivals: Arrivals, rules: tuple[ScalingRule, ScalingRule], platform: Platform) -> Outcome:
        return simulate(
            arrivals,
            Stage(self.work.ingesting(), rules[0], platform, 1.0),
            Stage(self.work.embedding(), rules[1], platform, self.per_file),
        )


def rule(service: float, messages_a_day: float, *, target: float, cooldown: float) -> ScalingRule:
    most = max(2, math.ceil(ROOM * service * messages_a_day / DAY))
    return ScalingRule(service_seconds=service, target_seconds=target, most=most, cooldown_seconds=cooldown)


def arrivals(load: int, *, bulk: bool, seconds: int) -> Arrivals:
    share = 1 - BULK_SHARE if bulk else 1.0
    bursts = {hour * 3600: round(load * BULK_SHARE / len(BULK_HOURS)) for hour in BULK_HOURS} if bulk else {}
    bursts = {begin: size for begin, size in bursts.items() if begin + 60 <= seconds}
    return day(partial(_rate, load * share / DAY), files=FILES, bursts=bursts, seed=SEED, seconds=seconds)


def _rate(mean: float, second: float) -> float:
    """Least at midnight, most at noon: from a fifth of the mean to nine times that."""
    return mean * (1 - 0.8 * math.cos(2 * math.pi * second / DAY))


def days(world: World) -> list[Row]:
    """The shipped target and cooldown, on each load, without and with bulk loads."""
    rows: list[Row] = []
    for load in LOADS:
        for bulk in (False, True):
            coming = arrivals(load, bulk=bulk, seconds=world.seconds)
            rules = world.rules(load, target=INGESTERS.target_seconds, cooldown=INGESTERS.cooldown_seconds)
            rows.append(Row(load, "bulk" if bulk else "even", "rule", KEDA, rules, world.run(coming, rules, KEDA)))
    return rows


def fleets(world: World) -> list[Row]:
    """The rule beside fleets that never change: of the mean and a quarter, and of what the rule came to at most."""
    load = 10**6
    coming = arrivals(load, bulk=True, seconds=world.seconds)
    ruled = world.rules(load, target=INGESTERS.target_seconds, cooldown=INGESTERS.cooldown_seconds)
    outcome = world.run(coming, ruled, KEDA)
    rows = [Row(load, "bulk", "rule", KEDA, ruled, outcome)]
    most = max(outcome.ingesters.workers), max(outcome.embedders.workers)
    mean = tuple(math.ceil(one.most * 1.25 / ROOM) for one in ruled)
    for name, (few, many) in (("fixed, mean + 25 %", mean), ("fixed, the rule's peak", most)):
        fixed = replace(ruled[0], least=few, most=few), replace(ruled[1], least=many, most=many)
        rows.append(Row(load, "bulk", name, KEDA, fixed, world.run(coming, fixed, KEDA)))
    return rows


def by_target(world: World, targets: Sequence[int]) -> list[Row]:
    """How long a target must be for the number of Workers not to swing, on each platform."""
    load = 10**8
    coming = arrivals(load, bulk=False, seconds=world.seconds)
    return [
        Row(load, "even", f"{target}", platform, rules, world.run(coming, rules, platform))
        for platform in PLATFORMS
        for target in targets
        for rules in [world.rules(load, target=target, cooldown=INGESTERS.cooldown_seconds)]
    ]


def by_cooldown(world: World, cooldowns: Sequence[int]) -> list[Row]:
    """What the cooldown costs in Workers and saves in starts."""
    load = 10**6
    coming = arrivals(load, bulk=True, seconds=world.seconds)
    return [
        Row(load, "bulk", f"{cooldown}", KEDA, rules, world.run(coming, rules, KEDA))
        for cooldown in cooldowns
        for rules in [world.rules(load, target=INGESTERS.target_seconds, cooldown=cooldown)]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four hours instead of a day, and fewer targets")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page and the plots go")
    options = parser.parse_args()
    world = World(measured(RESULTS / "end_to_end.json"), DAY // 6 if options.quick else DAY)
    targets, cooldowns = (TARGETS[2:4], COOLDOWNS[:2]) if options.quick else (TARGETS, COOLDOWNS)
    tables = Tables(
        days=days(world),
        fleets=fleets(world),
        targets=by_target(world, targets),
        cooldowns=by_cooldown(world, cooldowns),
    )
    page = write_page(
        options.docs, tables, service=world.service(), source=world.work.source, shipped=(INGESTERS, EMBEDDERS)
    )
    print(f"wrote {page}")


if __name__ == "__main__":
    main()
