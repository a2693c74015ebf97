"""Clients of Redis, for a Worker and for its heartbeat: one server, by sentinels, or a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.retry
import redis.sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from penstock.queues.redis_address import TIMEOUTS, Kind, RedisAddress

Errors = (RedisError, RedisClusterException, OSError)
"""All that a command raises when Redis does not do it. Those of a cluster are no RedisError."""


def connect(address: RedisAddress) -> Any:
    """An asyncio client, which connects when it is first asked. Close it with `disconnect`."""
    if address.kind is Kind.SERVER:
        return redis.asyncio.Redis.from_url(address.url, **TIMEOUTS)  # pyright: ignore[reportUnknownMemberType]  # **kwargs
    if address.kind is Kind.SENTINEL:
        sentinels: Any = redis.asyncio.sentinel.Sentinel(
            address.nodes, sentinel_kwargs=options_of_sentinels(address), **address.options
        )
        return sentinels.master_for(address.service)
    nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in address.nodes]
    return redis.asyncio.cluster.RedisCluster(startup_nodes=nodes, **address.options)


def connect_blocking(address: RedisAddress) -> Any:
    """The same for a process without an event loop. The client of a cluster connects at once."""
    if address.kind is Kind.SERVER:
        return redis.Redis.from_url(address.url, **TIMEOUTS)  # pyright: ignore[reportUnknownMemberType]  # **kwargs
    if address.kind is Kind.SENTINEL:
        once = {"retry": redis.retry.Retry(NoBackoff(), 0)}
        sentinels: Any = redis.sentinel.Sentinel(
            address.nodes, sentinel_kwargs={**address.sentinel_options, **once}, **address.options
        )
        return sentinels.master_for(address.service)
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in address.nodes]
    return redis.cluster.RedisCluster(startup_nodes=nodes, **address.options)


def options_of_sentinels(address: RedisAddress) -> dict[str, Any]:
    """Of asyncio connections to them. Each is asked once: where it does not answer, the next one does."""
    return {**address.sentinel_options, "retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}


async def disconnect(client: Any) -> None:
    """Close a client of `connect` or of FastStream, with its connections to the sentinels."""
    await client.aclose()
    if (sentinels := sentinels_of(client)) is not None:
        await sentinels.aclose()


def sentinels_of(client: Any) -> Any:
    """redis-py's `Sentinel` behind a client; None where there is none."""
    return getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)


@asynccontextmanager
async def connected(address: RedisAddress) -> AsyncGenerator[Any]:
    """A client, while the block runs."""
    client = connect(address)
    try:
        yield client
    finally:
        await disconnect(client)


async def node_of(client: Any, key: str) -> dict[str, Any]:
    """The argument that sends a command without a key to the server of this one."""
    if not isinstance(client, redis.asyncio.cluster.RedisCluster):
        return {}
    cluster: Any = client
    await cluster.initialize()
    return {"target_nodes": cluster.get_node_from_key(key)}
