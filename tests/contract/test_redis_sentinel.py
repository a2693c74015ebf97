"""Redis behind sentinels, real ones: a primary that is killed in the middle of work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from queue_contract import Recorder, consuming, eventually, eventually_async, request
from redis_servers import INSTALLED, PASSWORD, PREFIX, Watched, watched_redis
from refused import problem_with, settings_of

from penstock.errors import ServiceUnavailable
from penstock.models import INGEST_QUEUE
from penstock.queues.port import Delivery, Done, Verdict
from penstock.queues.redis import RedisQueues
from penstock.queues.redis_leases import GROUP
from penstock.settings import QueueSettings

pytestmark = [pytest.mark.slow, INSTALLED]

LEASE = 6.0
"""Longer than the failover, so that no other worker may have what this one works on."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_redis(tmp_path_factory.mktemp("watched")) as servers:
        yield servers


async def test_sentinels_that_do_not_know_us_or_the_service(watched: Watched) -> None:
    stranger = watched.url.replace(f"sentinel_password={PASSWORD}", "sentinel_password=wrong")
    assert "sentinel_username and sentinel_password" in await problem_with(settings_of(stranger))
    unknown = watched.url.replace("/primary/", "/secondary/")
    assert "No master found for 'secondary'" in await problem_with(settings_of(unknown), ServiceUnavailable)


# asyncio of Python 3.11 leaves the socket of a handshake in which the primary dies to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("leaks_of_libraries")
async def test_a_failover_in_the_middle_of_work_loses_nothing_and_keeps_the_leases(watched: Watched) -> None:
    api, slow, quick = [await opened(watched.url, worker) for worker in ("api", "slow", "quick")]
    await api.publish(INGEST_QUEUE, [request(1)])
    working, idle, ages = Slow(gate=asyncio.Event()), Recorder(), list[int]()

    async def renewed() -> bool:
        ages.append(await age_of_lease(api, "slow"))
        return ages[-1] < max(ages)

    async with consuming(slow, working):
        await eventually(lambda: working.numbers == [1])
        async with consuming(quick, idle):
            await eventually_async(lambda: asyncio.to_thread(watched.is_settled))
            old = watched.primary()
            old.kill()
            await eventually_async(lambda: published(api, 2), seconds=30)
            assert watched.primary() is not old
            await eventually(lambda: 2 in working.numbers + idle.numbers, seconds=30)
            await eventually_async(renewed)
            assert working.gate is not None
            working.gate.set()
            await eventually_async(lambda: empty(api), seconds=30)
    assert sorted(working.numbers + idle.numbers) == [1, 2], "its lease was renewed on the new primary"
    for queues in (api, slow, quick):
        await queues.close()


class Slow(Recorder):
    """Works on the first message until its gate opens."""

    async def __call__(self, delivery: Delivery) -> Verdict:
        if delivery.message.file_id.int == 1:
            return await super().__call__(delivery)
        self.seen.append(delivery)
        return Done()


async def opened(url: str, worker: str) -> RedisQueues:
    settings = QueueSettings(url=SecretStr(url), prefix=PREFIX, lease_seconds=LEASE)
    queues = RedisQueues(settings, worker=worker, drain_seconds=5)
    await queues.open()
    return queues


async def published(queues: RedisQueues, number: int) -> bool:
    """As the dispatcher does: until somebody takes it."""
    try:
        await queues.publish(INGEST_QUEUE, [request(number)])
    except ServiceUnavailable:
        return False
    return True


async def age_of_lease(queues: RedisQueues, worker: str) -> int:
    """Of what the worker holds, in milliseconds since it was last renewed."""
    stream = f"{PREFIX}:{INGEST_QUEUE}"
    held: list[dict[str, Any]] = await queues._client.xpending_range(stream, GROUP, "-", "+", 10, worker)  # pyright: ignore[reportPrivateUsage]
    return held[0]["time_since_delivered"]


async def empty(queues: RedisQueues) -> bool:
    try:
        depth = (await queues.depths())[INGEST_QUEUE]
    except ServiceUnavailable:
        return False
    return depth.waiting == depth.in_flight == 0
