"""`penstock add`: hand files in, follow them, and show it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import typer

from penstock.cli.client import Client
from penstock.cli.display import Bars, Display, JsonLines, PlainLines
from penstock.cli.follow import Follower
from penstock.cli.hand_in import Order, hand_in
from penstock.cli.output import console, print_note
from penstock.cli.session import run
from penstock.cli.tally import Row, Tally
from penstock.cli.walk import walk

REFRESH_SECONDS = 0.2
INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended: 128 + SIGINT."""


def add_paths(order: Order, *, url: str | None, wait: bool, as_json: bool) -> int:
    """Carry out `order` and show how it goes; the exit status."""
    tally = Tally()
    displays = _displays(as_json=as_json)
    try:
        run(url, lambda client: _add(client, order, tally=tally, displays=displays, wait=wait))
    except KeyboardInterrupt:
        print_note(_interrupted(tally))
        return INTERRUPTED
    if not tally.found:
        print_note(_nothing_found(order))
    return 1 if tally.failed else 0


def metadata_of(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` pairs as a dictionary; a wrong one is wrong usage."""
    metadata: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r} is not of the form KEY=VALUE", param_hint="--metadata")
        metadata[key] = value
    return metadata


async def _add(client: Client, order: Order, *, tally: Tally, displays: Sequence[Display], wait: bool) -> None:
    def tell(row: Row) -> None:
        for display in displays:
            display.tell(row)

    started = time.monotonic()
    follower = Follower(client, order.batch, tally=tally, tell=tell, wait=wait)
    with ExitStack() as shown:
        for display in displays:
            shown.enter_context(display)
        async with asyncio.TaskGroup() as tasks:
            looks = [tasks.create_task(_refresh(displays, tally)), tasks.create_task(_count(order, tally))]
            work = [tasks.create_task(hand_in(client, order, follower=follower, tally=tally))]
            if wait:
                work.append(tasks.create_task(follower.follow()))
            await asyncio.gather(*work)
            for look in looks:
                look.cancel()
    for display in displays:
        display.end(tally, time.monotonic() - started, waited=wait)


async def _refresh(displays: Sequence[Display], tally: Tally) -> None:
    while True:
        for display in displays:
            display.refresh(tally)
        await asyncio.sleep(REFRESH_SECONDS)


async def _count(order: Order, tally: Tally) -> None:
    """Walk once more, only to know how many files there will be: a bar needs an end."""
    counted = await asyncio.to_thread(lambda: sum(1 for _ in walk(order.paths, recursive=order.recursive)))
    if tally.total is None:
        tally.total = counted


def _displays(*, as_json: bool) -> list[Display]:
    if as_json:
        # On one terminal, bars and JSON would write over each other.
        bars = sys.stderr.isatty() and not sys.stdout.isatty()
        return [JsonLines(), Bars(console(stderr=True), tell_failures=False)] if bars else [JsonLines()]
    return [Bars(console(), tell_failures=True)] if sys.stdout.isatty() else [PlainLines(sys.stdout)]


def _interrupted(tally: Tally) -> str:
    if not tally.handed_in:
        return "Interrupted before any file was handed in."
    return (
        f"Interrupted. What is handed in ({tally.handed_in:,} files) goes on by itself: see `penstock files` and "
        "`penstock queues`. The same `penstock add` hands in the rest."
    )


def _nothing_found(order: Order) -> str:
    places = ", ".join(str(path) for path in order.paths)
    hint = "" if order.recursive else "; --recursive looks in the subfolders, too"
    return f"penstock: there are no files in {places}{hint}"
