"""/queues and /dead-letters."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query

from penstock.api.cursors import Page, PageQuery, pack, page_of, unpack
from penstock.api.dependencies import OpenServices
from penstock.api.problems import documented
from penstock.errors import NotFound
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QUEUES, DeadLetter, QueueDepth
from penstock.pipeline.backlog import backlog
from penstock.pipeline.replay import replay
from penstock.queues.port import Queues

router = APIRouter(tags=["queues"])

ORDER = "dead-letters"


class QueueName(StrEnum):
    """The two queues."""

    INGEST = INGEST_QUEUE
    EMBEDDING = EMBEDDING_QUEUE


DeadLetterId = Annotated[str, Path(max_length=200, description="`dead_letter_id` of a dead letter.")]


@router.get("/queues", summary="What is on the queues", operation_id="get_queues", responses=documented(503))
async def get_queues(services: OpenServices) -> dict[str, QueueDepth]:
    """By the name of the queue: what is on it, and what will come because it waits in the database for its turn."""
    return await backlog(database=services.database, queues=services.queues)


class DeadLetterQuery(PageQuery):
    """Which dead letters to list."""

    queue: QueueName | None = None


@router.get(
    "/dead-letters", summary="List the dead letters", operation_id="list_dead_letters", responses=documented(422, 503)
)
async def list_dead_letters(asked: Annotated[DeadLetterQuery, Query()], services: OpenServices) -> Page[DeadLetter]:
    """Messages that were given up on: queue by queue, oldest first."""
    names: tuple[str, ...] = QUEUES if asked.queue is None else (asked.queue.value,)
    after: str | None = None
    if asked.cursor is not None:
        first, after = unpack(asked.cursor, ORDER)
        names = names[names.index(first) :] if first in names else ()
    found = await _dead_letters(names, after, asked.limit + 1, queues=services.queues)
    return page_of(found, asked.limit, lambda letter: pack(ORDER, letter.queue, letter.dead_letter_id))


async def _dead_letters(names: tuple[str, ...], after: str | None, limit: int, *, queues: Queues) -> list[DeadLetter]:
    """At most `limit` of the queues `names`, those of the first from behind the id `after`."""
    found: list[DeadLetter] = []
    for name in names:
        if len(found) < limit:
            found += await queues.dead_letters(name, limit=limit - len(found), after=after)
        after = None
    return found


@router.get(
    "/dead-letters/{queue}/{dead_letter_id}",
    summary="Get a dead letter",
    operation_id="get_dead_letter",
    responses=documented(404, 422, 503),
)
async def get_dead_letter(queue: QueueName, dead_letter_id: DeadLetterId, services: OpenServices) -> DeadLetter:
    """With its message, and why it was given up on."""
    return _existing(await services.queues.find_dead_letter(queue, dead_letter_id), queue, dead_letter_id)


@router.post(
    "/dead-letters/{queue}/{dead_letter_id}/replay",
    status_code=202,
    summary="Try a dead letter again",
    operation_id="replay_dead_letter",
    responses=documented(404, 422, 503),
)
async def replay_dead_letter(queue: QueueName, dead_letter_id: DeadLetterId, services: OpenServices) -> DeadLetter:
    """Its File waits again at the step it failed in, with all attempts before it, and the letter is gone."""
    letter = await replay(queue, dead_letter_id, database=services.database, queues=services.queues)
    services.dispatcher.wake()
    return letter


@router.delete(
    "/dead-letters/{queue}/{dead_letter_id}",
    status_code=204,
    summary="Drop a dead letter",
    operation_id="drop_dead_letter",
    responses=documented(404, 422, 503),
)
async def drop_dead_letter(queue: QueueName, dead_letter_id: DeadLetterId, services: OpenServices) -> None:
    """Its File stays, as `failed`."""
    _existing(await services.queues.drop(queue, dead_letter_id), queue, dead_letter_id)


def _existing(found: DeadLetter | None, queue: str, dead_letter_id: str) -> DeadLetter:
    if found is None:
        raise NotFound(f"There is no dead letter {dead_letter_id} on {queue}.")
    return found
