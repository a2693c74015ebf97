"""The short version of `make chaos`: every fault once, on a tiny model, all of them while files come in."""

from __future__ import annotations

import pytest
from tiny_model import write_model

from chaos.corpus import TINY, documents
from chaos.ledger import codes
from chaos.run import Order, Result, line_of, run
from chaos.site import Plan

pytestmark = pytest.mark.slow

SEED = 5
TAKEOVER_SECONDS = 30


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    root = tmp_path_factory.mktemp("chaos")
    root.chmod(0o755)  # the database runs as another user
    model = write_model(root / "model")
    plan = Plan(model=str(model), lease_seconds=2, parsing_seconds=5)
    files = documents(SEED, 80, words=TINY, chunk_words=20, chunks=20)
    return run(Order(SEED, files, faults=0, plan=plan, outage_seconds=1, one_phase=True), root, print)


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
    assert counts["complete"] > 60, counts
    assert result.files == 80
