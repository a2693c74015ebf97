"""What a Worker counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from penstock.errors import GaveUp, ParserCrashed, ParserMemory, ParserTimeout, PenstockError
from penstock.models import INGEST_QUEUE
from penstock.queues.port import Bury, Done, Queues, Retry, Verdict

ATTEMPTS = Counter("penstock_attempts", "Attempts at messages, by what became of them.", ["queue", "verdict"])
FAILED = Counter("penstock_failed_attempts", "Attempts that ended with an error, by its code.", ["queue", "code"])
SECONDS = Histogram(
    "penstock_attempt_seconds",
    "Duration of an attempt.",
    ["queue"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
RECOVERED = Counter("penstock_recovered_files", "Files announced again because their message was lost.")
TEXTS = Gauge("penstock_embedded_texts", "Texts given to the embedding engine since the start.")
TOKENS = Gauge("penstock_embedded_tokens", "Tokens given to the embedding engine since the start.")
BATCHES = Gauge("penstock_embedding_batches", "Batches given to the embedding engine since the start.")
BUSY = Gauge("penstock_embedding_busy_seconds", "Sum of the durations of the embedding engine's calls.")
CAPACITY = Gauge("penstock_embedding_batch_capacity", "Most tokens of a batch.")
CONCURRENCY = Gauge("penstock_embedding_concurrency", "Calls at once that keep the embedding engine busy.")
LEASES_LOST = Gauge("penstock_leases_lost", "Messages in hand that were found to be another Worker's, since the start.")


def begin(queue: str, queues: Queues) -> None:
    """Count for a Worker of this queue. What may happen is there as 0: of a series that begins with 1, Prometheus
    sees no increase.
    """
    for verdict in (Done, Retry, Bury):
        ATTEMPTS.labels(queue, name_of(verdict))
    if queue == INGEST_QUEUE:
        for death in (ParserCrashed, ParserMemory, ParserTimeout):
            FAILED.labels(queue, death.code)
    LEASES_LOST.set_function(lambda: queues.leases_lost)


def observe(queue: str, verdict: Verdict, *, seconds: float) -> None:
    """Count one attempt."""
    ATTEMPTS.labels(queue, name_of(type(verdict))).inc()
    SECONDS.labels(queue).observe(seconds)


def observe_error(queue: str, error: Exception) -> None:
    """Count what one attempt ended with, under a code of errors.py."""
    FAILED.labels(queue, error.code if isinstance(error, PenstockError) else GaveUp.code).inc()


def name_of(verdict: type[Verdict]) -> str:
    """As a label: done, retry or bury."""
    return verdict.__name__.lower()
