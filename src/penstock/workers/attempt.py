"""One attempt at one message: run the step, and turn what it raises into a verdict for the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import structlog

from penstock import tracing
from penstock.database.connection import Database
from penstock.errors import PenstockError, ServiceUnavailable
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, EmbedRequest, Failure, Message
from penstock.pipeline.give_up import give_up
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Bury, Delivery, Done, Retry, Verdict
from penstock.workers.metrics import name_of, observe, observe_error
from penstock.workers.outage import Outage

log = structlog.get_logger()

Step = Callable[[Any], Awaitable[None]]
"""A step of the pipeline, with all but its message bound."""
STEPS = {INGEST_QUEUE: "ingest", EMBEDDING_QUEUE: "embed"}
"""What an attempt is called in traces, by its queue."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """How a Worker tries its messages."""

    step: Step
    policy: RetryPolicy
    database: Database
    outage: Outage
    hard_limit: float
    """Seconds after which an attempt has failed."""

    async def __call__(self, delivery: Delivery) -> Verdict:
        """The handler of a queue. What is given up on fails its File first."""
        began = time.perf_counter()
        with _traced(delivery):
            verdict = await self._verdict(delivery)
            if isinstance(verdict, Bury):
                verdict = await self._give_up(delivery.message, verdict)
            code = {"code": verdict.code} if isinstance(verdict, Bury) else {}
            tracing.note(verdict=name_of(type(verdict)), **code)
        observe(delivery.queue, verdict, seconds=time.perf_counter() - began)
        return verdict

    async def _verdict(self, delivery: Delivery) -> Verdict:
        if hopeless := self.policy.after_deaths(delivery.attempt):
            return hopeless
        await self.outage.pause()
        tried_at = time.monotonic()
        try:
            await self._run(delivery.message)
        except ServiceUnavailable as error:
            _note_error(delivery, error)
            log.debug("waits for a service", file_id=str(delivery.message.file_id), reason=error.message)
            return self._wait_for(error, tried_at)
        except Exception as error:  # noqa: BLE001  # whatever it is, the message must get its verdict
            if isinstance(error, PenstockError):  # else who knows what it was waiting for
                self.outage.succeeded()
            _note_error(delivery, error)
            verdict = self.policy.after(error, delivery.attempt)
            _report(error, delivery, verdict)
            return verdict
        self.outage.succeeded()
        return Done()

    async def _run(self, message: Message) -> None:
        limit = asyncio.timeout(self.hard_limit)
        try:
            async with limit:
                await self.step(message)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"the step took longer than {self.hard_limit:g} s") from error

    def _wait_for(self, error: ServiceUnavailable, tried_at: float) -> Retry:
        return self.policy.wait(error, self.outage.failed(error, tried_at=tried_at))

    async def _give_up(self, message: Message, verdict: Bury) -> Verdict:
        tried_at = time.monotonic()
        try:
            await give_up(message, Failure(code=verdict.code, message=verdict.reason), database=self.database)
        except ServiceUnavailable as error:
            # The row must say `failed` before the message is put aside, so the message comes back.
            return self._wait_for(error, tried_at)
        return verdict


def _traced(delivery: Delivery) -> AbstractContextManager[None]:
    message = delivery.message
    return tracing.attempting(
        STEPS[delivery.queue],
        message.file_id,
        message.generation,
        traceparent=delivery.traceparent,
        attempt=delivery.attempt,
        worker=delivery.worker,
        **({"chunks": len(message.chunk_ids)} if isinstance(message, EmbedRequest) else {}),
    )


def _note_error(delivery: Delivery, error: Exception) -> None:
    observe_error(delivery.queue, error)
    tracing.fail(error)


def _report(error: Exception, delivery: Delivery, verdict: Verdict) -> None:
    """Say what will be tried again; a File that fails says so itself, in `give_up`."""
    if not isinstance(error, PenstockError):
        log.error("unexpected error", exc_info=error, file_id=str(delivery.message.file_id), queue=delivery.queue)
    elif isinstance(verdict, Retry):
        log.warning(
            "trying again",
            file_id=str(delivery.message.file_id),
            attempt=delivery.attempt,
            seconds=round(verdict.delay, 1),
            code=error.code,
            reason=error.message,
        )
