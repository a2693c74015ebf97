"""POST /search."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from penstock.api.dependencies import OpeningNow, OpenServices
from penstock.api.examples import HIT, answered
from penstock.api.fields import Body, Metadata, Query, Text
from penstock.api.problems import documented
from penstock.api.route import JsonRoute
from penstock.chunking.document import Origin
from penstock.database.search import Filter
from penstock.models import Hit
from penstock.pipeline import search as step
from penstock.pipeline.search import SearchMode

router = APIRouter(tags=["search"], route_class=JsonRoute)

MOST_VALUES = 1000
"""Of one filter."""
MOST_WORDS = 100
MOST_CONTEXT = 10
LAST_PAGE = 2**31 - 1
"""More the database cannot count."""


def in_order(pages: tuple[int, int]) -> tuple[int, int]:
    if pages[0] > pages[1]:
        raise ValueError("must be the first and the last page, in this order")
    return pages


Page = Annotated[int, Field(ge=1, le=LAST_PAGE)]


class Filters(Body):
    """Which Files, and which Chunks of them, to search in. All that is given must hold; null does not restrict."""

    file_ids: Annotated[list[UUID], Field(max_length=MOST_VALUES)] | None = None
    names: Annotated[list[Text], Field(max_length=MOST_VALUES)] | None = None
    media_types: Annotated[list[Text], Field(max_length=MOST_VALUES)] | None = None
    metadata: Metadata | None = Field(default=None, description="Keys and values that the File's metadata contain.")
    pages: Annotated[tuple[Page, Page], AfterValidator(in_order)] | None = Field(
        default=None, description="First and last: only Chunks with text of these pages.", examples=[[3, 7]]
    )
    origins: Annotated[list[Origin], Field(max_length=MOST_VALUES)] | None = Field(
        default=None,
        description="Only Chunks with text from one of these places; `body` means those with text from nowhere else.",
        examples=[["comment", "speaker_notes"]],
    )
    without_origins: Annotated[list[Origin], Field(max_length=MOST_VALUES)] | None = Field(
        default=None, description="No Chunks with text from one of these places.", examples=[["comment"]]
    )
    without: Annotated[list[Text], Field(max_length=MOST_WORDS)] | None = Field(
        default=None, description="No Chunks with one of these words or phrases.", examples=[["draft"]]
    )


class SearchRequest(Body):
    """What to look for."""

    query: Query = Field(
        examples=["how is the pump primed?"],
        description='What is in "double quotes" must stand in every Hit so; all else is text, never syntax.',
    )
    k: int = Field(default=10, ge=1, le=100, description="Most Hits.")
    mode: SearchMode = Field(
        default=SearchMode.HYBRID,
        description="`vector` finds what is meant, `text` names and exact words, `hybrid` both.",
    )
    context: int = Field(
        default=0,
        ge=0,
        le=MOST_CONTEXT,
        description="So many Chunks of the same File before and after each Hit, as its `before` and `after`.",
    )
    filters: Filters | None = None


@router.post(
    "/search",
    summary="Find the Chunks that fit a query best",
    operation_id="search",
    response_model_exclude_unset=True,  # `before` and `after` are there for those who ask
    responses=answered(200, [HIT]) | documented(413, 422, 503),
)
async def search(asked: SearchRequest, services: OpenServices, opening: OpeningNow) -> list[Hit]:
    """Best first. Sees every File's active generation, and so also a File that is just being read again.

    Words match in every language that the stored Files are in, and in other spellings: `U.S.` and US, `e-mail` and
    email, café and cafe, OpenServices and "open services". Words such as `the` and `of` count for nothing, so that
    a `text` search for them alone finds only Files without a known language.
    """
    which = Filter(**asked.filters.model_dump()) if asked.filters else Filter()
    query = step.Query(asked.query, k=asked.k, mode=asked.mode, which=which, context=asked.context)
    if asked.mode is SearchMode.TEXT:
        return await step.search_text(query, database=services.database)
    embedding = await opening.wait_for_embedding()
    return await step.search(query, database=services.database, engine=embedding.engine, index=embedding.index)
