"""The one place that forms batches: texts of all callers in one pool, cut by token budget.

    callers ──embed()──▶ pool ──next_batch()──▶ engine, at most `engine.concurrency` calls at once
                                                  │
    callers ◀───────── one outcome a text ────────┘

Nothing waits for a batch to fill: whenever the engine has a call to spare, it gets what is there, so
a lone text goes at once and a flood goes in full batches. After text-embeddings-inference's queue.

A call that fails for a reason nobody foresaw is halved until the texts at fault are known: only who
asked for those gets the error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from penstock.embedding.port import Embedded, EmbeddingEngine
from penstock.errors import ServiceUnavailable


@dataclass(frozen=True, slots=True)
class PendingText:
    """A text that waits for the engine."""

    text: str
    tokens: int


def next_batch(pending: Iterable[PendingText], *, tokens: int, texts: int) -> list[PendingText]:
    """The next batch of `pending`, which comes oldest first: at most `tokens` tokens and `texts` texts, longest first.

    Strictly in order of age, so that no caller starves behind others' shorter texts. The oldest text
    always goes, even where it alone is over the budget.
    """
    batch: list[PendingText] = []
    budget = tokens
    for item in pending:
        budget -= item.tokens
        if batch and (budget < 0 or len(batch) >= texts):
            break
        batch.append(item)
    return sorted(batch, key=lambda item: -item.tokens)


@dataclass(frozen=True, slots=True)
class BatcherCounts:
    """What went through a batcher since it began, and what waits now."""

    texts: int = 0
    """Given to the engine; equal texts that waited together count once."""
    tokens: int = 0
    batches: int = 0
    failed_batches: int = 0
    busy_seconds: float = 0.0
    """Sum of the engine calls' durations; calls that overlap count each."""
    waiting_texts: int = 0
    waiting_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Failed:
    """A text on which the engine itself fails, and how."""

    error: Exception


_Outcome = Embedded | _Failed


@dataclass(slots=True)
class _Job:
    """One text of the pool, and how many callers want it."""

    pending: PendingText
    outcome: asyncio.Future[Embedded]
    callers: int = 0


class Batcher:
    """Embeds for many callers at once. All calls must come from one event loop."""

    def __init__(self, engine: EmbeddingEngine, *, batch_tokens: int, batch_texts: int = 2048) -> None:
        self._engine = engine
        self._batch_tokens = batch_tokens
        self._batch_texts = batch_texts
        self._waiting: dict[str, _Job] = {}
        """By text, oldest first."""
        self._running: dict[str, _Job] = {}
        self._calls: set[asyncio.Task[list[_Outcome]]] = set()
        self._counts = BatcherCounts()

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, unless one text has more."""
        return self._batch_tokens

    @property
    def counts(self) -> BatcherCounts:
        waiting = [job.pending.tokens for job in self._waiting.values()]
        return replace(self._counts, waiting_texts=len(waiting), waiting_tokens=sum(waiting))

    async def embed(self, texts: Sequence[str], token_counts: Sequence[int]) -> list[Embedded]:
        """What became of each text, in the order given.

        Raises what the engine raised for one of these texts, or `ServiceUnavailable` for a batch with one
        of them in it; other callers' texts go on. A caller that is cancelled takes back its texts, except
        those that others want too.
        """
        jobs = [self._enter(text, tokens) for text, tokens in zip(texts, token_counts, strict=True)]
        self._start_calls()
        try:
            return await _outcomes(jobs)
        finally:
            for job in jobs:
                self._leave(job)

    async def close(self) -> None:
        """Ends what is under way; callers that still wait get `ServiceUnavailable`."""
        _fail(self._waiting.values(), ServiceUnavailable("The embedding engine was closed"))
        self._waiting.clear()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _enter(self, text: str, tokens: int) -> _Job:
        job = self._running.get(text) or self._waiting.get(text)
        if job is None:
            job = _Job(PendingText(text, tokens), asyncio.get_running_loop().create_future())
            self._waiting[text] = job
        job.callers += 1
        return job

    def _leave(self, job: _Job) -> None:
        job.callers -= 1
        if job.callers == 0 and self._waiting.get(job.pending.text) is job:
            del self._waiting[job.pending.text]

    def _start_calls(self) -> None:
        while self._waiting and len(self._calls) < self._engine.concurrency:
            pending = (job.pending for job in self._waiting.values())
            self._start_call(next_batch(pending, tokens=self._batch_tokens, texts=self._batch_texts))

    def _start_call(self, batch: list[PendingText]) -> None:
        jobs = [self._waiting.pop(item.text) for item in batch]
        self._running.update((job.pending.text, job) for job in jobs)
        call = asyncio.create_task(self._embed([item.text for item in batch]))
        self._calls.add(call)
        call.add_done_callback(partial(self._finish_call, jobs, time.perf_counter()))

    async def _embed(self, texts: list[str]) -> list[_Outcome]:
        """What became of each text; raises what is the fault of none of them."""
        try:
            embedded = await self._engine.embed_documents(texts)
            if len(embedded) != len(texts):
                raise RuntimeError(f"the engine answered {len(texts)} texts with {len(embedded)} vectors")
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # whatever an engine trips over, it may be one text's fault
            if len(texts) == 1:
                return [_Failed(error)]
            middle = len(texts) // 2
            return [*await self._embed(texts[:middle]), *await self._embed(texts[middle:])]
        return [*embedded]

    def _finish_call(self, jobs: list[_Job], started: float, call: asyncio.Task[list[_Outcome]]) -> None:
        self._calls.discard(call)
        for job in jobs:
            del self._running[job.pending.text]
        failure = ServiceUnavailable("The embedding engine was closed") if call.cancelled() else call.exception()
        outcomes = [] if failure else call.result()
        failed = failure is not None or any(isinstance(outcome, _Failed) for outcome in outcomes)
        self._count(jobs, seconds=time.perf_counter() - started, failed=failed)
        if failure is None:
            _settle(jobs, outcomes)
        else:
            _fail(jobs, failure)
        self._start_calls()

    def _count(self, jobs: list[_Job], *, seconds: float, failed: bool) -> None:
        so_far = self._counts
        self._counts = replace(
            so_far,
            texts=so_far.texts + len(jobs),
            tokens=so_far.tokens + sum(job.pending.tokens for job in jobs),
            batches=so_far.batches + 1,
            failed_batches=so_far.failed_batches + failed,
            busy_seconds=so_far.busy_seconds + seconds,
        )


async def _outcomes(jobs: list[_Job]) -> list[Embedded]:
    """The outcomes when all are there, or the first failure.

    `wait`, unlike `gather`, does not cancel what other callers want too.
    """
    if jobs:
        done, _ = await asyncio.wait({job.outcome for job in jobs}, return_when=asyncio.FIRST_EXCEPTION)
        for outcome in done:
            outcome.result()
    return [job.outcome.result() for job in jobs]


def _settle(jobs: list[_Job], outcomes: list[_Outcome]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, _Failed):
            _fail([job], outcome.error)
        else:
            job.outcome.set_result(outcome)


def _fail(jobs: Iterable[_Job], failure: BaseException) -> None:
    for job in jobs:
        job.outcome.set_exception(failure)
        job.outcome.exception()  # marks it as seen: its callers may all have left
