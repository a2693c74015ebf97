"""What is in a File: its Chunks and its text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from penstock.api.cursors import Page, PageQuery, pack_index, page_of, unpack_index
from penstock.api.dependencies import OpenServices
from penstock.api.files import existing_file
from penstock.api.problems import documented
from penstock.database import chunks as statements
from penstock.database.files import get_text_key
from penstock.errors import NotFound
from penstock.models import Chunk

router = APIRouter(tags=["files"])

ORDER = "chunks"


@router.get(
    "/files/{file_id}/chunks",
    summary="List the Chunks of a File",
    operation_id="list_chunks",
    responses=documented(404, 422, 503),
)
async def list_chunks(file_id: UUID, asked: Annotated[PageQuery, Query()], services: OpenServices) -> Page[Chunk]:
    """Those that search sees, in the order of the text; none before the File is first complete."""
    after = unpack_index(asked.cursor, ORDER, file_id)
    await existing_file(file_id, services)
    async with services.database.transaction() as rows:
        found = await statements.list_chunks(rows, file_id, limit=asked.limit + 1, after=after)
    return page_of(found, asked.limit, lambda chunk: pack_index(ORDER, file_id, chunk.index))


@router.get(
    "/files/{file_id}/text",
    summary="Get the extracted text of a File",
    operation_id="get_text",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(404, 422, 503)},
)
async def get_text(file_id: UUID, services: OpenServices) -> StreamingResponse:
    """UTF-8. The `char_span` of Chunks and Hits refers to it, in characters."""
    file = await existing_file(file_id, services)
    async with services.database.transaction() as rows:
        key = await get_text_key(rows, file_id)
    if key is None:
        raise NotFound(f"File {file_id} has no text yet; its status is {file.status}.")
    return StreamingResponse(await begun(services.store.read(key)), media_type="text/plain; charset=utf-8")


async def begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All the pieces, the first of which is there: where the object is not, this raises before an answer begins."""
    return _chained(await anext(pieces, b""), pieces)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in rest:
        yield piece
