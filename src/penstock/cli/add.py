"""`penstock add`: hand files in, follow them, and show it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

import typer

from penstock.cli.client import Client
from penstock.cli.display import Bars, Display, JsonAndBars, JsonLines, PlainLines
from penstock.cli.follow import Follower
from penstock.cli.hand_in import Order, hand_in
from penstock.cli.output import can_redraw, console, print_note
from penstock.cli.session import run
from penstock.cli.tally import Tally
from penstock.cli.walk import walk
from penstock.errors import ServiceUnavailable

REFRESH_SECONDS = 0.2
STALLED_SECONDS = 30.0
STALLED_AGAIN_SECONDS = 600.0
STALLED = "Nothing has moved for a while; `penstock queues` and `penstock doctor` may tell why."
INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended: 128 + SIGINT."""


def add_paths(order: Order, *, url: str | None, wait: bool, as_json: bool) -> int:
    """Carry out `order` and show how it goes; the exit status."""
    tally = Tally()
    display = _display(as_json=as_json)
    try:
        run(url, lambda client: _add(client, order, tally=tally, display=display, wait=wait))
    except KeyboardInterrupt:
        print_note(f"Interrupted. {_goes_on(tally)}")
        return INTERRUPTED
    except ServiceUnavailable:
        if tally.handed_in:
            print_note(_goes_on(tally))
        raise
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


def _display(*, as_json: bool) -> Display:
    if not as_json:
        return Bars(console()) if can_redraw(sys.stdout) else PlainLines(sys.stdout)
    # On one terminal, bars and JSON would write over each other.
    bars = can_redraw(sys.stderr) and not sys.stdout.isatty()
    return JsonAndBars(console(stderr=True)) if bars else JsonLines()


async def _add(client: Client, order: Order, *, tally: Tally, display: Display, wait: bool) -> None:
    started = time.monotonic()
    follower = Follower(client, order.batch, tally=tally, tell=display.tell, wait=wait)
    with display:
        async with asyncio.TaskGroup() as tasks:
            looks = (_refresh(display, tally), _watch(display, tally), _count(order, tally))
            looking = [tasks.create_task(look) for look in looks]
            work = [tasks.create_task(hand_in(client, order, follower=follower, tally=tally))]
            if wait:
                work.append(tasks.create_task(follower.follow()))
            await asyncio.gather(*work)
            for look in looking:
                look.cancel()
    display.end(tally, time.monotonic() - started, waited=wait)


async def _refresh(display: Display, tally: Tally) -> None:
    while True:
        display.refresh(tally)
        await asyncio.sleep(REFRESH_SECONDS)


async def _watch(display: Display, tally: Tally) -> None:
    """Say so when nothing moves: without Workers this would be a long silence."""
    seen, tell_at = tally.progress, time.monotonic() + STALLED_SECONDS
    while True:
        await asyncio.sleep(1)
        now = time.monotonic()
        if tally.progress != seen:
            seen, tell_at = tally.progress, now + STALLED_SECONDS
        elif now >= tell_at:
            tell_at = now + STALLED_AGAIN_SECONDS
            display.note(STALLED)


async def _count(order: Order, tally: Tally) -> None:
    """Walk once more, only to know how many files there will be: a bar needs an end."""
    counted = await asyncio.to_thread(lambda: sum(1 for _ in walk(order.paths, recursive=order.recursive)))
    if tally.total is None:
        tally.total = counted


def _goes_on(tally: Tally) -> str:
    if not tally.handed_in:
        return "No file was handed in."
    return (
        f"What is handed in ({tally.handed_in:,} files) goes on by itself: see `penstock files` and "
        "`penstock queues`. The same `penstock add` hands in the rest."
    )


def _nothing_found(order: Order) -> str:
    places = ", ".join(str(path) for path in order.paths)
    hint = "" if order.recursive else "; --recursive looks in the subfolders, too"
    return f"penstock: there are no files in {places}{hint}"
