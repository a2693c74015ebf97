"""One attempt at one message: run the step, and turn what it raises into a verdict for the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog

from penstock.database.connection import Database
from penstock.errors import PenstockError, ServiceUnavailable
from penstock.models import Failure, Message
from penstock.pipeline.give_up import give_up
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Bury, Delivery, Done, Handler, Retry, Verdict
from penstock.workers.metrics import observe

log = structlog.get_logger()

Step = Callable[[Any], Awaitable[None]]
"""A step of the pipeline, with all but its message bound."""


def attempting(step: Step, *, policy: RetryPolicy, database: Database, hard_limit: float) -> Handler:
    """The handler of a queue: `step`, under `policy` and for at most `hard_limit` seconds.

    What is given up on fails its File first.
    """

    async def handle(delivery: Delivery) -> Verdict:
        began = time.perf_counter()
        verdict = await _try(partial(_limited, step, hard_limit), delivery, policy)
        if isinstance(verdict, Bury):
            verdict = await _give_up(delivery.message, verdict, policy=policy, database=database)
        observe(delivery.queue, verdict, seconds=time.perf_counter() - began)
        return verdict

    return handle


async def _limited(step: Step, seconds: float, message: Message) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step(message)
    except TimeoutError as error:
        raise TimeoutError(f"the step took longer than {seconds:g} s") from error


async def _try(step: Step, delivery: Delivery, policy: RetryPolicy) -> Verdict:
    if hopeless := policy.after_deaths(delivery.attempt):
        return hopeless
    try:
        await step(delivery.message)
    except Exception as error:  # noqa: BLE001  # whatever it is, the message must get its verdict
        verdict = policy.after(error, delivery.attempt)
        _report(error, delivery, verdict)
        return verdict
    return Done()


async def _give_up(message: Message, verdict: Bury, *, policy: RetryPolicy, database: Database) -> Verdict:
    try:
        await give_up(message, Failure(code=verdict.code, message=verdict.reason), database=database)
    except ServiceUnavailable as error:
        # The row must say `failed` before the message is put aside, so the message comes back.
        return policy.after(error, 1)
    return verdict


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
