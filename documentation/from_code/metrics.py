"""Every metric that a role counts, from the registries that `/metrics` reads."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from from_code.marks import code, table
from penstock.api.metrics import RequestMetrics, Snapshot
from penstock.models import QUEUES, FileStatus, QueueDepth
from penstock.workers import metrics as of_workers

SUFFIXES = {"counter": "_total", "info": "_info"}
"""What the text format adds to a name."""


def tables() -> str:
    """A table for the API, and one for the Workers."""
    api = [*RequestMetrics("0").registry.collect(), *_snapshot().collect()]
    assert of_workers.ATTEMPTS  # imported: its metrics are in the registry
    return (
        f"### Of the API\n\n{_table(api)}\n"
        f"### Of the Workers\n\nBoth Workers show all of them, each for its own queue; those of the engine stay 0 in "
        f"an Ingester.\n\n"
        f"{_table(REGISTRY.collect())}"
    )


def _snapshot() -> Snapshot:
    nothing = QueueDepth(waiting=0, in_flight=0, dead_letters=0, oldest_seconds=None)
    return Snapshot(dict.fromkeys(FileStatus, 0), dict.fromkeys(QUEUES, nothing))


def _table(families: Iterable[Metric]) -> str:
    ours = [family for family in families if family.name.startswith("penstock_")]
    rows = [(code(each.name + SUFFIXES.get(each.type, "")), each.type, each.documentation) for each in ours]
    return table(("metric", "type", "meaning"), rows)
