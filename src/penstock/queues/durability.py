"""What on a Redis server can lose work, read from what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

CONFIGURED = ("maxmemory-policy", "appendfsync", "save")
"""What CONFIG GET is asked for, one by one: before Redis 7 it takes no more."""
LITTLE_MEMORY = 0.9
"""Of `maxmemory`: beyond it Redis soon takes no more messages."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """What is wrong, and what to do."""

    problem: str
    advice: str
    loses_messages: bool = False
    """Whether messages vanish in ordinary work, not only when the server ends."""


async def look_at(client: Any, where: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Weakness]]:
    """What the server of an asyncio client says of itself (INFO), and what of that can lose work.

    `where` says which one, in a cluster.
    """
    info: Mapping[str, Any] = await client.info(**where)
    configured: dict[str, Any] = {}
    with suppress(ResponseError):  # managed servers forbid it
        for name in CONFIGURED:
            configured |= await client.config_get(name, **where)
    return info, weaknesses(info, configured)


def weaknesses(info: Mapping[str, Any], configured: Mapping[str, Any]) -> list[Weakness]:
    """From INFO, and from CONFIG GET, which few may ask: then `configured` is empty."""
    return [
        *_eviction(info, configured),
        *_persistence(info, configured),
        *_writing(info),
        *_memory(info),
    ]


def _eviction(info: Mapping[str, Any], configured: Mapping[str, Any]) -> list[Weakness]:
    policy = str(configured.get("maxmemory-policy") or info.get("maxmemory_policy") or "noeviction")
    if policy == "noeviction":
        return []
    return [
        Weakness(
            f"its maxmemory-policy is {policy}: when memory is short it throws messages away",
            "set maxmemory-policy to noeviction",
            loses_messages=True,
        )
    ]


def _persistence(info: Mapping[str, Any], configured: Mapping[str, Any]) -> list[Weakness]:
    appends = bool(info.get("aof_enabled"))
    if not appends and configured.get("save") == "":
        return [
            Weakness(
                "it keeps nothing on the disk: a restart forgets every message and dead letter",
                "set appendonly to yes; without it files wait until they are found again, and dead letters are gone",
            )
        ]
    if not appends:
        perhaps = "" if "save" in configured else ", if it takes any (it does not let us ask)"
        return [
            Weakness(
                f"it keeps snapshots only{perhaps}: a crash forgets the messages and dead letters since the last one",
                "set appendonly to yes",
            )
        ]
    if configured.get("appendfsync") == "no":
        return [Weakness("its appendfsync is no: a power cut may forget half a minute", "set appendfsync to everysec")]
    return []


def _writing(info: Mapping[str, Any]) -> list[Weakness]:
    if info.get("role") in ("slave", "replica"):
        return [
            Weakness(
                "it is a replica, which takes no messages",
                "name the primary in PENSTOCK_QUEUE_URL",
                loses_messages=True,
            )
        ]
    failed = [what for what in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(what) == "err"]
    if failed:
        return [Weakness(f"it could not write to its disk ({', '.join(failed)})", "look at its log and its disk")]
    return []


def _memory(info: Mapping[str, Any]) -> list[Weakness]:
    most, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    if not most or used < LITTLE_MEMORY * most:
        return []
    return [
        Weakness(f"it uses {used:,} of {most:,} bytes of memory", "raise maxmemory, or give it a server of its own")
    ]
