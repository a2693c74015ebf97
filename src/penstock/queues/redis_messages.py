"""Which Files the messages on a Redis stream are about: the rows are compared with it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from faststream.redis.parser import BinaryMessageFormatV1

MOST_READ = 10_000
"""Of a longer queue nobody is told the Files: to read it all would take longer than the answer stays true."""
PAGE = 500


async def files_on(client: Any, stream: str) -> frozenset[UUID] | None:
    """The Files of all messages of the stream, delivered or not; None where there are more than `MOST_READ`.

    A message that is there from the first command to the last is always seen.
    """
    if await client.xlen(stream) > MOST_READ:
        return None
    found: set[UUID] = set()
    first = "-"
    while entries := await client.xrange(stream, min=first, count=PAGE):
        found.update(file_id for _, fields in entries if (file_id := _file_of(fields)))
        first = f"({entries[-1][0].decode()}"
    return frozenset(found)


def _file_of(fields: dict[bytes, bytes]) -> UUID | None:
    """None for what is no message of ours: its delivery makes a dead letter of it."""
    body, _ = BinaryMessageFormatV1.parse(fields.get(b"__data__", b""))
    try:
        return UUID(json.loads(body)["file_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
