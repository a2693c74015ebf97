"""What benchmarks found: read again, told on a page, drawn, and compared with what they found before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from compare import NoBase, compared, results_at, results_in
from measured import Figure, Measured, figures_of, keep
from page import number, text_of, write_page
from plot import draw_all
from targets import BENCHMARKS, FOLDER, TARGETS

FAST = Figure(
    row=3,
    measure="filings",
    unit="s",
    ours=10.0,
    against=65.0,
    other="LlamaIndex",
    value=6.5,
    wanted=6.0,
    note="embedding is most of it",
)
SLOW = Figure(
    row=8,
    measure="one file, p50",
    unit="ms",
    ours=300.0,
    against=None,
    other="",
    value=300.0,
    wanted=150.0,
    better="lower",
)


def test_what_is_kept_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = keep("idle", [SLOW, FAST], {"rounds": 3}, output=tmp_path / "idle.json")
    assert figures_of(path) == [SLOW, FAST]
    assert capsys.readouterr().out.splitlines() == [
        "one file, p50: 300 ms: 300, ≤ 150 missed",
        "filings: 10 s, LlamaIndex 65: 6.5, ≥ 6 reached",
    ]


def test_a_share_is_more_where_it_is_better() -> None:
    assert FAST.share == pytest.approx(6.5 / 6)
    assert SLOW.share == pytest.approx(0.5)
    assert replace(SLOW, value=0.0).share == float("inf")


def test_every_row_has_a_benchmark() -> None:
    assert {row for benchmark in BENCHMARKS for row in benchmark.rows} >= {target.row for target in TARGETS}
    assert [target.row for target in TARGETS] == list(range(1, 14))


def test_the_page_tells_what_was_reached_missed_and_not_measured(tmp_path: Path) -> None:
    keep("end_to_end", [FAST], {**two_sides()}, output=tmp_path / "end_to_end.json")
    keep("idle", [SLOW], {}, output=tmp_path / "idle.json")
    page = write_page(tmp_path, tmp_path / "docs").read_text()
    assert "**1 of 13 targets reached**; not measured: row 1, 2, 4," in page
    assert "| 3 | filings | 10 s | LlamaIndex: 65 s | 6.5 | ≥ 6 | reached |" in page
    assert "| 8 | one file, p50 | 300 ms |  | 300 | ≤ 150 | **missed** |" in page
    assert "| 10 | 1 GB of text, 10,000 PDF pages, 1,000,000 rows of csv |  |  |  | Ingester's peak ≤ 600 MB |" in page
    assert "- 3. *filings*: embedding is most of it" in page
    for plot in ("performance-targets.svg", "end-to-end.svg"):
        assert f"]({plot})" in page
        assert ET.parse(tmp_path / "docs" / plot).getroot().tag.endswith("svg")
    assert "embedders.svg" not in page


def two_sides() -> dict[str, object]:
    stages = {stage: {"seconds": 5.0} for stage in ("read", "split", "embed")}
    return {
        "penstock": {"median_seconds": 10.0, "rounds": [{"pages": 256}]},
        "llama_index": {"median_seconds": 65.0, "rounds": [{"stages": stages}]},
        "alone": {"seconds_spread": {"parse": 1.0, "chunk": 0.5, "embed": 7.0}},
        "ratio": 6.5,
    }


def test_without_results_the_page_says_so() -> None:
    page = text_of({}, [])
    assert "**0 of 13 targets reached**" in page
    assert page.count("**not measured**") == 13


def test_the_curve_of_embedders_is_drawn(tmp_path: Path) -> None:
    curve = [{"embedders": count, "chunks_per_second": 90.0 * count} for count in (1, 2, 4, 8)]
    drawn = draw_all({"embedders": Measured("embedders", [], {"curve": curve})}, tmp_path)
    assert drawn == ["embedders.svg"]
    # The same figures give the same file, or every run would change it.
    first = (tmp_path / "embedders.svg").read_bytes()
    draw_all({"embedders": Measured("embedders", [], {"curve": curve})}, tmp_path)
    assert (tmp_path / "embedders.svg").read_bytes() == first


@pytest.mark.parametrize(
    ("value", "told"),
    [(6.4321, "6.43"), (1234.5, "1,234"), (0.99994, "0.99994"), (0.9, "0.9"), (0, "0"), (10_000_000, "10,000,000")],
)
def test_numbers_have_the_digits_that_say_something(value: float, told: str) -> None:
    assert number(value) == told


# -- beside a base


def results(folder: Path, **figures: Figure) -> Path:
    for name, figure in figures.items():
        keep(name, [figure], {}, output=folder / f"{name}.json")
    return folder


def test_more_than_one_is_a_gain_whichever_way_is_better(tmp_path: Path) -> None:
    base = results(tmp_path / "base", end_to_end=FAST, idle=SLOW)
    now = results(
        tmp_path / "now", end_to_end=replace(FAST, ours=5.0, value=13.0), idle=replace(SLOW, ours=600.0, value=600.0)
    )
    fast, slow = compared(results_in(now), results_in(base))
    assert (fast.benchmark, fast.ratio, fast.gain) == ("end_to_end", 0.5, pytest.approx(2))
    assert (slow.benchmark, slow.ratio, slow.gain) == ("idle", 2.0, pytest.approx(0.5))


def test_another_target_since_then_does_not_count_as_a_gain(tmp_path: Path) -> None:
    base = results(tmp_path / "base", end_to_end=replace(FAST, wanted=4.0))
    [only] = compared(results_in(results(tmp_path / "now", end_to_end=FAST)), results_in(base))
    assert only.gain == pytest.approx(1)


def test_what_one_side_did_not_measure_is_told(tmp_path: Path) -> None:
    base, now = results(tmp_path / "base", end_to_end=FAST), results(tmp_path / "now", idle=SLOW)
    gone, new = compared(results_in(now), results_in(base))
    assert (gone.now, gone.base, gone.gain) == (None, FAST, None)
    assert (new.now, new.base, new.ratio) == (SLOW, None, None)


def test_results_come_from_a_commit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results(tmp_path / "benchmarks" / "results", idle=SLOW)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Measured"], ["tag", "v1"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *command], check=True)
    monkeypatch.setattr("compare.ROOT", tmp_path)
    assert results_at("v1") == {("idle", SLOW.measure): SLOW}
    with pytest.raises(NoBase, match="neither a folder nor a commit"):
        results_at("v2")


def test_a_folder_without_figures_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "idle.json").write_text('{"benchmark": "idle", "seconds": 3}')  # of before there were figures
    with pytest.raises(NoBase, match="There are no figures in"):
        results_in(tmp_path)


def test_the_command_prints_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = results(tmp_path / "base", idle=SLOW)
    monkeypatch.setenv("BENCH_RESULTS", str(results(tmp_path / "now", idle=replace(SLOW, ours=100.0, value=100.0))))
    command = [sys.executable, FOLDER / "compare.py", base]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [cell.strip() for cell in shown.splitlines()[-2].strip("│").split("│")] == [
        *("idle", "one file, p50", "100 ms", "300 ms", "0.33", "100", "300", "3.00"),
    ]
    refused = subprocess.run(command[:2], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "BASE=" in refused.stderr
