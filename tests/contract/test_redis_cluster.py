"""Redis as a cluster of three nodes: all that is ours lies in one slot, on whichever node has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest
from pydantic import SecretStr
from queue_contract import Recorder, consuming, eventually, eventually_async, request
from real_servers import RunningServer, redis_command
from redis_servers import INSTALLED, PASSWORD, PREFIX, clustered_redis
from refused import problem_with, settings_of

from penstock.errors import ServiceUnavailable
from penstock.models import INGEST_QUEUE
from penstock.queues.port import Bury, Retry
from penstock.queues.redis import RedisQueues
from penstock.settings import QueueSettings

pytestmark = [pytest.mark.slow, INSTALLED]

STREAM = f"{{{PREFIX}}}:{INGEST_QUEUE}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    with clustered_redis(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(scope="module")
def owner(nodes: list[RunningServer]) -> RunningServer:
    """The node with the slot of our keys."""
    slot = int(redis_command(nodes[0].url, "CLUSTER", "KEYSLOT", STREAM))
    return nodes[min(slot // 5461, 2)]


@pytest.fixture
def url(nodes: list[RunningServer], owner: RunningServer) -> str:
    """By another node than the one with our keys."""
    other = next(node for node in nodes if node is not owner)
    return other.url.replace("redis://", f"redis+cluster://penstock:{PASSWORD}@")


async def opened(url: str, worker: str) -> RedisQueues:
    settings = QueueSettings(url=SecretStr(url), prefix=PREFIX, lease_seconds=1)
    queues = RedisQueues(settings, worker=worker, drain_seconds=5)
    await queues.open()
    return queues


async def test_the_life_of_messages(url: str, owner: RunningServer) -> None:
    api, worker = await opened(url, "api"), await opened(url, "worker")
    await api.publish(INGEST_QUEUE, [request(1), request(2), request(3)])
    assert await api.files_on(INGEST_QUEUE) == {UUID(int=1), UUID(int=2), UUID(int=3)}
    await api._client.xreadgroup("penstock", "dead", {STREAM: ">"}, count=1)  # pyright: ignore[reportPrivateUsage]
    recorder = Recorder(verdicts=[Retry(0.1), Bury("gave_up", "It is torn.")], gate=asyncio.Event())
    async with consuming(worker, recorder, concurrency=1):
        await eventually(lambda: recorder.seen)
        begin = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - begin > 1.5)
        assert len(recorder.seen) == 1, "its lease is renewed"
        assert recorder.gate is not None
        recorder.gate.set()
        await eventually_async(lambda: empty(api))
    assert set(recorder.numbers) == {1, 2, 3}, "also what a dead worker held"
    (letter,) = await api.dead_letters(INGEST_QUEUE)
    assert await api.drop(INGEST_QUEUE, letter.dead_letter_id) == letter
    kinds = {"ingest-queue", "ingest-queue-dead-letters", "embedding-queue"}
    assert set(redis_command(owner.url, "KEYS", "*")) == {f"{{{PREFIX}}}:{kind}" for kind in kinds}
    await api.close()
    await worker.close()


# redis-py leaves connections to a node that it takes out of the cluster's picture open (its issue 4053).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("leaks_of_libraries")
async def test_a_node_that_is_killed_and_comes_back(url: str, owner: RunningServer) -> None:
    api, worker = await opened(url, "api"), await opened(url, "worker")
    recorder = Recorder()
    async with consuming(worker, recorder):
        await api.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
        owner.kill()
        with pytest.raises(ServiceUnavailable):
            await api.publish(INGEST_QUEUE, [request(2)])
        owner.start()
        await eventually_async(lambda: published(api, 3), seconds=30)
        await eventually(lambda: 3 in recorder.numbers, seconds=30)
    await api.close()
    await worker.close()


async def test_a_node_of_a_cluster_taken_for_a_server(nodes: list[RunningServer]) -> None:
    assert "let PENSTOCK_QUEUE_URL begin with redis+cluster" in await problem_with(settings_of(nodes[0].url))


async def published(queues: RedisQueues, number: int) -> bool:
    try:
        await queues.publish(INGEST_QUEUE, [request(number)])
    except ServiceUnavailable:
        return False
    return True


async def empty(queues: RedisQueues) -> bool:
    depth = (await queues.depths())[INGEST_QUEUE]
    return depth.waiting == depth.in_flight == 0
