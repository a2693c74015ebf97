"""Messages as JetStream hands them out, and what is kept of their attempts: values, and rules on them.

JetStream counts how often it handed a message out, and it takes a verdict from whoever was ever handed it, however
long ago: a late one would give back, or bury, what another worker is at. So attempts and who makes them stand in a
*ledger* beside the stream, one entry for each message, which is only replaced by who knows its last revision.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

OLD_FORM = 9
"""Tokens of an acknowledgement's subject before servers put their domain and the account into it."""


@dataclass(frozen=True, slots=True)
class Handout:
    """One time that a message was handed out, as the subject of its acknowledgement says it."""

    sequence: int
    """Of the message in its stream."""
    times: int
    """It was handed out so often, with this one."""
    number: int
    """Of this handout, among all of the consumer: later ones are greater."""
    stored_ns: int
    """When the stream got it, since 1970."""

    @property
    def stored_at(self) -> datetime:
        return datetime.fromtimestamp(self.stored_ns / 1e9, UTC)


def handout_of(ack: str) -> Handout:
    """Read `$JS.ACK.stream.consumer.times.sequence.number.nanoseconds.pending`, in its old or its new form."""
    tokens = ack.split(".")
    times, sequence, number, stored = map(int, tokens[4:8] if len(tokens) == OLD_FORM else tokens[6:10])
    return Handout(sequence, times, number, stored)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of a message."""

    stored_ns: int
    """Of the message: a stream that was made anew begins to count at 1 again."""
    began: int = 0
    """Attempts that began and count."""
    ended: int = 0
    """Of them, those up to the last that came to its end."""
    handout: int = 0
    """Who had it last."""
    held: bool = False
    """Whether that one has it still."""
    revision: int = 0
    """0: there is no entry yet."""

    @property
    def suspect(self) -> bool:
        """Whether an attempt ended without a word: the next one has to be made alone."""
        return self.began > self.ended

    def to_json(self) -> bytes:
        told = {
            "stored_ns": self.stored_ns,
            "began": self.began,
            "ended": self.ended,
            "handout": self.handout,
            "held": self.held,
        }
        return json.dumps(told).encode()

    def begun(self, handout: Handout) -> Entry:
        """An attempt begins."""
        return replace(self, began=self.began + 1, handout=handout.number, held=True)

    def claimed(self, handout: Handout) -> Entry:
        """Somebody has it who will begin when he is alone."""
        return replace(self, handout=handout.number, held=True)

    def given_back(self, *, began: bool, counts: bool) -> Entry:
        """Nobody has it; whether an attempt had begun, and whether it counts."""
        if counts:
            return replace(self, ended=self.began, held=False)
        return replace(self, began=self.began - 1 if began else self.began, held=False)


def entry_from(body: bytes, revision: int) -> Entry:
    """What `to_json` wrote."""
    return Entry(**json.loads(body), revision=revision)


@dataclass(frozen=True, slots=True)
class Received:
    """A message in our hands, until its lease ends."""

    handle: str
    """The subject of its acknowledgement: what renews its lease and settles it."""
    body: bytes
    handout: Handout
    entry: Entry
    """Ours, as long as its revision is the last one."""
    began: bool
    """Whether its attempt has begun. A suspect's begins when it is alone."""
    made_at: str
    """When its stream was made: a verdict must not reach another message of the same number."""
    traceparent: str | None = None
    """The context of its trace."""

    @property
    def message_id(self) -> str:
        return str(self.handout.sequence)

    @property
    def attempt(self) -> int:
        """This one's number, from 1."""
        return self.entry.began if self.began else self.entry.began + 1

    @property
    def suspect(self) -> bool:
        return not self.began

    @property
    def published_at(self) -> datetime:
        return self.handout.stored_at
