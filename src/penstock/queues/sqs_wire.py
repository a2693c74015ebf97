"""The requests to SQS, in values of ours: queues by our names, found or made; batches; errors.

botocore waits in threads: a request takes milliseconds, or is the one long poll of a queue.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.errors import ServiceUnavailable
from penstock.models import QUEUES
from penstock.queues.port import dead_letters_of
from penstock.queues.sqs_address import SqsAddress
from penstock.queues.sqs_client import EXISTS, MISSING, Errors, code_of, connect
from penstock.queues.sqs_messages import MOST_ENTRIES, Entry, Received, batches, received_from

THREADS = 16
KEPT_SECONDS = 14 * 24 * 3600
"""The longest that SQS keeps a message."""
SEND_TRIES = 3
"""SQS may take some of a batch and have a bad moment with the others."""
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


class NoSuchQueueError(Exception):
    """It never existed, or somebody deleted it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages SQS thinks are on a queue: it may take a minute to know."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


class Wire:
    """All requests of one process to SQS. Each raises `ServiceUnavailable`."""

    def __init__(
        self,
        address: SqsAddress,
        *,
        poll_seconds: int,
        most_receives: int,
        makes_queues: bool = True,
        worker: str = "",
    ) -> None:
        self._address = address
        self._makes_queues = makes_queues
        self._most_receives = most_receives
        self._client = connect(address, connections=THREADS, worker=worker)
        self._poller = connect(address, connections=THREADS, poll_seconds=poll_seconds, worker=worker)
        """It waits longer for an answer, and does not ask twice: what the first answer brought would be hidden."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sqs")
        self._urls: dict[str, str] = {}
        self._making = asyncio.Lock()
        self._to_delete: dict[str, list[tuple[str, asyncio.Future[None]]]] = {}
        self._deleting: dict[str, asyncio.Task[None]] = {}

    async def find(self, queue: str) -> str | None:
        """The URL of a queue; None where it does not exist."""
        try:
            return (await self._call("get_queue_url", QueueName=self._address.name_of(queue)))["QueueUrl"]
        except NoSuchQueueError:
            return None

    async def ensure(self, queue: str) -> str:
        """The URL of a queue, which is made where it does not exist."""
        async with self._making:
            if queue not in self._urls:
                self._urls[queue] = await self.find(queue) or await self._make(queue)
            return self._urls[queue]

    async def send(self, queue: str, entries: Sequence[Entry]) -> None:
        """Returns when SQS has them all."""
        for batch in batches(entries):
            await self._send(queue, batch)

    async def receive(self, queue: str, most: int, *, lease: int, poll: int) -> list[Received]:
        """At most so many messages, 10 or less, which nobody else is handed for `lease` seconds.

        Waits up to `poll` seconds for the first.
        """
        answer = await self._on(
            queue,
            "receive_message",
            MaxNumberOfMessages=min(most, MOST_ENTRIES),
            VisibilityTimeout=lease,
            WaitTimeSeconds=poll,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        return [received_from(message) for message in answer.get("Messages", [])]

    async def delete(self, queue: str, handle: str) -> None:
        """Forget a message, or one that is gone already. What comes while a request is under way shares the next."""
        done = asyncio.get_running_loop().create_future()
        self._to_delete.setdefault(queue, []).append((handle, done))
        if queue not in self._deleting:
            self._deleting[queue] = asyncio.create_task(self._delete_all(queue))
        await done

    async def renew(self, queue: str, handles: Sequence[str], seconds: int) -> set[str]:
        """Let leases end in `seconds`, 0: now. Those of `handles` that are not ours any more."""
        lost: set[str] = set()
        for start in range(0, len(handles), MOST_ENTRIES):
            batch = handles[start : start + MOST_ENTRIES]
            entries = [
                {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
                for at, handle in enumerate(batch)
            ]
            answer = await self._on(queue, "change_message_visibility_batch", Entries=entries)
            lost |= {batch[int(failed["Id"])] for failed in answer.get("Failed", []) if failed["SenderFault"]}
        return lost

    async def counts(self, queue: str) -> Counts:
        """What is on a queue."""
        attributes = await self.attributes(queue, *COUNTS)
        return Counts(*(int(attributes[name]) for name in COUNTS))

    async def attributes(self, queue: str, *names: str) -> dict[str, str]:
        """What SQS says of a queue, of what was asked and is set."""
        return (await self._on(queue, "get_queue_attributes", AttributeNames=list(names))).get("Attributes", {})

    async def close(self) -> None:
        """Waits for no request that is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        self._poller.close()

    async def _make(self, queue: str) -> str:
        if not self._makes_queues:
            raise ServiceUnavailable(f"There is no queue {self._address.name_of(queue)}.") from NoSuchQueueError()
        attributes = {"MessageRetentionPeriod": str(KEPT_SECONDS)}
        if queue in QUEUES:
            dead = dead_letters_of(queue)
            if dead not in self._urls:
                self._urls[dead] = await self.find(dead) or await self._make(dead)
            asked = await self._call("get_queue_attributes", QueueUrl=self._urls[dead], AttributeNames=["QueueArn"])
            redrive = {
                "deadLetterTargetArn": asked["Attributes"]["QueueArn"],
                "maxReceiveCount": str(self._most_receives),
            }
            attributes["RedrivePolicy"] = json.dumps(redrive)
        name = self._address.name_of(queue)
        try:
            return (await self._call("create_queue", QueueName=name, Attributes=attributes))["QueueUrl"]
        except ServiceUnavailable as error:
            if code_of(error.__cause__) not in EXISTS:
                raise
        return (await self._call("get_queue_url", QueueName=name))[
            "QueueUrl"
        ]  # somebody was faster, and does it otherwise

    async def _send(self, queue: str, batch: Sequence[Entry]) -> None:
        left = {str(at): entry for at, entry in enumerate(batch)}
        problem = ""
        for _ in range(SEND_TRIES):
            entries = [_to_send(entry_id, entry) for entry_id, entry in left.items()]
            failed = (await self._on(queue, "send_message_batch", Entries=entries)).get("Failed", [])
            left = {entry["Id"]: left[entry["Id"]] for entry in failed}
            if not left:
                return
            problem = f"{failed[0]['Code']}: {failed[0].get('Message', '')}"
        raise ServiceUnavailable(f"The queue {self._address.name_of(queue)} does not take messages: {problem}")

    async def _delete_all(self, queue: str) -> None:
        waiting = self._to_delete[queue]
        try:
            while batch := waiting[:MOST_ENTRIES]:
                del waiting[:MOST_ENTRIES]
                await self._delete_batch(queue, batch)
        finally:
            del self._deleting[queue]

    async def _delete_batch(self, queue: str, batch: Sequence[tuple[str, asyncio.Future[None]]]) -> None:
        entries = [{"Id": str(at), "ReceiptHandle": handle} for at, (handle, _) in enumerate(batch)]
        problems: dict[int, Exception] = {}
        try:
            answer = await self._on(queue, "delete_message_batch", Entries=entries)
        except Exception as error:  # noqa: BLE001  # whatever it is, who waits for it is told
            problems = dict.fromkeys(range(len(batch)), error)
        else:
            for failed in answer.get("Failed", []):
                if not failed["SenderFault"]:  # else the handle is of no message any more
                    problems[int(failed["Id"])] = ServiceUnavailable(f"The queue did not delete: {failed['Code']}")
        for at, (_, done) in enumerate(batch):
            if done.done():  # whoever waited was cancelled
                continue
            if at in problems:
                done.set_exception(problems[at])
            else:
                done.set_result(None)

    async def _on(self, queue: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of one queue. One that somebody deleted is made anew."""
        try:
            return await self._call(operation, QueueUrl=await self.ensure(queue), **parameters)
        except NoSuchQueueError:
            self._urls.clear()
        try:
            return await self._call(operation, QueueUrl=await self.ensure(queue), **parameters)
        except NoSuchQueueError as error:
            raise ServiceUnavailable(f"The queue {self._address.name_of(queue)} is gone.") from error

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        client = self._poller if parameters.get("WaitTimeSeconds") else self._client
        call = partial(getattr(client, operation), **parameters)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except Errors as error:
            if code_of(error) in MISSING:
                raise NoSuchQueueError from error
            raise ServiceUnavailable(f"The queue does not answer: {error}") from error


def _to_send(entry_id: str, entry: Entry) -> dict[str, Any]:
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in entry.attributes.items()}
    return {"Id": entry_id, "MessageBody": entry.body, "DelaySeconds": entry.delay, "MessageAttributes": attributes}
