"""NATS as the tests see it beside Penstock: how a process dies, how streams are deleted, what is in them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from penstock.models import QUEUES
from penstock.queues.nats import NatsQueues
from penstock.queues.nats_address import nats_address
from penstock.queues.nats_client import STREAM_MISSING, JetStreamError, Nats
from penstock.queues.nats_ledger import ledger_of
from penstock.queues.port import dead_letters_of


async def end_as_a_killed_process_does(queues: NatsQueues, consuming: asyncio.Task[None]) -> None:
    """Cut it off from NATS, so that nothing it does on its way out arrives."""
    nats = queues._wire.nats

    async def nothing(*_: object, **__: object) -> Any:
        raise JetStreamError("the wire is cut", 0)

    nats.request = nothing  # pyright: ignore[reportAttributeAccessIssue]
    if nats._connection is not None:
        await nats._connection.close()
    nats.connection = nothing  # pyright: ignore[reportAttributeAccessIssue]
    consuming.cancel()
    with suppress(asyncio.CancelledError):
        await consuming


async def until_settled() -> None:
    """Until no worker tells NATS what became of a message, or begins one: in between, the model knows too little."""
    while any(map(_settles, asyncio.all_tasks())):
        await asyncio.sleep(0.001)


def _settles(task: asyncio.Task[Any]) -> bool:
    waits_for: Any = task.get_coro()
    while waits_for is not None:
        code = getattr(waits_for, "cr_code", None)
        if code is not None and code.co_name in ("_settle", "_give_back", "_ours", "_alone"):
            return True
        waits_for = getattr(waits_for, "cr_await", None)
    return False


async def ask(url: str, call: str, **parameters: Any) -> dict[str, Any]:
    """One call of JetStream's API, as anybody makes it."""
    nats = Nats(nats_address(url))
    try:
        return await nats.api(call, **parameters)
    finally:
        await nats.close()


async def say(url: str, subject: str, body: bytes) -> bytes:
    """Send something and wait for the answer."""
    nats = Nats(nats_address(url))
    try:
        return (await nats.request(subject, body)).data
    finally:
        await nats.close()


async def forget_streams(url: str) -> None:
    """Delete all streams of an installation."""
    address = nats_address(url)
    for queue in QUEUES:
        name = address.name_of(queue)
        for stream in (name, ledger_of(name), address.name_of(dead_letters_of(queue))):
            await _delete(url, stream)


async def _delete(url: str, stream: str) -> None:
    try:
        await ask(url, f"STREAM.DELETE.{stream}")
    except JetStreamError as error:
        if error.number != STREAM_MISSING:
            raise


async def ledger_entries(url: str, queue: str) -> int:
    """What is kept beside the messages of a queue."""
    stream = ledger_of(nats_address(url).name_of(queue))
    return (await ask(url, f"STREAM.INFO.{stream}"))["state"]["messages"]
