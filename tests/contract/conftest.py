"""Servers that several contracts share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from redis_servers import SecureRedis, secure_redis


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """A Redis with TLS and rights. One test at a time uses it, and leaves its user as it was."""
    with secure_redis(tmp_path_factory.mktemp("secure")) as server:
        yield server


@pytest.fixture
def leaks_of_libraries() -> Iterator[None]:
    """Collects at the end of the test what a library leaves open, so that its warning meets no other test."""
    yield
    gc.collect()
