"""FastStream's brokers for one server, for sentinels and for a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faststream.redis import RedisBroker, RedisClusterBroker, RedisSentinelBroker
from faststream.redis.subscriber.usecases import LogicSubscriber
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from penstock.queues.redis_address import TIMEOUTS, Kind, RedisAddress
from penstock.queues.redis_client import disconnect, options_of_sentinels
from penstock.queues.redis_refusal import came_back_empty

if TYPE_CHECKING:
    from types import TracebackType


class SentinelBroker(RedisSentinelBroker):
    """Closes its connections to the sentinels, too: FastStream 0.7 leaves them open."""

    _client: Any = None

    async def connect(self) -> Any:
        """Connect, unless that is done."""
        self._client = await super().connect()
        return self._client

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Stop, and close all."""
        await super().stop(exc_type, exc_val, exc_tb)
        if self._client is not None:
            await disconnect(self._client)
            self._client = None


def open_broker(address: RedisAddress, **options: Any) -> RedisBroker:
    """A broker that connects when it is started."""
    if address.kind is Kind.SERVER:
        return RedisBroker(address.url, **TIMEOUTS, **options)
    if address.kind is Kind.SENTINEL:
        return SentinelBroker(
            sentinels=address.nodes,
            sentinel_master_name=address.service,
            sentinel_kwargs=options_of_sentinels(address),
            **{**address.options, **options},
        )
    (host, port), *others = address.nodes
    return RedisClusterBroker(f"redis://{host}:{port}", startup_nodes=others, **{**address.options, **options})


def make_patient(subscriber: LogicSubscriber) -> None:
    """Let a refused read wait like one that failed.

    FastStream reads again at once after an answer that is an error, thousands of times a second: while a primary has
    too few replicas (`min-replicas-to-write`), or a cluster is down.
    """
    reading: Any = subscriber
    read = reading._get_msgs  # noqa: SLF001  # the one call between its loop and Redis

    async def patiently(*how: Any) -> None:
        try:
            await read(*how)
        except ResponseError as error:
            if came_back_empty(error):
                raise
            raise RedisConnectionError(str(error)) from error

    reading._get_msgs = patiently  # noqa: SLF001
