"""Move work from the rows to the queues, a little at a time and in fair order.

The rows are the backlog: a File that asks for a step *waits* there (`announced_at is null`) from the commit
that asks for it. `dispatch` puts on a queue only as much as its workers will take within seconds, so that a
million Files fill no broker's memory, and whoever comes later need not wait behind them: the next message
is that of whose turn it is, batch by batch, and now and then that of the newest File.

Why so, and what it costs: docs/decisions/0018-rows-are-the-backlog.md.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import structlog

from penstock.database import turns
from penstock.database.connection import Database, Rows, do_not_wait_for_disk
from penstock.database.embeddings import settle
from penstock.database.turns import Announced, WaitingFile
from penstock.errors import ServiceUnavailable
from penstock.failpoints import reach
from penstock.models import (
    EMBEDDING_QUEUE,
    INGEST_QUEUE,
    MAX_CHUNKS_PER_MESSAGE,
    EmbedRequest,
    IngestRequest,
    QueueDepth,
)
from penstock.queues.port import Queues
from penstock.queues.waiting import wait
from penstock.tasks import beside

log = structlog.get_logger()

LEAST_WAITING = {INGEST_QUEUE: 16, EMBEDDING_QUEUE: 4}
"""Messages that may wait on a queue even where no worker has shown itself. One of 64 Chunks is a second's work for a
processor: whoever hands in a single file waits behind all of them.
"""
WAITING_FOR_EACH_IN_FLIGHT = {INGEST_QUEUE: 2, EMBEDDING_QUEUE: 1}
"""More workers, a longer queue: what waits is gone within so many times the time of one message, and a little."""
NEWEST_EVERY = 4
"""One message in so many is that of the newest File."""
PAUSE_SECONDS = 0.05
"""Between two looks at the queues, on the average, however often they are asked for."""
LOOKS_AT_ONCE = 4
"""So many may follow each other without a pause after a quiet time: a single file meets none on its way."""
LOOK_SECONDS = 5.0
"""Look at least so often: a process may have died between its commit and its dispatch."""


def room(queue: str, depth: QueueDepth) -> int:
    """How many messages a queue may take now. None until a quarter is free: a look for each single one is too dear."""
    most = LEAST_WAITING[queue] + WAITING_FOR_EACH_IN_FLIGHT[queue] * depth.in_flight
    free = most - depth.waiting
    return free if free >= most / 4 else 0


async def dispatch(*, database: Database, queues: Queues) -> int:
    """Fill both queues as far as they have room; how many messages were sent.

    A process that dies between commit and publish leaves Files that count as announced and are on no
    queue: `recover` lets them wait again. Raises `ServiceUnavailable`.
    """
    waits = await _anything_waits(database)
    depths = await queues.depths() if any(waits.values()) else {}
    sent = 0
    if waits[EMBEDDING_QUEUE] and (free := room(EMBEDDING_QUEUE, depths[EMBEDDING_QUEUE])):
        sent += await _dispatch_chunks(free, database=database, queues=queues)
    if waits[INGEST_QUEUE] and (free := room(INGEST_QUEUE, depths[INGEST_QUEUE])):
        sent += await _dispatch_files(free, database=database, queues=queues)
    return sent


async def _anything_waits(database: Database) -> dict[str, bool]:
    """Mostly nothing does: one look at the rows is all that a queue which got shorter costs then."""
    async with database.statement() as rows:
        return await turns.anything_waits(rows)


async def _dispatch_files(free: int, *, database: Database, queues: Queues) -> int:
    newest = free // NEWEST_EVERY
    async with database.transaction() as rows:
        taken = await turns.take_ingest_turns(rows, limit=free - newest, newest=newest)
        if taken:
            await do_not_wait_for_disk(rows)  # where that they are announced is lost, they are announced again
    reach("dispatch.files_taken")
    if taken:
        messages = [IngestRequest(file_id=file_id, generation=generation) for file_id, generation in taken]
        await queues.publish(INGEST_QUEUE, messages)
        reach("dispatch.files_published")
    return len(taken)


async def _dispatch_chunks(free: int, *, database: Database, queues: Queues) -> int:
    async with database.transaction() as rows:
        messages = await _take_chunks(rows, free)
    reach("dispatch.chunks_taken")
    if messages:
        await queues.publish(EMBEDDING_QUEUE, messages)
        reach("dispatch.chunks_published")
    return len(messages)


async def _take_chunks(rows: Rows, free: int) -> list[EmbedRequest]:
    """The next messages, in turn; their Chunks count as announced from now on."""
    shares = share(await turns.wait_to_be_embedded(rows, limit=free), free)
    if not shares:
        return []
    found = await turns.chunks_to_announce(
        rows, {file: messages * MAX_CHUNKS_PER_MESSAGE for file, messages in shares.items()}
    )
    announced = [_announced(file, found[file.file_id], most=most) for file, most in shares.items()]
    reached = max((file.turn for file in shares if not file.newest), default=0.0)
    await turns.announce_chunks(rows, announced, reached=reached)
    finished = [file for file in shares if not found[file.file_id] and file.announced_index < 0 and not file.early]
    for file in finished:
        await _settle(rows, file)
    if not finished:
        await do_not_wait_for_disk(rows)  # as above; that a File is complete must not be lost
    return [message for file in shares for message in _messages(file, [id_ for id_, _ in found[file.file_id]])]


def share(waiting: Sequence[WaitingFile], free: int) -> dict[WaitingFile, int]:
    """How many messages each File may send: always the one whose turn is first, whose turn then moves on by one."""
    newest = [file for file in waiting if file.newest]
    shares = {file: min(_messages_left(file), max(1, free // NEWEST_EVERY)) for file in newest}
    free -= sum(shares.values())
    line = [(file.turn, at, file) for at, file in enumerate(waiting) if not file.newest]
    heapq.heapify(line)
    while line and free > 0:
        turn, at, file = heapq.heappop(line)
        shares[file] = shares.get(file, 0) + 1
        free -= 1
        if shares[file] < _messages_left(file):
            heapq.heappush(line, (turn + 1, at, file))
    return shares


def _messages_left(file: WaitingFile) -> int:
    left = file.chunk_count - 1 - file.announced_index
    if file.early:  # what does not fill a message waits for what comes
        return left // MAX_CHUNKS_PER_MESSAGE
    return max(1, -(-left // MAX_CHUNKS_PER_MESSAGE))


def _announced(file: WaitingFile, chunks: Sequence[tuple[UUID, int]], *, most: int) -> Announced:
    index = chunks[-1][1] if chunks else file.announced_index
    complete = len(chunks) < most * MAX_CHUNKS_PER_MESSAGE or index >= file.chunk_count - 1
    return Announced(file, index=index, turn=file.turn + most, complete=complete and not file.early)


def _messages(file: WaitingFile, chunk_ids: Sequence[UUID]) -> list[EmbedRequest]:
    return [
        EmbedRequest(
            file_id=file.file_id,
            generation=file.generation,
            chunk_ids=tuple(chunk_ids[start : start + MAX_CHUNKS_PER_MESSAGE]),
        )
        for start in range(0, len(chunk_ids), MAX_CHUNKS_PER_MESSAGE)
    ]


async def _settle(rows: Rows, file: WaitingFile) -> None:
    """All of its Chunks have vectors, but nobody was left to say so."""
    await turns.recount_embedded(rows, file.file_id, file.generation)
    await settle(rows, file.file_id, file.generation)


class Pace:
    """One look every so many seconds, of which a few may come together after a quiet time."""

    def __init__(self, seconds: float, *, at_once: int) -> None:
        self._seconds = seconds
        self._ahead = (at_once - 1) * seconds
        self._paid_until = float("-inf")

    def pause(self, now: float) -> float:
        """How long to wait before the next look, after one that was made `now`, in seconds of any clock."""
        self._paid_until = max(self._paid_until, now) + self._seconds
        return max(0.0, self._paid_until - now - self._ahead)


class Dispatcher:
    """Dispatches in the background of a process, as often as it is woken and every few seconds."""

    def __init__(self, *, database: Database, queues: Queues) -> None:
        self._database = database
        self._queues = queues
        self._woken = asyncio.Event()
        self._away = False
        self._pace = Pace(PAUSE_SECONDS, at_once=LOOKS_AT_ONCE)

    def wake(self) -> None:
        """Something was committed that asks for work, or a queue got shorter. Costs nothing."""
        self._woken.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Dispatch while the block runs."""
        return beside(self._run())

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await dispatch(database=self._database, queues=self._queues)
            except ServiceUnavailable as error:
                if not self._away:
                    log.warning("files wait in the database until the queue is back", reason=error.message)
                self._away = True
            except Exception:
                # Whatever it is must not end the only thing that hands work on; it is tried again, and told each time.
                log.exception("files could not be put on the queue")
            else:
                self._away = False
            await asyncio.sleep(self._pace.pause(time.monotonic()))
            await wait(self._woken, LOOK_SECONDS)
