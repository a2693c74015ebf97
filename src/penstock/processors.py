"""What processors this process may use, and what they can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def available_processors() -> int:
    """Processors that the affinity mask and the container's processor quota leave to this process; at least 1.

    Libraries that start a thread for each processor of a 64-core machine spend a quota of 2 on
    waiting for each other (https://github.com/openvinotoolkit/openvino/issues/37838).
    """
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([visible, *_quotas(CGROUPS, _own_cgroup())]))


def multiply_bf16() -> bool:
    """Whether the processors multiply bfloat16 numbers themselves; where nobody can tell, they do not.

    OpenVINO lists BF16 among the capabilities of every AVX-512 processor, also of those that must
    emulate it and are slower with it than with float32.
    """
    for line in _lines(CPUINFO):
        if line.startswith("flags"):
            return not BF16_FLAGS.isdisjoint(line.split())
    return False


def _own_cgroup() -> str:
    """The path of this process below the root of cgroup v2; `/` in most containers."""
    return next((line.removeprefix("0::") for line in _lines(Path("/proc/self/cgroup")) if line.startswith("0::")), "/")


def _quotas(root: Path, own: str) -> Iterator[int]:
    """Whole processors that each cgroup above this process allows.

    Rounded down: one thread more than the quota runs is enough to have all of them throttled.
    """
    folder = root / own.lstrip("/")
    for limit in (folder, *folder.parents):  # cgroup v2: "200000 100000", or "max 100000"
        if limit.is_relative_to(root):
            yield from _ratio(*_words(limit / "cpu.max"))
    first = root / "cpu"  # cgroup v1: -1 where there is no quota
    yield from _ratio(*_words(first / "cpu.cfs_quota_us"), *_words(first / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    """The lines of one of Linux's files about itself; none where there is no such file."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _ratio(*quota_and_period: str) -> Iterator[int]:
    match quota_and_period:
        case (quota, period) if quota.isdigit() and int(period) > 0:
            yield int(quota) // int(period)
        case _:
            return
