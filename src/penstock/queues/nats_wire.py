"""The requests to JetStream, in values of ours: streams by our names, found or made; messages taken and settled."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from nats.aio.msg import Msg

from penstock.errors import InvalidSettings, ServiceUnavailable
from penstock.models import Message
from penstock.queues.nats_address import NatsAddress
from penstock.queues.nats_client import (
    ANSWER_SECONDS,
    CONSUMER_MISSING,
    MESSAGE_MISSING,
    SEQUENCE_MISSING,
    STREAM_EXISTS,
    STREAM_MISSING,
    Connection,
    Errors,
    JetStreamError,
    Nats,
    NobodyAnswersError,
)
from penstock.queues.nats_ledger import Ledger, ledger_of
from penstock.queues.nats_messages import Received, handout_of
from penstock.queues.nats_pull import Pull
from penstock.queues.nats_streams import CONSUMER, attempts, consumer, dead_letters, work
from penstock.queues.port import dead_letters_of, headers_of
from penstock.tracing import TRACEPARENT

T = TypeVar("T")

MOST_AT_ONCE = 256
"""Messages under way to the server before its first answer."""
MOST_READ = 10_000
"""Of a longer queue nobody is told the Files: to read it all would take longer than the answer stays true."""
SOON_SECONDS = 0.05
"""Who is told so soon that there is nothing asks again only after so long."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is on a queue and beside it."""

    messages: int
    handed_out: int
    dead_letters: int
    first_at: datetime | None
    """When the oldest message was stored."""


