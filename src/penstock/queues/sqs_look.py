"""What `penstock doctor` asks SQS: whether the queues are there, and can be used as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass

from penstock.models import QUEUES
from penstock.queues.port import dead_letters_of
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_wire import Wire

LEAST_KEPT_SECONDS = 24 * 3600
"""Messages that wait longer are lost; the rows announce them again, but dead letters are gone then."""
SETTINGS = ("MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")


@dataclass(frozen=True, slots=True)
class SqsLook:
    """What was found."""

    where: str
    messages: int
    missing: tuple[str, ...]
    """Queues that the first role makes when it starts, if it may."""
    problems: tuple[str, ...]


async def look_at_sqs(url: str, prefix: str) -> SqsLook:
    """Make nothing and change nothing. Raises `InvalidSettings` and `ServiceUnavailable`."""
    address = sqs_address(url, prefix)
    wire = Wire(address, poll_seconds=0, most_receives=1)
    try:
        names = [name for queue in QUEUES for name in (queue, dead_letters_of(queue))]
        missing = tuple([address.name_of(name) for name in names if await wire.find(name) is None])
        if missing:
            return SqsLook(_where(address.region, address.endpoint), 0, missing, ())
        problems: list[str] = []
        messages = 0
        for name in names:
            messages += (await wire.counts(name)).total
            problems += _problems(address.name_of(name), await wire.attributes(name, *SETTINGS), works=name in QUEUES)
        return SqsLook(_where(address.region, address.endpoint), messages, (), tuple(problems))
    finally:
        await wire.close()


def _where(region: str | None, endpoint: str | None) -> str:
    return f"SQS at {endpoint}" if endpoint else f"SQS in {region or 'the region of the environment'}"


def _problems(name: str, settings: dict[str, str], *, works: bool) -> list[str]:
    problems: list[str] = []
    if int(settings["MessageRetentionPeriod"]) < LEAST_KEPT_SECONDS:
        problems.append(f"{name} keeps messages for {settings['MessageRetentionPeriod']} s only")
    if int(settings["DelaySeconds"]):
        problems.append(f"{name} holds each message back for {settings['DelaySeconds']} s")
    if works and "maxReceiveCount" not in json.loads(settings.get("RedrivePolicy", "{}")):
        problems.append(f"{name} has no redrive policy: what kills each worker at once comes back for ever")
    return problems
