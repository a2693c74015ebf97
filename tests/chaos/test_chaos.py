"""The short version of `make chaos`: every fault once, on a tiny model, all of them while files come in.

On SQS only what happens to the queue and to who holds its messages: the other faults meet the same code.
"""

from __future__ import annotations

import pytest
from tiny_model import write_model

from chaos.corpus import TINY, documents
from chaos.ledger import codes
from chaos.run import Order, Result, line_of, run
from chaos.site import BrokerName, Plan

pytestmark = pytest.mark.slow

SEED = 5
TAKEOVER_SECONDS = 30
FILES: dict[BrokerName, int] = {"redis": 80, "sqs": 24}
KINDS: dict[BrokerName, tuple[str, ...]] = {
    "redis": (),
    "sqs": (
        *("kill -9 of an Ingester", "SIGSTOP for longer than the lease, then SIGCONT"),
        *("all messages purged", "the queues deleted and made again", "SQS frozen", "SQS restarted empty"),
        *("every message twice, in random order", "one message to two Workers at the same moment"),
    ),
}
"""None: all."""


@pytest.fixture(scope="module", params=["redis", "sqs"])
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    broker: BrokerName = request.param
    root = tmp_path_factory.mktemp("chaos")
    root.chmod(0o755)  # the database runs as another user
    model = write_model(root / "model")
    plan = Plan(model=str(model), lease_seconds=2, parsing_seconds=5, broker=broker, counts_late_seconds=2)
    files = documents(SEED, FILES[broker], words=TINY, chunk_words=20, chunks=20)
    order = Order(SEED, files, faults=0, plan=plan, outage_seconds=1, one_phase=True, kinds=KINDS[broker])
    return run(order, root, print)


def test_nothing_is_lost_stuck_twice_or_different_and_nothing_is_left_behind(result: Result) -> None:
    assert result.problems == []


def test_every_fault_struck(result: Result) -> None:
    (phase, *_) = result.phases
    assert [name for name, times in phase.struck.items() if not times] == [], line_of(phase)


def test_what_a_killed_worker_held_is_taken_over_in_time(result: Result) -> None:
    (phase, *_) = result.phases
    assert phase.slowest_takeover is not None, "nobody held anything when it was hit"
    assert phase.slowest_takeover < TAKEOVER_SECONDS


def test_the_files_were_worth_it(result: Result) -> None:
    counts = codes(result.reference)
    assert counts["complete"] > 0.75 * result.files, counts
    assert result.files == FILES[result.plan.broker]
