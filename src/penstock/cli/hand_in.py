"""Hand files in: walk, hash, leave out what is there already, upload several at once.

Every step takes from the one before it through something bounded, so that a million files need
hardly more memory than a thousand, and the first upload does not wait for the last hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from penstock.cli.client import LOOKUP_LIMIT, Client, ConnectionLost
from penstock.cli.follow import Follower
from penstock.cli.tally import Tally
from penstock.cli.upload import Upload, hash_file
from penstock.cli.walk import Found, NotFoundHere, walk
from penstock.errors import InvalidRequest, PenstockError, RequestError, ServiceUnavailable
from penstock.models import File

UPLOADS_AT_ONCE = 6
UPLOAD_ATTEMPTS = 5
HASHING_THREADS = 4
MOST_BATCH_BYTES = 64 * 2**20
"""A batch is hashed before its first file goes out; more bytes than this would let the uploads run dry."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked `add` to do."""

    paths: Sequence[Path]
    recursive: bool = False
    again: bool = False
    """Hand in also what is there already."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    batch: UUID = field(default_factory=uuid4)
    """Groups the Files of this order, so that their progress is one question."""


async def hand_in(client: Client, order: Order, *, follower: Follower, tally: Tally) -> None:
    """Hand in what `order` names; each File, and each file that did not become one, goes to `follower`.

    A file that is refused or cannot be read hurts only itself. Raises `ServiceUnavailable` when
    Penstock stays away for longer than the client's patience.
    """
    uploads: asyncio.Queue[Upload | None] = asyncio.Queue(maxsize=8 * UPLOADS_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(UPLOADS_AT_ONCE):
            tasks.create_task(_upload_all(client, order, uploads, follower=follower, tally=tally))
        async for upload in _new_files(client, order, follower=follower, tally=tally):
            await uploads.put(upload)
        for _ in range(UPLOADS_AT_ONCE):
            await uploads.put(None)
    tally.total = tally.found
    tally.all_handed_in = True


async def _new_files(client: Client, order: Order, *, follower: Follower, tally: Tally) -> AsyncIterator[Upload]:
    """The files to upload: those that can be read and are not there already."""
    given: set[tuple[str, str]] = set()
    async for hashed in _hashed(order, follower=follower, tally=tally):
        # The same file, given twice or reached by two links, is handed in once.
        new = {key: upload for upload in hashed if (key := (upload.name, upload.sha256)) not in given}
        given.update(new)
        uploads = list(new.values())
        tally.found -= len(hashed) - len(uploads)
        for upload, file in zip(uploads, await _already_there(client, order, uploads), strict=True):
            if file is None:
                yield upload
            else:
                follower.already_there(file, upload.sha256)


async def _hashed(order: Order, *, follower: Follower, tally: Tally) -> AsyncIterator[list[Upload]]:
    """Batches of hashed files, the first ones small so that the uploads begin at once."""
    candidates = walk(order.paths, recursive=order.recursive)
    most = 8
    while batch := await asyncio.to_thread(_next_batch, candidates, most):
        tally.found += len(batch)
        slices = [batch[start::HASHING_THREADS] for start in range(HASHING_THREADS)]
        hashed = await asyncio.gather(*(asyncio.to_thread(_hash_all, part) for part in slices))
        problems = [item for part in hashed for item in part if isinstance(item, NotFoundHere)]
        for problem in problems:
            follower.not_handed_in(problem.name, problem.error)
        yield [item for part in hashed for item in part if isinstance(item, Upload)]
        most = min(most * 4, LOOKUP_LIMIT // 2)


def _next_batch(candidates: Iterator[Found | NotFoundHere], most: int) -> list[Found | NotFoundHere]:
    batch: list[Found | NotFoundHere] = []
    size = 0
    for candidate in candidates:
        batch.append(candidate)
        size += candidate.size if isinstance(candidate, Found) else 0
        if len(batch) == most or size >= MOST_BATCH_BYTES:
            break
    return batch


def _hash_all(candidates: Sequence[Found | NotFoundHere]) -> list[Upload | NotFoundHere]:
    return [_hash(candidate) if isinstance(candidate, Found) else candidate for candidate in candidates]


def _hash(found: Found) -> Upload | NotFoundHere:
    try:
        size, sha256 = hash_file(found.path)
    except RequestError as error:
        return NotFoundHere(found.name, error)
    return Upload(path=found.path, name=found.name, size=size, sha256=sha256)


async def _already_there(client: Client, order: Order, uploads: Sequence[Upload]) -> list[File | None]:
    """For each upload the File that is there already."""
    if order.again or not uploads:
        return [None] * len(uploads)
    try:
        return await client.lookup([(upload.name, upload.sha256) for upload in uploads])
    except InvalidRequest:
        if len(uploads) == 1:
            return [None]  # a name that cannot be; its upload will be refused with the reason
        half = len(uploads) // 2
        first, second = uploads[:half], uploads[half:]
        return [*await _already_there(client, order, first), *await _already_there(client, order, second)]


async def _upload_all(
    client: Client, order: Order, uploads: asyncio.Queue[Upload | None], *, follower: Follower, tally: Tally
) -> None:
    while upload := await uploads.get():
        try:
            file = await _upload(client, order, upload, tally=tally)
        except ServiceUnavailable:
            raise
        except PenstockError as error:
            follower.not_handed_in(upload.name, error)
        else:
            follower.handed_in(file)


async def _upload(client: Client, order: Order, upload: Upload, *, tally: Tally) -> File:
    """Upload one file, once: after a broken connection, ask first whether it has arrived."""
    for attempt in range(UPLOAD_ATTEMPTS):
        try:
            return await client.add_file(
                upload, batch=order.batch, metadata=order.metadata, on_progress=_Sent(tally).so_far
            )
        except ConnectionLost:
            arrived = [file async for file in client.files(batch=str(order.batch), name=upload.name)]
            if same := next((file for file in arrived if file.sha256 == upload.sha256), None):
                return same
            if attempt + 1 == UPLOAD_ATTEMPTS:
                raise
    raise AssertionError


@dataclass
class _Sent:
    """Adds the bytes of one upload to the tally, and takes them back when it starts over."""

    tally: Tally
    counted: int = 0

    def so_far(self, sent: int) -> None:
        self.tally.sent_bytes += sent - self.counted
        self.counted = sent
