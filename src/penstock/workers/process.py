"""The life of a Worker process: start when the services answer, work, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import structlog
import uvloop

from penstock.errors import ServiceUnavailable
from penstock.pipeline.dispatch import Dispatcher
from penstock.pipeline.recover import recover
from penstock.pipeline.sweep import sweep
from penstock.queues.policy import RetryPolicy
from penstock.queues.port import Delivery, Handler, Verdict
from penstock.queues.waiting import wait
from penstock.services import Services, open_services
from penstock.settings import QueueSettings, Settings
from penstock.tasks import beside, cancel
from penstock.work_folders import delete_abandoned_folders
from penstock.workers import metrics
from penstock.workers.attempt import Attempts, Step
from penstock.workers.health import Health
from penstock.workers.outage import Outage

log = structlog.get_logger()

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0


class Role(Protocol):
    """What tells one Worker from the other."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str: ...

    def concurrency(self, settings: Settings) -> int:
        """Messages in work at once that suit this role."""
        ...

    def hard_limit(self, settings: Settings) -> float:
        """Seconds after which an attempt has failed, whatever it does."""
        ...

    def open_step(self, services: Services) -> AbstractAsyncContextManager[Step]:
        """The step with all that it touches, closed with the block."""
        ...


def run(role: Role, settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises `SetupError` where waiting is no use."""
    uvloop.run(_run(role, settings))


async def _run(role: Role, settings: Settings) -> None:
    stop, health = asyncio.Event(), Health(role.name)
    loop = asyncio.get_running_loop()

    def drain() -> None:
        health.draining = True
        stop.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, drain)
    async with _answering(health, settings):
        pause = FIRST_WAIT
        while not stop.is_set():
            try:
                await _work_until_stopped(role, settings, stop, health)
            except ServiceUnavailable as error:
                if pause == FIRST_WAIT:
                    log.warning("waiting for a service", reason=error.message)
                await wait(stop, pause)
                pause = min(2 * pause, LONGEST_WAIT)
    log.info("stopped")


@asynccontextmanager
async def _answering(health: Health, settings: Settings) -> AsyncGenerator[None]:
    """Answer on the Worker's health port, if there is one, while the block runs."""
    if not settings.worker.health_port:
        yield
        return
    from penstock.workers.health_pages import serve_health  # noqa: PLC0415  (a web server, which most Workers do without)

    async with serve_health(health, settings):
        yield


async def _work_until_stopped(role: Role, settings: Settings, stop: asyncio.Event, health: Health) -> None:
    """Who is asked to stop while still starting stops at once: nothing is in work yet."""
    working = asyncio.create_task(_work(role, settings, stop, health))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done() and not health.ready:
        await cancel(working)
        return
    await working


async def _work(role: Role, settings: Settings, stop: asyncio.Event, health: Health) -> None:
    async with open_services(settings, role=role.name) as services, role.open_step(services) as step:
        structlog.contextvars.bind_contextvars(worker=services.worker)
        limit = role.hard_limit(settings)
        attempt = Attempts(step, retry_policy(settings.queue), services.database, Outage(stop), limit)
        handler = waking(attempt, services.dispatcher)
        concurrency = settings.worker.concurrency or role.concurrency(settings)
        metrics.begin(role.queue, services.queues)
        log.info("ready", queue=role.queue, concurrency=concurrency)
        health.ready = True
        try:
            async with services.dispatcher.running(), beside(_recover(services, stop)):
                await services.queues.consume(role.queue, handler, concurrency=concurrency, hard_limit=limit, stop=stop)
        finally:
            health.ready = False


def waking(attempt: Handler, dispatcher: Dispatcher) -> Handler:
    """`attempt`, after which the queue is shorter and may take more."""

    async def handle(delivery: Delivery) -> Verdict:
        try:
            return await attempt(delivery)
        finally:
            dispatcher.wake()

    return handle


def retry_policy(settings: QueueSettings) -> RetryPolicy:
    """The policy that the settings ask for."""
    return RetryPolicy(
        max_attempts=settings.max_attempts, first_delay=settings.retry_seconds, max_delay=settings.lease_seconds
    )


async def _recover(services: Services, stop: asyncio.Event) -> None:
    """Look for lost Files, unclaimed objects and abandoned folders, again and again."""
    while not stop.is_set():
        try:
            if lost := await recover(database=services.database, queues=services.queues):
                metrics.RECOVERED.inc(lost)
                services.dispatcher.wake()
            await sweep(database=services.database, store=services.store)
        except ServiceUnavailable as error:
            log.debug("cannot look for lost files now", reason=error.message)
        await asyncio.to_thread(delete_abandoned_folders)
        await wait(stop, services.settings.worker.recover_seconds)
