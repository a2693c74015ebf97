"""How many processors a process may use, and what they can do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock import processors
from penstock.processors import available_processors, multiply_bf16


def all_of_sixteen(_pid: int) -> set[int]:
    return set(range(16))


@pytest.fixture(autouse=True)
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processors, "CGROUPS", tmp_path)
    monkeypatch.setattr(processors, "_own_cgroup", lambda: "/pod/container")
    monkeypatch.setattr(os, "sched_getaffinity", all_of_sixteen, raising=False)
    (tmp_path / "pod" / "container").mkdir(parents=True)
    (tmp_path / "cpu").mkdir()
    return tmp_path


def test_without_limits_all_that_are_visible() -> None:
    assert available_processors() == 16


@pytest.mark.parametrize(
    ("quota", "expected"), [("400000 100000", 4), ("765000 100000", 7), ("50000 100000", 1), ("max 100000", 16)]
)
def test_a_container_s_quota(cgroups: Path, quota: str, expected: int) -> None:
    (cgroups / "pod" / "container" / "cpu.max").write_text(f"{quota}\n")
    assert available_processors() == expected


def test_the_tightest_of_nested_quotas(cgroups: Path) -> None:
    (cgroups / "pod" / "cpu.max").write_text("300000 100000\n")
    (cgroups / "pod" / "container" / "cpu.max").write_text("800000 100000\n")
    assert available_processors() == 3


@pytest.mark.parametrize(("quota", "expected"), [("250000", 2), ("-1", 16)])
def test_the_first_version_of_cgroups(cgroups: Path, quota: str, expected: int) -> None:
    (cgroups / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (cgroups / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert available_processors() == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("sse avx512f avx512_bf16 aes", True), ("amx_bf16", True), ("sse avx512f avx512_vnni", False), ("", False)],
)
def test_bf16_only_where_the_processor_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, flags: str, expected: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: amx_bf16\n")
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "cpuinfo")
    assert multiply_bf16() is expected


def test_an_unknown_processor_has_no_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "absent")
    assert multiply_bf16() is False
