"""What a NATS server says of our streams: whether they are there, and what of their settings can lose work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.models import QUEUES
from penstock.queues.durability import Weakness
from penstock.queues.nats_address import NatsAddress, nats_address
from penstock.queues.nats_client import CONSUMER_MISSING, STREAM_MISSING, JetStreamError, Nats
from penstock.queues.nats_ledger import ledger_of
from penstock.queues.nats_streams import CONSUMER, account_weaknesses, consumer_weaknesses, stream_weaknesses
from penstock.queues.port import dead_letters_of


@dataclass(frozen=True, slots=True)
class NatsLook:
    """What was found."""

    version: str
    messages: int
    missing: tuple[str, ...]
    """Streams that the first role makes when it starts."""
    weak: tuple[Weakness, ...]


async def look_at_nats(url: str, prefix: str = "") -> NatsLook:
    """Make nothing and change nothing. Raises `InvalidSettings` and `ServiceUnavailable`."""
    address = nats_address(url, prefix)
    nats = Nats(address)
    try:
        return await look(nats, address)
    finally:
        await nats.close()


async def look(nats: Nats, address: NatsAddress) -> NatsLook:
    """The same over a connection that there is."""
    connection = await nats.connection()
    weak = [*account_weaknesses(await nats.api("INFO"))]
    missing: list[str] = []
    messages = 0
    for queue in QUEUES:
        name = address.name_of(queue)
        for stream in (name, address.name_of(dead_letters_of(queue)), ledger_of(name)):
            if (found := await _told(nats, f"STREAM.INFO.{stream}")) is None:
                missing.append(stream)
                continue
            weak += stream_weaknesses(stream, found["config"], replicas=address.replicas)
            messages += 0 if stream == ledger_of(name) else found["state"]["messages"]
        if (found := await _told(nats, f"CONSUMER.INFO.{name}.{CONSUMER}")) is not None:
            weak += consumer_weaknesses(name, found["config"])
    version = connection.connected_server_version
    return NatsLook(f"{version.major}.{version.minor}.{version.patch}", messages, tuple(missing), tuple(weak))


async def _told(nats: Nats, call: str) -> dict[str, Any] | None:
    """None for what does not exist."""
    try:
        return await nats.api(call)
    except JetStreamError as error:
        if error.number not in (STREAM_MISSING, CONSUMER_MISSING):
            raise
        return None
