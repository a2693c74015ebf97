"""Messages as SQS carries them: what is sent, what is received, and what goes into one request.

SQS counts how often it handed a message out (ApproximateReceiveCount), and nothing of a message can be changed once
it is sent. A message that is to be tried again is therefore sent anew, as a *copy* which carries how many
attempts counted before it, and then deleted. So a count above 1 says one thing only: somebody was handed this
copy and ended without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from penstock.models import Message
from penstock.queues.port import headers_of
from penstock.tracing import TRACEPARENT

MOST_ENTRIES = 10
"""In one request."""
MOST_BYTES = 256 * 1024
"""In one request, and so of one message. AWS has raised its limit since; other servers have not."""
ATTEMPTS, SUSPECT, PUBLISHED_AT = "attempts", "suspect", "published_at"
COUNT = re.compile(r"[0-9]{1,6}")
NO_TEXT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""SQS refuses a message with one of these characters anywhere."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to be sent."""

    body: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Never empty strings: SQS refuses them."""
    delay: int = 0
    """Seconds, at most 900, in which nobody is handed it."""

    @property
    def size(self) -> int:
        """Bytes, as SQS counts them: of the body, and of names, types and values of the attributes."""
        named = sum(len(f"{name}String{value}".encode()) for name, value in self.attributes.items())
        return len(self.body.encode()) + named


@dataclass(frozen=True, slots=True)
class Received:
    """A message in our hands, until its lease ends."""

    message_id: str
    handle: str
    """What SQS wants to be told to renew the lease or delete the message: another one each time it is received."""
    body: str
    attributes: Mapping[str, str]
    sent_at: datetime
    receives: int

    @property
    def attempt(self) -> int:
        """This one's number, from 1."""
        return self.receives + counted_in(self.attributes)

    @property
    def suspect(self) -> bool:
        """Whether an attempt before ended without a word: this one has to be made alone."""
        return self.receives > 1 or SUSPECT in self.attributes

    @property
    def traceparent(self) -> str | None:
        """The context of its trace."""
        return self.attributes.get(TRACEPARENT)

    @property
    def published_at(self) -> datetime:
        """When it was first sent, before all copies."""
        return moment_in(self.attributes, PUBLISHED_AT) or self.sent_at

    def copy(self, *, counts: bool, delay: int = 0) -> Entry:
        """The same message, to be tried again after `delay` seconds; whether this attempt counts.

        One that counts came to its end, so that the message is no suspect any more.
        """
        attributes = {
            ATTEMPTS: str(self.attempt if counts else self.attempt - 1),
            PUBLISHED_AT: self.published_at.isoformat(),
        }
        if self.suspect and not counts:
            attributes[SUSPECT] = "yes"
        if self.traceparent is not None:
            attributes[TRACEPARENT] = self.traceparent
        return Entry(self.body, attributes, delay)


def counted_in(attributes: Mapping[str, str]) -> int:
    """How many attempts an attribute says there were; 0 where it says no such thing."""
    counted = attributes.get(ATTEMPTS, "")
    return int(counted) if COUNT.fullmatch(counted) else 0


def moment_in(attributes: Mapping[str, str], name: str) -> datetime | None:
    """The moment in an attribute; None where there is none, or one of no time zone."""
    try:
        moment = datetime.fromisoformat(attributes[name])
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo else None


def entry_of(queue: str, message: Message) -> Entry:
    """A message that is sent for the first time."""
    return Entry(message.model_dump_json(), headers_of(queue, message))


def received_from(answer: Mapping[str, Any]) -> Received:
    """One message of an answer to ReceiveMessage."""
    system = answer["Attributes"]
    return Received(
        message_id=answer["MessageId"],
        handle=answer["ReceiptHandle"],
        body=answer["Body"],
        attributes={
            name: value["StringValue"]
            for name, value in answer.get("MessageAttributes", {}).items()
            if "StringValue" in value
        },
        sent_at=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC),
        receives=int(system["ApproximateReceiveCount"]),
    )


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """As few requests as SQS allows, in order. A message that is too large for any is alone, for SQS to refuse."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == MOST_ENTRIES or size + entry.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def shortened(entry: Entry) -> Entry:
    """The entry with as much of its body as one message may have. Only a message of somebody else is longer."""
    room = MOST_BYTES - replace(entry, body="").size
    return replace(entry, body=entry.body.encode()[:room].decode(errors="ignore"))


def harmless(text: str) -> str:
    """The text as an attribute may have it: never empty, and each character that SQS refuses replaced."""
    return NO_TEXT.sub("\ufffd", text) or "-"
