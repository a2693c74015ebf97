"""Follow Files until each is settled, by asking what has settled since the last question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from penstock.cli.client import LOOKUP_LIMIT, Client
from penstock.cli.tally import Row, Tally
from penstock.errors import NotFound, PenstockError
from penstock.models import File

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
OVERLAP = timedelta(seconds=2)
"""A File's settling time is taken before its commit, so a File may appear behind one that we saw already."""
QUESTIONS_AT_ONCE = 8
DELETED = "the file was deleted before it was complete"


class Follower:
    """The Files of one batch that are not settled yet; tells a `Row` of each that is, exactly once."""

    def __init__(self, client: Client, batch: UUID, *, tally: Tally, tell: Callable[[Row], None], wait: bool) -> None:
        self._client = client
        self._batch = batch
        self._tally = tally
        self._tell = tell
        self._wait = wait
        self._waiting: dict[UUID, str] = {}
        """Files of this batch that are not settled yet, with their names."""
        self._elsewhere: dict[UUID, tuple[str, str]] = {}
        """Files of other batches that were there already, unfinished: their names and hashes."""
        self._told: set[UUID] = set()
        self._settled_after = datetime.fromtimestamp(0, UTC)

    def handed_in(self, file: File) -> None:
        """Follow a File that this batch has just handed in."""
        self._tally.handed_in += 1
        if not self._wait:
            self._tell(Row.of_file(file))
        elif file.file_id not in self._told:  # a small file may have settled before its upload was answered
            self._waiting[file.file_id] = file.name

    def already_there(self, file: File, sha256: str) -> None:
        """Follow a File that an earlier batch handed in."""
        self._tally.already_there += 1
        if self._wait and not file.status.settled:
            self._elsewhere[file.file_id] = (file.name, sha256)
        elif self._wait:
            self._settle(Row.of_file(file))
        else:
            self._tell(Row.of_file(file))

    def not_handed_in(self, name: str, error: PenstockError, file_id: UUID | None = None) -> None:
        """Tell of a file that did not become a File, or that was deleted before it was complete."""
        self._settle(Row.of_error(name, error, file_id))

    async def follow(self) -> None:
        """Return when all is handed in and settled. Raises `ServiceUnavailable` if Penstock stays away."""
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            # Read before asking: what is handed in meanwhile is for the next question.
            last = self._tally.all_handed_in
            settled, started = self._tally.settled, time.monotonic()
            await self._ask()
            if last and not self._waiting and not self._elsewhere:
                return
            pause = SHORTEST_PAUSE_SECONDS * 2 if self._tally.settled > settled else pause * 1.5
            # Five times as long as the answer took: progress bars are not what a busy server is for.
            pause = min(max(pause, 5 * (time.monotonic() - started)), LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _ask(self) -> None:
        if self._elsewhere:
            await self._ask_elsewhere()
        if not self._tally.handed_in:
            return
        unsettled = set(self._waiting)
        sums = await self._client.batch(self._batch)
        self._tally.sums = sums
        self._tally.clock.sample(time.monotonic(), sums, uploading=not self._tally.all_handed_in)
        async for file in self._client.files(batch=str(self._batch), settled_after=self._settled_after.isoformat()):
            self._settled(file)
        if not sums.unsettled:
            await self._ask_each(unsettled & self._waiting.keys())

    def _settled(self, file: File) -> None:
        if file.settled_at is not None:
            self._settled_after = max(self._settled_after, file.settled_at - OVERLAP)
        if file.file_id in self._told or not file.status.settled:
            return
        self._told.add(file.file_id)
        self._waiting.pop(file.file_id, None)
        self._tally.count(file)
        self._settle(Row.of_file(file))

    async def _ask_each(self, missing: Iterable[UUID]) -> None:
        """Ask one by one for what should be settled but was not among the settled: deleted, or in another order."""
        questions = asyncio.Semaphore(QUESTIONS_AT_ONCE)

        async def ask(file_id: UUID) -> None:
            async with questions:
                await self._ask_one(file_id)

        async with asyncio.TaskGroup() as tasks:
            for file_id in list(missing):
                tasks.create_task(ask(file_id))

    async def _ask_one(self, file_id: UUID) -> None:
        try:
            self._settled(await self._client.file(str(file_id)))
        except NotFound:
            self.not_handed_in(self._waiting.pop(file_id), NotFound(DELETED), file_id)

    async def _ask_elsewhere(self) -> None:
        asked = dict(islice(self._elsewhere.items(), LOOKUP_LIMIT))
        for file_id, file in zip(asked, await self._client.lookup(list(asked.values())), strict=True):
            if file is not None and not file.status.settled:
                # To the end of the line, so that every File has its turn.
                self._elsewhere[file_id] = self._elsewhere.pop(file_id)
                continue
            name, _ = self._elsewhere.pop(file_id)
            await self._tell_elsewhere(file_id, name, file)

    async def _tell_elsewhere(self, file_id: UUID, name: str, file: File | None) -> None:
        try:
            self._settle(Row.of_file(file or await self._client.file(str(file_id))))
        except NotFound:
            self.not_handed_in(name, NotFound(DELETED), file_id)

    def _settle(self, row: Row) -> None:
        self._tally.settle(row)
        self._tell(row)
