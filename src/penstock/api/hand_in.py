"""How Files come in: `POST /files` and `POST /files/reference`."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import Field

from penstock.api.dependencies import OpenServices
from penstock.api.examples import FILE, UPLOAD, answered
from penstock.api.fields import Body, Metadata, Name, ObjectKey
from penstock.api.problems import documented
from penstock.api.route import JsonRoute
from penstock.api.uploads import read_upload, refuse_too_large
from penstock.models import File
from penstock.pipeline.submit import Description, submit, submit_reference

stream_router = APIRouter(tags=["files"])
"""Apart from what takes JSON: its body is a stream, and never in memory."""
router = APIRouter(tags=["files"], route_class=JsonRoute)


@stream_router.post(
    "/files",
    status_code=202,
    summary="Hand in a file",
    operation_id="add_file",
    responses=answered(202, FILE) | documented(413, 422, 503),
    openapi_extra=UPLOAD,
)
async def add_file(request: Request, response: Response, services: OpenServices) -> File:
    """Stores the bytes, records the File as `queued` and answers; Workers do the rest.

    The body is a form with the part `file`, or, with any other content type and a `name` in the
    query, the file itself. Nothing is recorded unless all of it arrives.
    """
    max_bytes = services.settings.api.max_upload_bytes
    refuse_too_large(request.headers.get("Content-Length"), max_bytes=max_bytes)
    async with aclosing(request.stream()) as body:
        upload = await read_upload(body, request.headers.get("Content-Type", ""), request.query_params)
        file = await submit(
            upload.described,
            upload.content,
            max_bytes=max_bytes,
            database=services.database,
            store=services.store,
            dispatcher=services.dispatcher,
        )
    response.headers["Location"] = f"/files/{file.file_id}"
    return file


class Reference(Body):
    """An object that is in the object store already."""

    object_key: ObjectKey = Field(examples=["reports/2026/q3.pdf"])
    name: Name | None = Field(default=None, description="Without it, the last part of the key.")
    batch: UUID | None = None
    metadata: Metadata = Field(default_factory=dict[str, Any])


@router.post(
    "/files/reference",
    status_code=202,
    summary="Hand in an object that is in the object store already",
    operation_id="add_reference",
    responses=answered(202, FILE | {"sha256": None}) | documented(404, 422, 503),
)
async def add_reference(reference: Reference, response: Response, services: OpenServices) -> File:
    """The object is read where it is, and stays there when the File is deleted."""
    key = reference.object_key
    file = await submit_reference(
        Description(reference.name or key.rpartition("/")[2], reference.metadata, reference.batch),
        key,
        database=services.database,
        store=services.store,
        dispatcher=services.dispatcher,
    )
    response.headers["Location"] = f"/files/{file.file_id}"
    return file
