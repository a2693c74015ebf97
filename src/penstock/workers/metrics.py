"""What a Worker counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from penstock.queues.port import Verdict

ATTEMPTS = Counter("penstock_attempts", "Attempts at messages, by what became of them.", ["queue", "verdict"])
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


def observe(queue: str, verdict: Verdict, *, seconds: float) -> None:
    """Count one attempt."""
    ATTEMPTS.labels(queue, type(verdict).__name__.lower()).inc()
    SECONDS.labels(queue).observe(seconds)
