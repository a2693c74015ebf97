"""What a Worker counts: verdicts, the errors that attempts ended with, and leases that were lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from penstock.errors import ParserCrashed, ParserMemory, ParserTimeout, ServiceUnavailable
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, IngestRequest
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Delivery, Done, Queues, Retry
from penstock.stages import stage
from penstock.workers import metrics
from penstock.workers.attempt import Attempts
from penstock.workers.outage import Outage

DEATHS = (ParserCrashed, ParserMemory, ParserTimeout)


@dataclass
class OnlyCounts:
    """Queues of which only the count of lost leases is asked."""

    leases_lost: int = 0


def counted(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def failed(code: str) -> float:
    return counted("penstock_failed_attempts_total", queue=INGEST_QUEUE, code=code) or 0.0


async def attempt(error: Exception | None) -> object:
    """The verdict on a first attempt that ends with `error`."""

    async def step(_: Any) -> None:
        if error is not None:
            raise error

    message = IngestRequest(file_id=uuid4(), generation=1)
    delivery = Delivery(INGEST_QUEUE, message, attempt=1, published_at=datetime.now(UTC), worker="ingester")
    no_database = cast("Any", None)  # nothing is given up on
    return await Attempts(step, RetryPolicy(), no_database, Outage(asyncio.Event()), hard_limit=60)(delivery)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        *((death(), death.code) for death in DEATHS),
        (ServiceUnavailable(), "service_unavailable"),
        (ZeroDivisionError(), "gave_up"),
    ],
)
async def test_an_attempt_that_ends_with_an_error_is_counted_under_its_code(error: Exception, code: str) -> None:
    before = failed(code)
    assert isinstance(await attempt(error), Retry)
    assert failed(code) == before + 1


async def test_an_attempt_that_succeeds_is_no_failed_one() -> None:
    def all_failed() -> float:
        samples = [sample for family in metrics.FAILED.collect() for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name.endswith("_total"))

    before = all_failed()
    assert await attempt(None) == Done()
    assert all_failed() == before


def test_what_may_happen_is_there_before_it_does() -> None:
    """Prometheus sees no increase from nothing to 1: the first parser that dies would not be one."""
    queues = OnlyCounts()
    metrics.FAILED.clear()  # another test of this process may have counted
    for queue in (INGEST_QUEUE, EMBEDDING_QUEUE):
        metrics.begin(queue, cast("Queues", queues))
        for verdict in ("done", "retry", "bury"):
            assert counted("penstock_attempts_total", queue=queue, verdict=verdict) is not None
    for death in DEATHS:
        assert counted("penstock_failed_attempts_total", queue=INGEST_QUEUE, code=death.code) is not None
        assert counted("penstock_failed_attempts_total", queue=EMBEDDING_QUEUE, code=death.code) is None


def test_a_stage_is_measured_also_when_it_fails() -> None:
    def measured() -> float:
        return counted("penstock_stage_seconds_count", stage="ingest.parse") or 0.0

    before = measured()
    with pytest.raises(ParserCrashed), stage("ingest.parse"):
        raise ParserCrashed
    with stage("ingest.parse"):
        pass
    assert measured() == before + 2


def test_the_leases_that_the_queues_found_lost_are_told() -> None:
    queues = OnlyCounts()
    metrics.begin(INGEST_QUEUE, cast("Queues", queues))
    assert counted("penstock_leases_lost") == 0
    queues.leases_lost = 3
    assert counted("penstock_leases_lost") == 3
