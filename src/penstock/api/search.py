"""POST /search."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from penstock.api.dependencies import OpeningNow, OpenServices
from penstock.api.examples import HIT, answered
from penstock.api.fields import Body, Metadata, Query, Text
from penstock.api.problems import documented
from penstock.api.route import JsonRoute
from penstock.database.search import Filter
from penstock.models import Hit
from penstock.pipeline import search as step
from penstock.pipeline.search import SearchMode

router = APIRouter(tags=["search"], route_class=JsonRoute)

MOST_VALUES = 1000
"""Of one filter."""


class Filters(Body):
    """Which Files to search in. All that is given must hold; null does not restrict."""

    file_ids: Annotated[list[UUID], Field(max_length=MOST_VALUES)] | None = None
    names: Annotated[list[Text], Field(max_length=MOST_VALUES)] | None = None
    media_types: Annotated[list[Text], Field(max_length=MOST_VALUES)] | None = None
    metadata: Metadata | None = Field(default=None, description="Keys and values that the File's metadata contain.")


class SearchRequest(Body):
    """What to look for."""

    query: Query = Field(examples=["how is the pump primed?"])
    k: int = Field(default=10, ge=1, le=100, description="Most Hits.")
    mode: SearchMode = Field(
        default=SearchMode.HYBRID,
        description="`vector` finds what is meant, `text` names and exact words, `hybrid` both.",
    )
    filters: Filters | None = None


@router.post(
    "/search",
    summary="Find the Chunks that fit a query best",
    operation_id="search",
    responses=answered(200, [HIT]) | documented(413, 422, 503),
)
async def search(asked: SearchRequest, services: OpenServices, opening: OpeningNow) -> list[Hit]:
    """Best first. Sees every File's active generation, and so also a File that is just being read again."""
    which = Filter(**asked.filters.model_dump()) if asked.filters else Filter()
    query = step.Query(asked.query, k=asked.k, mode=asked.mode, which=which)
    language = services.settings.search.language
    if asked.mode is SearchMode.TEXT:
        return await step.search_text(query, database=services.database, language=language)
    embedding = await opening.wait_for_embedding()
    return await step.search(
        query, database=services.database, engine=embedding.engine, index=embedding.index, language=language
    )
