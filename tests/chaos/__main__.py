"""`make chaos`: the long run, and the page that tells what came of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from chaos.corpus import documents
from chaos.measures import flush_in_the_middle, hostile_beside_good, newcomer_beside_bulk
from chaos.report import Asked, Section, write
from chaos.run import Order, run
from chaos.site import BrokerName, Plan

Measure = Callable[[Path, Plan], Section]
MEASURES: Mapping[BrokerName, tuple[Measure, ...]] = {
    "redis": (flush_in_the_middle, hostile_beside_good, newcomer_beside_bulk),
    "sqs": (),
}
"""Besides the table. They measure how the rows are worked off, which no broker changes."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Break a running Penstock and count what is lost.")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--broker", choices=get_args(BrokerName), default="redis", help="what the queues are on")
    parser.add_argument("--no-measures", action="store_true", help="the table alone")
    asked = parser.parse_args()
    say(f"seed {asked.seed}")
    plan = Plan(broker=asked.broker)
    order = Order(
        seed=asked.seed,
        documents=documents(asked.seed, asked.files),
        faults=asked.faults,
        plan=plan,
        minutes=asked.minutes,
    )
    sections: list[Section] = []
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    root.chmod(0o755)  # the database runs as another user
    say(f"logs and data in {root} if anything goes wrong")
    result = run(order, root / "table", say)
    for measure in () if asked.no_measures else MEASURES[asked.broker]:
        sections.append(measure(root / measure.__name__, plan))
        say(sections[-1].text)
    write(result, Asked(asked.files, asked.faults, asked.minutes), sections)
    problems = result.problems + [section.problem for section in sections if section.problem]
    for problem in problems:
        say(problem)
    if not problems:
        shutil.rmtree(root)
    return 1 if problems else 0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
