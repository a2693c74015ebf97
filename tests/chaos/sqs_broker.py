"""SQS under the fault suite: moto's, over HTTP, which keeps everything in memory."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import botocore.session  # pyright: ignore[reportMissingTypeStubs]
import httpx
from real_servers import RunningServer, free_port

from chaos.broker import MOST_AGAIN, Broker, Held, ServerFault
from penstock.local.program import Program
from penstock.models import QUEUES
from penstock.queues.port import dead_letters_of

SERVER = Path(__file__).with_name("sqs_server.py")
REGION, PREFIX = "us-east-1", "chaos"
LOOK_SECONDS = 5.0
"""What was lost is looked for so often."""


@dataclass(frozen=True)
class Shown:
    """A message, as the server tells of it."""

    queue: str
    id: str
    body: str
    attributes: Mapping[str, Any]
    holder: str
    """The user agent of who was handed it last; empty for nobody."""
    handle: str
    in_flight: bool


class SqsBroker(Broker):
    """SQS, as an emulator has it."""

    name = "SQS"
    heartbeat = "penstock.queues.sqs_heartbeat"
    has_clock = False
    away = (httpx.TransportError,)
    left_out: ClassVar[Mapping[str, str]] = {
        "kill -9 of Redis": "nobody can kill SQS, and the emulator, killed, loses all: see *SQS restarted empty*",
        "FLUSHALL": "see *all messages purged*",
        "Redis restarted empty": "see *SQS restarted empty*",
        "Redis restarted from an old copy": "SQS has no backup that somebody could restore",
        "clock jumps of Redis' machine": "the clock of SQS is nobody's to set; the others still jump",
    }

    def __init__(self, folder: Path, *, counts_late_seconds: float) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        program = Program((sys.executable, str(SERVER), str(port)))
        self.server = RunningServer(url, program, lambda _: self._answers(), folder / "sqs.log")
        self._late = counts_late_seconds
        session: Any = botocore.session.Session()
        self._sqs = session.create_client(
            "sqs", region_name=REGION, endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret"
        )

    @property
    def target(self) -> tuple[str, int]:
        host, _, port = self.server.url.removeprefix("http://").partition(":")
        return host, int(port)

    def url(self, port: int) -> str:
        return f"sqs://{REGION}/{PREFIX}?endpoint=http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"PENSTOCK_QUEUE_COUNTS_LATE_SECONDS": str(self._late), "AWS_EC2_METADATA_DISABLED": "true"}

    @property
    def recovery_seconds(self) -> float:
        """Each Worker has to see an empty queue twice, and so long apart."""
        return self._late + 3 * LOOK_SECONDS

    @property
    def faults(self) -> tuple[ServerFault, ...]:
        return (
            ServerFault("all messages purged", self._lose_all, weight=2, loses=True),
            ServerFault("the queues deleted and made again", self._delete_queues, weight=2, loses=True),
            ServerFault("SQS frozen", self._freeze, weight=2),
            ServerFault("SQS restarted empty", self._restart_empty, weight=2, loses=True),
        )

    def empty(self) -> bool:
        purged = [self._sqs.purge_queue(QueueUrl=self._queue_url(queue)) for queue in self._there()]
        return bool(purged)

    def _lose_all(self, *_: object) -> bool:
        return self.empty()

    def messages(self) -> int:
        return len(self._look())

    def held_by(self, pid: int) -> Held:
        held = Held()
        for message in self._look():
            if f"-{pid}-" in message.holder and message.in_flight:
                held.holders.add(message.holder)
                held.left.setdefault(message.queue, {})[message.id] = message.body
        return held

    def look_again(self, held: Held) -> None:
        there = self._look()
        theirs = {message.id for message in there if message.holder in held.holders}
        given_back = {message.body for message in there if not message.holder}  # a copy that nobody has been handed
        for left in held.left.values():
            for message_id, body in list(left.items()):
                if message_id not in theirs and body not in given_back:
                    del left[message_id]

    def publish_again(self, chance: random.Random) -> int:
        messages = self._look()[:MOST_AGAIN]
        for message in chance.sample(messages, len(messages)):
            self._send(message)
        return len(messages)

    def give_to_two(self) -> bool:
        """One message twice in one request; and one that a Worker holds is let go of, so that another is handed it."""
        there = self._look()
        for queue in QUEUES:
            here = [message for message in there if message.queue == queue]
            for message in here[:1]:
                self._send(message, times=2)
            for message in [message for message in here if message.in_flight][:1]:
                self._let_go_of(message)
        return bool(there)

    def _freeze(self, _: random.Random, outage: Callable[[], None]) -> bool:
        """It accepts connections and never answers."""
        self.server.pause()
        outage()
        self.server.resume()
        return True

    def _restart_empty(self, _: random.Random, outage: Callable[[], None]) -> bool:
        self.server.kill()
        outage()
        self.server.start()
        return True

    def _delete_queues(self, chance: random.Random, outage: Callable[[], None]) -> bool:
        """By somebody who makes them again half of the times, without what we would set; else a Worker makes them."""
        there = self._there()
        by_hand = chance.random() < 0.5
        for queue in there:
            for name in (queue, dead_letters_of(queue)):
                self._sqs.delete_queue(QueueUrl=self._queue_url(name))
                if by_hand:
                    self._sqs.create_queue(QueueName=f"{PREFIX}-{name}")
        outage()
        return bool(there)

    def _there(self) -> list[str]:
        """Those of our queues that exist, with their dead letters: after a restart a Worker has to make them first."""
        urls = self._sqs.list_queues().get("QueueUrls", [])
        names = {url.rpartition("/")[2] for url in urls}
        return [queue for queue in QUEUES if {f"{PREFIX}-{queue}", f"{PREFIX}-{dead_letters_of(queue)}"} <= names]

    def _queue_url(self, queue: str) -> str:
        return self._sqs.get_queue_url(QueueName=f"{PREFIX}-{queue}")["QueueUrl"]

    def _send(self, message: Shown, *, times: int = 1) -> None:
        entry = {"MessageBody": message.body, "MessageAttributes": message.attributes}
        entries = [{"Id": str(number), **entry} for number in range(times)]
        self._sqs.send_message_batch(QueueUrl=self._queue_url(message.queue), Entries=entries)

    def _let_go_of(self, message: Shown) -> None:
        entry = {"Id": "0", "ReceiptHandle": message.handle, "VisibilityTimeout": 0}
        self._sqs.change_message_visibility_batch(QueueUrl=self._queue_url(message.queue), Entries=[entry])

    def _look(self) -> list[Shown]:
        """The messages on both queues, without the dead letters."""
        answer = httpx.get(f"{self.server.url}/chaos/messages", timeout=10, trust_env=False).raise_for_status()
        shown = [Shown(**{**told, "queue": told["queue"].removeprefix(f"{PREFIX}-")}) for told in answer.json()]
        return [message for message in shown if message.queue in QUEUES]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.server.url}/chaos/messages", trust_env=False).is_success
        except httpx.TransportError:
            return False
