"""The messages on the queues as an AsyncAPI document, as FastStream tells it of its subscribers."""

from __future__ import annotations

from importlib.metadata import version

from faststream.redis import RedisBroker
from faststream.specification import AsyncAPI
from faststream.specification.base import Specification
from pydantic import SecretStr

from penstock.models import QUEUES, Message
from penstock.queues.redis_leases import Leases
from penstock.queues.redis_session import subscribe
from penstock.settings import mask


def document(url: str) -> str:
    """AsyncAPI 3 as JSON, for a broker at `url`, whose secrets are masked."""
    return _specification(url).to_json()


def _specification(url: str) -> Specification:
    broker = RedisBroker(mask(SecretStr(url)))
    for queue in QUEUES:
        # Never connected, so that neither the consumer nor its lease matters.
        subscribe(broker, Leases(None, queue, "any", 1), _deliver, concurrency=1)
    return AsyncAPI(broker, title="Penstock", version=version("penstock"), schema_version="3.0.0").to_specification()


async def _deliver(message: Message, message_id: str) -> None:
    """Documents the handler, and is never called."""
