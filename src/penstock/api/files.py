"""What is known of Files, and changing them: /files and /batches."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from penstock.api.cursors import Page, PageQuery, pack_time, page_of, unpack_time
from penstock.api.dependencies import OpenServices
from penstock.api.examples import COMPLETE_FILE, answered
from penstock.api.fields import Body, Moment, Text
from penstock.api.problems import documented
from penstock.api.route import JsonRoute
from penstock.database import files as statements
from penstock.database.files import BatchSums, FileFilter
from penstock.errors import NotFound
from penstock.models import File, FileStatus
from penstock.pipeline import change
from penstock.services import Services

router = APIRouter(tags=["files"], route_class=JsonRoute)

NEWEST, SETTLED = "newest", "settled"
"""The two orders of the list, for its cursors."""


async def existing_file(file_id: UUID, services: Services) -> File:
    """Raises `NotFound`."""
    async with services.database.transaction() as rows:
        file = await statements.get_file(rows, file_id)
    if file is None:
        raise NotFound(f"There is no File {file_id}.")
    return file


class FileQuery(PageQuery):
    """Which Files to list. What is left out does not restrict."""

    status: FileStatus | None = None
    batch: UUID | None = None
    name: Text | None = Field(default=None, description="Exactly this name.")
    media_type: Text | None = Field(default=None, examples=["application/pdf"])
    settled_after: Moment | None = Field(
        default=None, description="Only what settled then or later, oldest first: to follow progress."
    )


@router.get("/files", summary="List Files", operation_id="list_files", responses=documented(422, 503))
async def list_files(asked: Annotated[FileQuery, Query()], services: OpenServices) -> Page[File]:
    """Newest first; with `settled_after`, oldest settled first."""
    which = FileFilter(status=asked.status, batch=asked.batch, name=asked.name, media_type=asked.media_type)
    since, most = asked.settled_after, asked.limit + 1
    after = unpack_time(asked.cursor, NEWEST if since is None else SETTLED)
    async with services.database.transaction() as rows:
        if since is None:
            found = await statements.list_files(rows, which, limit=most, after=after)
        else:
            found = await statements.list_settled_files(rows, which, since=since, limit=most, after=after)
    return page_of(found, asked.limit, _cursor_of_newest if since is None else _cursor_of_settled)


def _cursor_of_newest(file: File) -> str:
    return pack_time(NEWEST, file.created_at, file.file_id)


def _cursor_of_settled(file: File) -> str:
    assert file.settled_at is not None, "the list of settled Files holds no others"
    return pack_time(SETTLED, file.settled_at, file.file_id)


class KnownFile(Body):
    """A file that the client is about to hand in."""

    name: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Hex digest of its content.")]


class Lookup(Body):
    """Files to look for."""

    files: Annotated[list[KnownFile], Field(max_length=1000)]


@router.post(
    "/files/lookup",
    summary="Find out which files are there already",
    operation_id="lookup_files",
    responses=documented(413, 422, 503),
)
async def lookup_files(asked: Lookup, services: OpenServices) -> list[File | None]:
    """For each, in the same order, the newest File with that name and content that has not failed, or null."""
    async with services.database.transaction() as rows:
        return await statements.lookup_files(rows, [(known.name, known.sha256) for known in asked.files])


@router.get(
    "/files/{file_id}",
    summary="Get a File",
    operation_id="get_file",
    responses=answered(200, COMPLETE_FILE) | documented(404, 422, 503),
)
async def get_file(file_id: UUID, services: OpenServices) -> File:
    """Its status and counts, and why it failed, if it did."""
    return await existing_file(file_id, services)


@router.delete(
    "/files/{file_id}",
    status_code=204,
    summary="Delete a File",
    operation_id="delete_file",
    responses=documented(404, 422, 503),
)
async def delete_file(file_id: UUID, services: OpenServices) -> None:
    """With its Chunks, vectors and stored bytes, also while it is being worked on."""
    await change.delete(file_id, database=services.database, store=services.store)


@router.post(
    "/files/{file_id}/reingest",
    status_code=202,
    summary="Read a File again",
    operation_id="reingest_file",
    responses=documented(404, 422, 503),
)
async def reingest_file(file_id: UUID, services: OpenServices) -> File:
    """Starts a new generation. Search sees the one before until the new one is complete."""
    return await change.reingest(file_id, database=services.database, dispatcher=services.dispatcher)


@router.get(
    "/batches/{batch}",
    summary="How far the Files of a batch are",
    operation_id="get_batch",
    responses=documented(422, 503),
)
async def get_batch(batch: UUID, services: OpenServices) -> BatchSums:
    """Sums over the Files that were handed in with this `batch`; all zeros where there are none."""
    async with services.database.transaction() as rows:
        return await statements.sum_batch(rows, batch)
