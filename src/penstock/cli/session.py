"""Run one client command: a client, an event loop, and errors as single errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from penstock.cli.client import Client
from penstock.cli.local_url import local_url
from penstock.errors import PenstockError

ResultT = TypeVar("ResultT")


def run(url: str | None, command: Callable[[Client], Awaitable[ResultT]]) -> ResultT:
    """Run `command` with a client of the Penstock at `url`, or of the one on this machine.

    Raises the first `PenstockError` where several of the command's tasks failed at once.
    """

    async def run_with_client() -> ResultT:
        async with Client(url or local_url()) as client:
            return await command(client)

    try:
        return asyncio.run(run_with_client())
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, PenstockError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            found.append(error)
    return found
