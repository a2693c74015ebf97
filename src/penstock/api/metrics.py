"""/metrics: what Prometheus reads. Of Files and queues it tells what holds at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.models import FileStatus, QueueDepth
from penstock.stages import SECONDS as STAGE_SECONDS

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""From a lookup to an upload of gigabytes."""


class RequestMetrics:
    """Requests that this process answered."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(STAGE_SECONDS)
        Info("penstock_build", "The release that runs.", registry=self.registry).info({"version": version})
        labels = ("method", "route", "status")
        self._requests = Counter("penstock_http_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "penstock_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            labels[:2],
            buckets=SECONDS,
            registry=self.registry,
        )

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps its collectors in a dict
class Snapshot(Collector):
    """Files and queues at one moment; None where the service that knows does not answer."""

    files: Mapping[FileStatus, int] | None
    queues: Mapping[str, QueueDepth] | None

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("penstock_service_up", "1 while the service answers the API.", labels=["service"])
        up.add_metric(["database"], float(self.files is not None))
        up.add_metric(["queue"], float(self.queues is not None))
        yield up
        if self.files is not None:
            yield _files(self.files)
        if self.queues is not None:
            yield from _queues(self.queues)


def _files(counts: Mapping[FileStatus, int]) -> Metric:
    family = GaugeMetricFamily("penstock_files", "Files by status.", labels=["status"])
    for status, count in counts.items():
        family.add_metric([status.value], count)
    return family


def _queues(depths: Mapping[str, QueueDepth]) -> Iterator[Metric]:
    for field, told in QueueDepth.model_fields.items():
        family = GaugeMetricFamily(f"penstock_queue_{field}", told.description or "", labels=["queue"])
        for name, depth in depths.items():
            # No message is 0 seconds old, so that an alert on the age never lacks its series.
            family.add_metric([name], getattr(depth, field) or 0.0)
        yield family


def exposition(requests: RequestMetrics, snapshot: Snapshot) -> bytes:
    """Everything, in Prometheus' text format."""
    now = CollectorRegistry()
    now.register(snapshot)
    return generate_latest(requests.registry) + generate_latest(now)