class Wire:
    """All requests of one process to JetStream. Each raises `ServiceUnavailable`."""

    def __init__(self, address: NatsAddress, *, lease_seconds: float) -> None:
        self.nats = Nats(address)
        self._address = address
        self._lease_ns = round(lease_seconds * 1e9)
        self._made_at: dict[str, str] = {}
        self._seen_by: Connection | None = None
        self._making = asyncio.Lock()

    def ledger(self, queue: str) -> Ledger:
        """The attempts at a queue's messages."""
        return Ledger(self.nats, ledger_of(self._address.name_of(queue)))

    async def ensure(self, queue: str) -> str:
        """When the stream of a queue was made, with what belongs to it, which is made where it is missing.

        Looked at once in each connection: a server that comes back may have forgotten everything.
        Raises `InvalidSettings` where a stream of that name is of another kind.
        """
        connection = await self.nats.connection()
        async with self._making:
            if self._seen_by is not connection:
                self._made_at.clear()
                self._seen_by = connection
            if queue not in self._made_at:
                name = self._address.name_of(queue)
                await self._ensure_stream(dead_letters(self._address.name_of(dead_letters_of(queue))))
                await self._ensure_stream(attempts(ledger_of(name)))
                self._made_at[queue] = await self._ensure_stream(work(name))
                await self._ensure_consumer(name)
            return self._made_at[queue]

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Returns when the stream has them all."""
        for start in range(0, len(messages), MOST_AT_ONCE):
            await _all(self._publish(queue, message) for message in messages[start : start + MOST_AT_ONCE])

    async def send(self, queue: str, letter: bytes, *, once: str) -> None:
        """Store a dead letter, one of those that are sent under the same name within two minutes."""
        stream = self._address.name_of(dead_letters_of(queue))
        await self._on(queue, lambda: self.nats.store(stream, letter, {"Nats-Msg-Id": once}))

    async def take(self, queue: str, most: int, *, poll: float) -> list[Received]:
        """At most so many messages, nobody else's for a lease. Waits up to `poll` seconds for the first."""
        made_at = await self.ensure(queue)
        began = time.monotonic()
        name = self._address.name_of(queue)
        found = await self._pull(name, CONSUMER, most, poll=poll, queue=queue)
        if not found and time.monotonic() - began < SOON_SECONDS:
            await asyncio.sleep(SOON_SECONDS)
        ours = await _all(self._ours(queue, message, made_at) for message in found)
        return [received for received in ours if received is not None]

    async def delete(self, queue: str, received: Received) -> None:
        """Forget a message that is done, whoever has it now."""
        await self.forget(queue, received, b"+ACK")

    async def forget(self, queue: str, received: Received, word: bytes) -> None:
        """Take a message from its stream, or one that is gone already, with the word that says why."""
        if await self._answer(queue, received, word):
            await self._on(queue, lambda: self.ledger(queue).forget(received.handout.sequence))

    async def begin_alone(self, queue: str, suspect: Received) -> Received | None:
        """The suspect, whose attempt begins; None where it is another's now, or gone."""
        entry = await self._on(queue, lambda: self.ledger(queue).begin_alone(suspect.handout, suspect.entry))
        return None if entry is None else replace(suspect, entry=entry, began=True)

    async def let_go(self, queue: str, received: Received, *, counts: bool) -> bool:
        """Note that a message is not ours any more, before it is given back or buried; False where it was not."""
        ledger, ours = self.ledger(queue), received.entry
        return await self._on(
            queue, lambda: ledger.give_back(received.handout, ours, began=received.began, counts=counts)
        )

    async def give_back(self, queue: str, received: Received, *, delay: float = 0) -> None:
        """Let whoever is free have a message, which was let go of, after `delay` seconds."""
        word = b"-NAK " + json.dumps({"delay": round(delay * 1e9)}).encode() if delay > 0 else b"-NAK"
        await self._on(queue, lambda: self.ledger(queue).mark(received.handout))
        await self._answer(queue, received, word)

    async def counts(self, queue: str) -> Counts:
        """What is on a queue now."""
        return await self._on(queue, lambda: self._counts(queue))

    async def _counts(self, queue: str) -> Counts:
        name, dead = self._address.name_of(queue), self._address.name_of(dead_letters_of(queue))
        stream, letters, consumer = await _all(
            self.nats.api(call)
            for call in (f"STREAM.INFO.{name}", f"STREAM.INFO.{dead}", f"CONSUMER.INFO.{name}.{CONSUMER}")
        )
        messages, pending = stream["state"]["messages"], consumer["num_ack_pending"]
        waiting = await self.ledger(queue).marks() if pending else 0
        return Counts(
            messages=messages,
            handed_out=max(0, min(messages, pending - waiting)),
            dead_letters=letters["state"]["messages"],
            first_at=datetime.fromisoformat(stream["state"]["first_ts"]) if messages else None,
        )

    async def files(self, queue: str) -> frozenset[UUID] | None:
        """Those that the subjects of its messages name; None where there are too many to be told."""
        return await self._on(queue, lambda: self._files(queue))

    async def _files(self, queue: str) -> frozenset[UUID] | None:
        name = self._address.name_of(queue)
        if (await self.nats.api(f"STREAM.INFO.{name}"))["state"]["messages"] > MOST_READ:
            return None
        state = (await self.nats.api(f"STREAM.INFO.{name}", subjects_filter=f"{name}.*"))["state"]
        files = (_file_of(subject) for subject in state.get("subjects") or ())
        return frozenset(file for file in files if file is not None)

    async def letters(self, queue: str, *, limit: int, after: int) -> list[tuple[int, bytes]]:
        """Dead letters behind a number, and theirs, oldest first."""
        return await self._on(queue, lambda: self._read_letters(queue, limit=limit, after=after))

    async def _read_letters(self, queue: str, *, limit: int, after: int) -> list[tuple[int, bytes]]:
        stream = self._address.name_of(dead_letters_of(queue))
        reader = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": round(2 * ANSWER_SECONDS * 1e9),
        }
        made = await self.nats.api(f"CONSUMER.CREATE.{stream}", stream_name=stream, config=reader)
        try:
            found = await self._pull(stream, made["name"], limit, poll=0, queue=queue)
        finally:
            await self.nats.api(f"CONSUMER.DELETE.{stream}.{made['name']}")
        return [(handout_of(message.reply).sequence, message.data) for message in found]

    async def letter(self, queue: str, number: int) -> bytes | None:
        """One dead letter; None where it is gone."""
        stream = self._address.name_of(dead_letters_of(queue))
        try:
            found = await self._on(queue, lambda: self.nats.api(f"STREAM.MSG.GET.{stream}", seq=number))
        except JetStreamError as error:
            if error.number != MESSAGE_MISSING:
                raise
            return None
        return base64.b64decode(found["message"]["data"])

    async def drop_letter(self, queue: str, number: int) -> bool:
        """Forget a dead letter; False where it is gone already."""
        stream = self._address.name_of(dead_letters_of(queue))
        try:
            await self.nats.api(f"STREAM.MSG.DELETE.{stream}", seq=number, no_erase=True)
        except JetStreamError as error:
            if error.number not in (MESSAGE_MISSING, SEQUENCE_MISSING):
                raise
            return False
        return True

    async def sweep(self, queue: str) -> None:
        """Keep nothing of messages that are gone: a worker may have died between the two."""
        await self.ensure(queue)
        name, ledger = self._address.name_of(queue), self.ledger(queue)
        first = (await self.nats.api(f"STREAM.INFO.{name}"))["state"]["first_seq"]
        for sequence in await ledger.sequences():
            if sequence < first or not await self._exists(name, sequence):
                await ledger.forget(sequence)

    async def close(self) -> None:
        await self.nats.close()

    async def _exists(self, stream: str, sequence: int) -> bool:
        try:
            await self.nats.api(f"STREAM.MSG.GET.{stream}", seq=sequence)
        except JetStreamError as error:
            if error.number != MESSAGE_MISSING:
                raise
            return False
        return True

    async def _publish(self, queue: str, message: Message) -> None:
        # The File stands in the subject, so that which Files are on a queue can be asked without reading it.
        subject = f"{self._address.name_of(queue)}.{message.file_id.hex}"
        body = message.model_dump_json().encode()
        headers = headers_of(queue, message)
        await self._on(queue, lambda: self.nats.store(subject, body, headers))

    async def _ours(self, queue: str, message: Msg, made_at: str) -> Received | None:
        handout = handout_of(message.reply)
        taken = await self._on(queue, lambda: self.ledger(queue).take(handout))
        if taken is None:
            return None
        entry, began = taken
        traceparent = (message.headers or {}).get(TRACEPARENT)
        return Received(message.reply, message.data, handout, entry, began, made_at, traceparent)

    async def _on(self, queue: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask something of a queue's streams. Those that somebody deleted are made anew."""
        await self.ensure(queue)
        try:
            return await ask()
        except NobodyAnswersError:
            self._made_at.pop(queue, None)
        except JetStreamError as error:
            if error.number not in (STREAM_MISSING, CONSUMER_MISSING):
                raise
            self._made_at.pop(queue, None)
        await self.ensure(queue)
        return await ask()

    async def _answer(self, queue: str, received: Received, word: bytes) -> bool:
        """Say what became of a message; False where it is gone with its stream."""
        try:
            if await self.ensure(queue) != received.made_at:
                return False
            await self.nats.request(received.handle, word)
        except NobodyAnswersError:
            self._made_at.pop(queue, None)
            raise
        return True

    async def _pull(self, stream: str, consumer: str, most: int, *, poll: float, queue: str) -> list[Msg]:
        """Messages as soon as there are any, in one answer. `poll` 0: what there is now."""
        asked: dict[str, Any] = {"batch": most, "no_wait": True}
        if poll:  # with both, the server waits for the first message, and only for that
            asked["expires"] = round(poll * 1e9)
        connection = await self.nats.connection()
        pull = Pull(connection, most)
        try:
            await pull.ask(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(asked).encode())
            answered = await pull.answered(poll + ANSWER_SECONDS)
        except Errors as error:
            raise ServiceUnavailable(f"The queue does not answer: {error}") from error
        finally:
            await pull.end()
        if not answered:
            self._made_at.pop(queue, None)  # somebody may have deleted it
        if answered or (poll and pull.found):
            return pull.found
        raise ServiceUnavailable(f"The queue does not answer: {pull.problem}.")

    async def _ensure_stream(self, config: dict[str, Any]) -> str:
        name = config["name"]
        try:
            told = await self.nats.api(f"STREAM.INFO.{name}")
        except JetStreamError as error:
            if error.number != STREAM_MISSING:
                raise
            told = await self._make_stream(config | {"num_replicas": self._address.replicas})
        there = told["config"]
        if there["retention"] != config["retention"] or not set(config["subjects"]) <= set(there.get("subjects", ())):
            raise InvalidSettings(
                f"The stream {name} exists and is another kind of stream: Penstock needs one with the retention "
                f"{config['retention']} and the subject {config['subjects'][0]}. "
                "Delete it, or name another prefix in PENSTOCK_QUEUE_URL."
            )
        return told["created"]

    async def _make_stream(self, config: dict[str, Any]) -> dict[str, Any]:
        name = config["name"]
        try:
            return await self.nats.api(f"STREAM.CREATE.{name}", **config)
        except JetStreamError as error:
            if error.number != STREAM_EXISTS:
                raise
        return await self.nats.api(f"STREAM.INFO.{name}")  # somebody was faster

    async def _ensure_consumer(self, stream: str) -> None:
        try:
            config = (await self.nats.api(f"CONSUMER.INFO.{stream}.{CONSUMER}"))["config"]
            if config["ack_wait"] == self._lease_ns:
                return
        except JetStreamError as error:
            if error.number != CONSUMER_MISSING:
                raise
            config = consumer()
        config = config | {"ack_wait": self._lease_ns}  # the lease that the settings say, as on every broker
        await self.nats.api(f"CONSUMER.DURABLE.CREATE.{stream}.{CONSUMER}", stream_name=stream, config=config)


async def _all(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All answers, in order. Where one raises, the others come to their end before."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return cast("list[T]", answers)


def _file_of(subject: str) -> UUID | None:
    """None for what is no message of ours: its delivery makes a dead letter of it."""
    try:
        return UUID(hex=subject.rpartition(".")[2])
    except ValueError:
        return None
