"""The streams and the consumer that we make, and what of those that are there can lose work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.queues.durability import LITTLE_MEMORY, Weakness

CONSUMER = "penstock"
MOST_WAITING = 4_096
"""Workers that wait for a message at once."""


def work(name: str) -> dict[str, Any]:
    """A stream that keeps each message until it is acknowledged, and refuses new ones rather than to lose old ones."""
    return _kept(name, f"{name}.*") | {"retention": "workqueue"}


def dead_letters(name: str) -> dict[str, Any]:
    """A stream that keeps everything until it is dropped."""
    return _kept(name, name)


def attempts(name: str) -> dict[str, Any]:
    """A stream that keeps the last word on each subject."""
    return _kept(name, f"{name}.>") | {"max_msgs_per_subject": 1}


def _kept(name: str, subject: str) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": [subject],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_consumers": -1,
    }


def consumer() -> dict[str, Any]:
    """Hands out each message to one at a time, as often as it takes: when that is enough, our own policy says."""
    return {
        "durable_name": CONSUMER,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "max_deliver": -1,
        # What waits to be tried again is pending, too: a bound would let it hold up everything else.
        "max_ack_pending": -1,
        "max_waiting": MOST_WAITING,
    }


def stream_weaknesses(name: str, config: Mapping[str, Any], *, replicas: int) -> Iterator[Weakness]:
    """What in the settings of a stream can lose what is on it."""
    if config["storage"] != "file":
        yield Weakness(
            f"{name} is kept in memory: a restart forgets it", f"make {name} with storage file", loses_messages=True
        )
    if config["max_age"]:
        yield Weakness(
            f"{name} forgets what is older than {config['max_age'] / 1e9:,.0f} s",
            f"set max_age of {name} to 0",
            loses_messages=True,
        )
    limits = [limit for limit in ("max_msgs", "max_bytes") if config.get(limit, -1) > 0]
    if config["discard"] != "new" and limits:
        yield Weakness(
            f"{name} throws the oldest away beyond its {' and '.join(limits)}",
            f"set discard of {name} to new",
            loses_messages=True,
        )
    if config.get("max_msgs_per_subject", -1) > 0 and config["subjects"] != attempts(name)["subjects"]:
        yield Weakness(
            f"{name} keeps only some messages of each subject, which is a File",
            f"set max_msgs_per_subject of {name} to -1",
            loses_messages=True,
        )
    if config["num_replicas"] < replicas:
        yield Weakness(
            f"{name} has {config['num_replicas']} replicas and not {replicas}",
            f"set num_replicas of {name} to {replicas}",
        )


def consumer_weaknesses(stream: str, config: Mapping[str, Any]) -> Iterator[Weakness]:
    """What in the settings of the consumer can keep a message from being worked on."""
    if config["ack_policy"] != "explicit":
        yield Weakness(
            f"the consumer {CONSUMER} of {stream} takes messages for done that are not",
            f"delete the consumer {CONSUMER} of {stream}: it is made anew",
            loses_messages=True,
        )
    if config.get("max_deliver", -1) > 0:
        yield Weakness(
            f"the consumer {CONSUMER} of {stream} gives a message up after {config['max_deliver']} times",
            f"set max_deliver of {CONSUMER} to -1",
            loses_messages=True,
        )
    if config.get("max_ack_pending", -1) > 0:
        yield Weakness(
            f"the consumer {CONSUMER} of {stream} hands out only {config['max_ack_pending']:,} messages at once, "
            "those among them that wait to be tried again",
            f"set max_ack_pending of {CONSUMER} to -1",
        )


def account_weaknesses(account: Mapping[str, Any]) -> Iterator[Weakness]:
    """What of the account's room for files is left."""
    most, used = account["limits"]["max_storage"], account["storage"]
    if most > 0 and used >= LITTLE_MEMORY * most:
        yield Weakness(
            f"{used:,} of {most:,} bytes of the account's storage are used: soon it takes no more messages",
            "raise the account's limit, or drop dead letters",
        )
