"""Each benchmark that needs no peer, in its quick form: it runs, and the page can be written from what it kept.

No time is asserted: what a run of seconds measures on a shared machine is no measurement.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench import environment
from installation import CORPORA
from measured import RESULTS_VARIABLE, figures_of
from page import write_page
from targets import BENCHMARKS, Benchmark

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="needs the corpora in ../shared/corpora"),
]

ALONE = [benchmark for benchmark in BENCHMARKS if benchmark.alone and benchmark.script.is_file()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the quick runs of this module keep what they found."""
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("benchmark", ALONE, ids=lambda benchmark: benchmark.name)
def test_a_quick_run_keeps_a_figure_for_each_of_its_rows(benchmark: Benchmark, results: Path) -> None:
    ended = subprocess.run(
        [sys.executable, benchmark.script, "--quick"],
        env=environment() | {RESULTS_VARIABLE: str(results)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    figures = figures_of(results / f"{benchmark.name}.json")
    assert set(benchmark.rows) == {figure.row for figure in figures}
    for figure in figures:
        assert figure.ours > 0, figure


def test_the_page_can_be_written_from_them(results: Path, tmp_path: Path) -> None:
    kept = {path.stem for path in results.iterdir()}
    assert kept == {benchmark.name for benchmark in ALONE}
    page = write_page(results, tmp_path).read_text()
    for name in kept:
        assert f"| {name} | " in page
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".svg"}
