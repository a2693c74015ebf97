"""The simulation that `docs/scaling.md` is made of: beside an exact one, by hand, and as a whole."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scaling import NOTED, measured
from scaling_model import Arrivals, Files, Platform, Stage, Work, day, messages_per_file, simulate
from targets import FOLDER

from penstock.scaling import ScalingRule

AT_ONCE = Platform("no delay", period=1, lag=0, start=0)
SLOW = Platform("slow", period=10, lag=0, start=30)
IDLE = Work(per_file=0.0, per_chunk=1e-9, side_by_side=1)
"""A stage that costs nothing."""


def fixed(workers: int, service: float = 1.0) -> ScalingRule:
    return ScalingRule(service_seconds=service, target_seconds=60, least=workers, most=workers)


def waits_one_by_one(arrivals: Sequence[float], work: Sequence[float], workers: int) -> list[float]:
    """Exact: each file goes to the Worker that is free first, in the order of arrival."""
    free = [0.0] * workers
    waits: list[float] = []
    for arrived, seconds in zip(arrivals, work, strict=True):
        begins = max(arrived, heapq.heappop(free))
        waits.append(begins - arrived)
        heapq.heappush(free, begins + seconds)
    return waits


@pytest.mark.parametrize(("workers", "load"), [(1, 0.9), (4, 0.95), (20, 0.97)])
def test_waiting_times_are_those_of_an_exact_simulation(workers: int, load: float) -> None:
    files, work, seconds = Files(), Work(0.0, 0.1, 1), 20_000
    rate = load * workers / (0.1 * files.mean_chunks)
    random = np.random.default_rng(3)
    counts = random.poisson(rate, seconds)
    sizes = files.draw(int(counts.sum()), random)
    owners = np.repeat(np.arange(seconds), counts)
    exact = waits_one_by_one(owners.tolist(), (0.1 * sizes).tolist(), workers)
    arrivals = Arrivals(counts, np.bincount(owners, weights=sizes, minlength=seconds).astype(np.float64))
    stage = Stage(work, fixed(workers), AT_ONCE, 1.0)
    simulate(arrivals, stage, Stage(IDLE, fixed(1), AT_ONCE, 1.0))
    for share in (0.5, 0.9, 0.99):
        assert stage.times.percentile(share) == pytest.approx(float(np.quantile(exact, share)), rel=0.15, abs=4)


def test_what_arrives_is_done_and_paid_for() -> None:
    arrivals = day(lambda _: 3.0, files=Files(), bursts={100: 500}, seed=1, seconds=600)
    assert arrivals.files[100:160].sum() > 500
    ingesters = Stage(Work(0.1, 0.01, 1), fixed(3), SLOW, 1.0)
    embedders = Stage(Work(0.0, 0.05, 1), fixed(6), SLOW, 1.1)
    outcome = simulate(arrivals, ingesters, embedders)
    files, chunks = arrivals.files.sum(), arrivals.chunks.sum()
    assert sum(outcome.total.files.values()) == pytest.approx(files)
    assert outcome.busy_hours * 3600 == pytest.approx(files * 0.1 + chunks * 0.06)
    assert ingesters.workers[0] == 3  # they are paid for while they start
    assert min(ingesters.times.files) >= 0
    assert max(ingesters.times.files) >= 30 - SLOW.period  # the first of them waited for the start


def test_workers_that_start_are_the_first_to_go() -> None:
    stage = Stage(IDLE, replace(fixed(5), least=0, cooldown_seconds=0), SLOW, 1.0)
    stage.ready, stage.starting = 2, type(stage.starting)([(30, 1), (40, 2)])
    for wanted, ready, starting in ((4, 2, [(30, 1), (40, 1)]), (2, 2, []), (1, 1, []), (3, 1, [(37, 2)])):
        stage.scaled = replace(stage.scaled, workers=wanted)
        stage._obey(7)
        assert (stage.ready, list(stage.starting)) == (ready, starting)


def test_sums_of_many_files_are_like_those_of_few() -> None:
    """Above 200 a second their sum is drawn; below it each file is."""
    files = Files()
    drawn = day(lambda _: 1000.0, files=files, bursts={}, seed=1, seconds=2000)
    one_by_one = files.draw(int(drawn.files.sum()), np.random.default_rng(2))
    assert drawn.chunks.sum() == pytest.approx(one_by_one.sum(), rel=0.02)
    assert 1.1 < messages_per_file(files) < 1.15


def test_a_load_beyond_the_limits_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling_model.PATIENCE", 100)
    arrivals = day(lambda _: 10.0, files=Files(), bursts={}, seed=1, seconds=100)
    with pytest.raises(RuntimeError, match="never finish"):
        simulate(arrivals, Stage(Work(1, 1, 1), fixed(1), AT_ONCE, 1.0), Stage(IDLE, fixed(1), AT_ONCE, 1.0))


def test_service_times_are_measured_where_they_were(tmp_path: Path) -> None:
    results = tmp_path / "end_to_end.json"
    assert measured(results) is NOTED
    results.write_text(json.dumps({"alone": {"parse": 2.0, "chunk": 0.5, "embed": 6.0, "chunks": 1000, "cores": 2}}))
    found = measured(results)
    assert (found.read_chunk, found.embed_chunk) == pytest.approx((0.0025, 0.012))
    assert found.ingesting().per_chunk == pytest.approx(0.00125)  # a Worker of two cores


@pytest.mark.slow
def test_the_page_is_written(tmp_path: Path) -> None:
    command = [sys.executable, FOLDER / "scaling.py", "--quick", "--docs", tmp_path]
    environment = os.environ | {"BENCH_RESULTS": str(tmp_path)}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert shown.strip() == f"wrote {tmp_path / 'scaling.md'}"
    page = (tmp_path / "scaling.md").read_text()
    assert page.count("| 100,000,000 |") == 2
    for plot in ("scaling-day.svg", "scaling-target.svg"):
        assert f"]({plot})" in page
        assert ET.parse(tmp_path / plot).getroot().tag.endswith("svg")
