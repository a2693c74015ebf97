"""The messages on the queues as an AsyncAPI document, as FastStream tells it of its subscribers."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from faststream.redis import RedisBroker
from faststream.specification import AsyncAPI
from faststream.specification.base import Specification

from penstock.models import QUEUES, Message
from penstock.queues.nats_address import NatsAddress, nats_address
from penstock.queues.redis_address import redis_address
from penstock.queues.redis_leases import Leases
from penstock.queues.redis_session import subscribe
from penstock.queues.sqs_address import SqsAddress, sqs_address
from penstock.settings import Broker, QueueSettings, broker_of, mask

ANY_REDIS = "redis://localhost"


def document(settings: QueueSettings) -> str:
    """AsyncAPI 3 as JSON, for the broker that these settings name. Secrets are masked."""
    url = settings.url.get_secret_value()
    match broker_of(url):
        case Broker.REDIS:
            key_of = redis_address(url, settings.prefix).key_of
            account, at, _ = urlsplit(shown := mask(settings.url)).netloc.rpartition("@")
            return _specification(shown.replace(account + at, "", 1), key_of).to_json()
        case Broker.SQS:
            return json.dumps(_on_sqs(sqs_address(url, settings.prefix)))
        case Broker.NATS:
            return json.dumps(_on_nats(nats_address(url, settings.prefix)))


def _on_sqs(address: SqsAddress) -> dict[str, Any]:
    """FastStream knows no SQS. Its messages are the same; where they are is not."""
    told = json.loads(_specification(ANY_REDIS, str).to_json())
    host = urlsplit(address.endpoint).netloc if address.endpoint else f"sqs.{address.region or 'REGION'}.amazonaws.com"
    told["servers"] = {"development": {"host": host, "protocol": "sqs"}}
    for queue, channel in told["channels"].items():
        channel["address"] = address.name_of(queue)
        channel["bindings"] = {"sqs": {"queue": {"name": address.name_of(queue), "fifoQueue": False}}}
    return told


def _on_nats(address: NatsAddress) -> dict[str, Any]:
    """What consumes there is ours, and not FastStream's."""
    told = json.loads(_specification(ANY_REDIS, str).to_json())
    told["servers"] = {
        f"server-{number}": {"host": urlsplit(server).netloc, "protocol": "nats"}
        for number, server in enumerate(address.servers, start=1)
    }
    for queue, channel in told["channels"].items():
        channel["address"] = f"{address.name_of(queue)}.{{file_id}}"
        channel["parameters"] = {"file_id": {"description": "The File, as 32 hexadecimal digits."}}
        channel["servers"] = [{"$ref": f"#/servers/{name}"} for name in told["servers"]]
        channel["bindings"] = {"nats": {}}
    return told


def _specification(shown: str, key_of: Callable[[str], str]) -> Specification:
    broker = RedisBroker(ANY_REDIS, specification_url=shown)
    for queue in QUEUES:
        # Never connected, so that neither the consumer nor its lease matters.
        subscribe(broker, Leases(None, queue, key_of(queue), "any", 1), _deliver, concurrency=1)
    return AsyncAPI(broker, title="Penstock", version=version("penstock"), schema_version="3.0.0").to_specification()


async def _deliver(message: Message, message_id: str, traceparent: str | None) -> None:
    """Documents the handler, and is never called."""
