"""How clients write and read bytes past the API: by URLs of the object store that expire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field

from penstock.api.contents import begun
from penstock.api.dependencies import OpenServices
from penstock.api.examples import FILE, answered
from penstock.api.fields import Body, Metadata, Name
from penstock.api.files import existing_file
from penstock.api.problems import documented
from penstock.api.route import JsonRoute
from penstock.models import File
from penstock.pipeline.direct_upload import begin_upload, complete_upload
from penstock.pipeline.submit import Description

router = APIRouter(tags=["files"], route_class=JsonRoute)


class NewUpload(Body):
    """A file that the client is about to write to the object store."""

    name: Name = Field(examples=["reports/2026/q3.pdf"])
    batch: UUID | None = None
    metadata: Metadata = Field(default_factory=dict[str, Any])


class Upload(BaseModel):
    """The request that the client has to make."""

    upload_id: UUID = Field(description="The File will have this id.")
    method: Literal["GET", "PUT"] = Field(description="Always `PUT`, with the file as the body.")
    url: str = Field(description="Of the object store. It is a secret: who has it may write this object.")
    headers: dict[str, str] = Field(description="To be sent with it.")
    expires_at: datetime = Field(description="The request has to begin before.")


@router.post(
    "/files/uploads",
    status_code=201,
    summary="Ask for a URL to upload a file to",
    operation_id="begin_upload",
    responses=documented(409, 422, 503),
)
async def begin(asked: NewUpload, services: OpenServices) -> Upload:
    """The bytes go straight to the object store; then say that they are there, with
    `POST /files/uploads/{upload_id}/complete`. Before that there is no File.

    Of an upload that is not completed within a day after it expires nothing is left.
    """
    begun = await begin_upload(
        Description(asked.name, asked.metadata, asked.batch),
        seconds=services.settings.object_store.presigned_seconds,
        database=services.database,
        store=services.store,
    )
    request = begun.request
    return Upload(
        upload_id=begun.upload_id,
        method=request.method,
        url=request.url,
        headers=dict(request.headers),
        expires_at=request.expires_at,
    )


@router.post(
    "/files/uploads/{upload_id}/complete",
    status_code=202,
    summary="Say that an upload is there",
    operation_id="complete_upload",
    responses=answered(202, FILE | {"sha256": None}) | documented(404, 413, 422, 503),
)
async def complete(upload_id: UUID, response: Response, services: OpenServices) -> File:
    """Records the File as `queued`; said again, answers with the same File.

    404 with the code `object_missing`: nothing is written yet.
    """
    file = await complete_upload(
        upload_id,
        max_bytes=services.settings.api.max_upload_bytes,
        database=services.database,
        store=services.store,
        dispatcher=services.dispatcher,
    )
    response.headers["Location"] = f"/files/{file.file_id}"
    return file


class ContentQuery(Body):
    """How the bytes are wanted."""

    presigned: bool = Field(default=False, description="Answer with a redirect to the object store.")


@router.get(
    "/files/{file_id}/content",
    summary="Get a File's bytes",
    operation_id="get_content",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        307: {"description": "Where the bytes are, for `PENSTOCK_OBJECT_STORE_PRESIGNED_SECONDS`."},
        **documented(404, 409, 422, 503),
    },
)
async def get_content(file_id: UUID, asked: Annotated[ContentQuery, Query()], services: OpenServices) -> Response:
    """As they were handed in. With `presigned` they come straight from the object store."""
    file = await existing_file(file_id, services)
    if asked.presigned:
        await services.store.size(file.object_key)  # else the store's own answer would be all that the client gets
        seconds = services.settings.object_store.presigned_seconds
        request = await services.store.presign("GET", file.object_key, seconds=seconds)
        return RedirectResponse(request.url, 307, {"Cache-Control": "no-store"})
    content = await begun(services.store.read(file.object_key))
    filename = quote(file.name.rpartition("/")[2], safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{filename}",
        "X-Content-Type-Options": "nosniff",  # whatever somebody handed in, no browser runs it here
    }
    return StreamingResponse(content, media_type=file.media_type or "application/octet-stream", headers=headers)
