"""In the background of the Core API: objects that somebody puts into the bucket are handed in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from penstock.pipeline.mirror import Watched, heed
from penstock.services import Services, open_inbox

log = structlog.get_logger()


@asynccontextmanager
async def following(services: Services, watched: Watched) -> AsyncGenerator[None]:
    """Follow the bucket's events while the block runs.

    Raises `ServiceUnavailable`, or `InvalidSettings` where there is no such queue.
    """
    url = services.settings.bucket.events_url
    assert url is not None, "who watches has a queue"
    take = partial(
        heed, watched=watched, database=services.database, store=services.store, dispatcher=services.dispatcher
    )
    async with open_inbox(url) as inbox, inbox.consumed_by(take):
        log.info("following the bucket", bucket=watched.bucket, prefix=f"{watched.root}{watched.prefix}")
        yield
