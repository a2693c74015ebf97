"""How long each stage of a step takes: fetching, parsing, recording; a metric, and a span where there are traces."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import Histogram

from penstock import tracing

SECONDS = Histogram(
    "penstock_stage_seconds",
    "Duration of a stage of an attempt, whether it succeeds or fails.",
    ["stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)


@contextmanager
def stage(name: str) -> Generator[None]:
    """The block is a stage of the attempt that is made."""
    began = time.perf_counter()
    try:
        with tracing.span(name):
            yield
    finally:
        SECONDS.labels(name).observe(time.perf_counter() - began)
