"""The ledger of one queue on NATS: attempts, and who makes them, each entry replaced in one piece or not at all."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass, replace

from penstock.queues.nats_client import MESSAGE_MISSING, WRONG_SEQUENCE, JetStreamError, Nats
from penstock.queues.nats_messages import Entry, Handout, entry_from

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
TRIES = 4
"""Another may write between our look and our word, once or twice."""


def ledger_of(stream: str) -> str:
    """The stream that holds the attempts at the messages of another."""
    return f"{stream}-attempts"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Entries, and marks of what was given back and not handed out again, by the number of the message."""

    nats: Nats
    stream: str
    """The ledger's own."""

    async def take(self, handout: Handout) -> tuple[Entry, bool] | None:
        """Our entry, and whether the attempt has begun; None where the message is another's now.

        It has not where an attempt before ended without a word: it is ours, and waits for `begin_alone`.
        """
        # Whose first handout this is nobody else has written of: to look would be a round trip for each message.
        found = Entry(handout.stored_ns) if handout.times == 1 else await self.read(handout)
        for _ in range(TRIES):
            if found.handout > handout.number:
                return None
            taken = found.claimed(handout) if found.suspect else found.begun(handout)
            if written := await self._replace(handout, found, taken):
                if found.revision and not found.held:
                    await self._unmark(handout)
                return written, not found.suspect
            found = await self.read(handout)
        return None

    async def begin_alone(self, handout: Handout, claimed: Entry) -> Entry | None:
        """Our entry with an attempt more; None where the message is another's now, or gone."""
        return await self._replace(handout, claimed, claimed.begun(handout))

    async def give_back(self, handout: Handout, ours: Entry, *, began: bool, counts: bool) -> bool:
        """Let go of a message; False where it is another's now, or gone. May be said again."""
        if await self._replace(handout, ours, ours.given_back(began=began, counts=counts)):
            return True
        found = await self.read(handout)
        return found.handout == handout.number and not found.held  # we had said so, and the answer was lost

    async def holds(self, handout: Handout) -> bool:
        """Whether this is still who has the message."""
        found = await self.read(handout)
        return found.held and found.handout == handout.number

    async def mark(self, handout: Handout) -> None:
        """Note that the message waits to be handed out again. It only counts: a mark that is missing harms nothing."""
        await self.nats.store(f"{self.stream}.{handout.sequence}.returned", b"")

    async def marks(self) -> int:
        """How many messages wait to be handed out again."""
        return len(await self._subjects(f"{self.stream}.*.returned"))

    async def sequences(self) -> set[int]:
        """The messages that something is kept of."""
        return {int(subject.split(".")[1]) for subject in await self._subjects(f"{self.stream}.*.*")}

    async def forget(self, sequence: int) -> None:
        """Keep nothing of a message."""
        await self.nats.api(f"STREAM.PURGE.{self.stream}", filter=f"{self.stream}.{sequence}.>")

    async def read(self, handout: Handout) -> Entry:
        """The entry of a message, or an empty one."""
        subject = self._entry(handout)
        try:
            found = (await self.nats.api(f"STREAM.MSG.GET.{self.stream}", last_by_subj=subject))["message"]
        except JetStreamError as error:
            if error.number != MESSAGE_MISSING:
                raise
            return Entry(handout.stored_ns)
        entry = entry_from(base64.b64decode(found["data"]), found["seq"])
        # What another message of the same number left, in a stream that was made before this one, is no entry.
        same = entry.stored_ns == handout.stored_ns
        return entry if same else Entry(handout.stored_ns, revision=entry.revision)

    async def _replace(self, handout: Handout, known: Entry, by: Entry) -> Entry | None:
        """The new entry, unless somebody has written since `known`."""
        try:
            sequence = await self.nats.store(self._entry(handout), by.to_json(), {EXPECTED: str(known.revision)})
        except JetStreamError as error:
            if error.number != WRONG_SEQUENCE:
                raise
            return None
        return replace(by, revision=sequence)

    async def _unmark(self, handout: Handout) -> None:
        await self.nats.api(f"STREAM.PURGE.{self.stream}", filter=f"{self.stream}.{handout.sequence}.returned")

    async def _subjects(self, pattern: str) -> Collection[str]:
        state = (await self.nats.api(f"STREAM.INFO.{self.stream}", subjects_filter=pattern))["state"]
        return state.get("subjects") or ()

    def _entry(self, handout: Handout) -> str:
        return f"{self.stream}.{handout.sequence}.entry"
