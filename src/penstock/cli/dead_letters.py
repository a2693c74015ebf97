"""`penstock dead-letters`: look at messages that were given up on, put them back, forget them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import typer

from penstock.cli.client import Client
from penstock.cli.output import harmless, print_json, print_list, print_table
from penstock.cli.session import run
from penstock.errors import NotFound
from penstock.models import DeadLetter


@dataclass(frozen=True, slots=True)
class Which:
    """The letters that are meant: all that fit."""

    queue: str | None = None
    code: str | None = None

    async def of(self, client: Client) -> AsyncIterator[DeadLetter]:
        """Oldest first."""
        async for letter in client.dead_letters(self.queue):
            if self.code in (None, letter.code):
                yield letter


def print_letters(which: Which, *, url: str | None, as_json: bool) -> None:
    """Print the dead letters that are meant."""

    async def show(client: Client) -> None:
        found = which.of(client)
        if as_json:
            await print_list(found)
            return
        columns = ("id", "queue", "file", "attempts", "given up", "reason")
        spare = ("queue", "file", "given up")
        print_table(columns, [_row(letter) async for letter in found], right=("attempts",), spare=spare)

    run(url, show)


def print_details(letter_ids: Sequence[str], queue: str | None, *, url: str | None, as_json: bool) -> None:
    """Print each of these letters in full."""
    letters = run(url, lambda client: _chosen(client, letter_ids, Which(queue)))
    if as_json:
        print_json([letter.model_dump(mode="json") for letter in letters])
        return
    for letter in letters:
        _print_details(letter)


def replay(letter_ids: Sequence[str] | None, which: Which, *, url: str | None, as_json: bool) -> None:
    """Put these letters back on their queue; None means all that are meant."""
    _for_each("replayed", Client.replay, letter_ids, which, url=url, as_json=as_json)


def drop(letter_ids: Sequence[str] | None, which: Which, *, url: str | None, as_json: bool) -> None:
    """Forget these letters; None means all that are meant."""
    _for_each("dropped", Client.drop, letter_ids, which, url=url, as_json=as_json)


def _for_each(
    done: str,
    act: Callable[[Client, DeadLetter], Awaitable[None]],
    letter_ids: Sequence[str] | None,
    which: Which,
    *,
    url: str | None,
    as_json: bool,
) -> None:
    """Do `act` to each letter and tell how many it was done to."""

    async def act_on_all(client: Client) -> list[DeadLetter]:
        letters = await _chosen(client, letter_ids, which)
        return [letter for letter in letters if await _acted(act(client, letter))]

    letters = run(url, act_on_all)
    if as_json:
        print_json([letter.model_dump(mode="json") for letter in letters])
    else:
        typer.echo(f"{done} {len(letters):,} dead letter{'' if len(letters) == 1 else 's'}")


async def _chosen(client: Client, letter_ids: Sequence[str] | None, which: Which) -> list[DeadLetter]:
    if letter_ids:
        return [await client.dead_letter(letter_id, which.queue) for letter_id in letter_ids]
    # All of them first: a replayed letter that dies again would come round for ever.
    return [letter async for letter in which.of(client)]


async def _acted(action: Awaitable[None]) -> bool:
    """Whether there was still something to act on; another person may have been quicker."""
    try:
        await action
    except NotFound:
        return False
    return True


def _row(letter: DeadLetter) -> tuple[str, ...]:
    return (
        letter.dead_letter_id,
        letter.queue,
        str(letter.file_id),
        str(letter.attempts),
        f"{letter.last_at:%Y-%m-%d %H:%M:%S}",
        f"{letter.code}: {letter.reason}",
    )


def _print_details(letter: DeadLetter) -> None:
    details = letter.model_dump(mode="json") | {"message": json.dumps(letter.message)}
    for field, value in details.items():
        typer.echo(f"{field:<15} {harmless(str(value))}")
    typer.echo()
