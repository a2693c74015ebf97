"""The messages on the queues as an AsyncAPI document, as FastStream tells it of its subscribers."""

from __future__ import annotations

import json
from importlib.metadata import version
from urllib.parse import urlsplit

from faststream.redis import RedisBroker
from faststream.specification import AsyncAPI
from faststream.specification.base import Specification
from pydantic import SecretStr

from penstock.models import QUEUES, Message
from penstock.queues.redis_leases import Leases
from penstock.queues.redis_session import subscribe
from penstock.queues.sqs_address import sqs_address
from penstock.settings import mask

ANY_REDIS = "redis://localhost"


def document(url: str) -> str:
    """AsyncAPI 3 as JSON, for a broker at `url`, whose secrets are masked."""
    if urlsplit(url).scheme != "sqs":
        return _specification(url).to_json()
    # FastStream knows no SQS. Its messages are the same; where they are is not.
    told = json.loads(_specification(ANY_REDIS).to_json())
    address = sqs_address(url)
    host = urlsplit(address.endpoint).netloc if address.endpoint else f"sqs.{address.region or 'REGION'}.amazonaws.com"
    told["servers"] = {"development": {"host": host, "protocol": "sqs"}}
    for queue, channel in told["channels"].items():
        channel["address"] = address.name_of(queue)
        channel["bindings"] = {"sqs": {"queue": {"name": address.name_of(queue), "fifoQueue": False}}}
    return json.dumps(told)


def _specification(url: str) -> Specification:
    broker = RedisBroker(mask(SecretStr(url)))
    for queue in QUEUES:
        # Never connected, so that neither the consumer nor its lease matters.
        subscribe(broker, Leases(None, queue, "any", 1), _deliver, concurrency=1)
    return AsyncAPI(broker, title="Penstock", version=version("penstock"), schema_version="3.0.0").to_specification()


async def _deliver(message: Message, message_id: str, traceparent: str | None) -> None:
    """Documents the handler, and is never called."""
