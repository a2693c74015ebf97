"""The embedded PostgreSQL takes what suits the machine."""

from __future__ import annotations

import pytest

from penstock.local.postgres import memory_bytes, shared_buffers_mb

GIB = 2**30


@pytest.mark.parametrize(("memory", "expected"), [(GIB // 2, 128), (4 * GIB, 512), (64 * GIB, 2048)])
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(memory: int, expected: int) -> None:
    assert shared_buffers_mb(memory) == expected


def test_memory_is_known() -> None:
    assert memory_bytes() > GIB // 4
