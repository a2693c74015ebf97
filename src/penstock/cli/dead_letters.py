"""`penstock dead-letters`: look at messages that were given up on, put them back, forget them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

import typer

from penstock.cli.client import Client
from penstock.cli.output import harmless, print_json, print_list, print_table
from penstock.cli.session import run
from penstock.errors import NotFound
from penstock.models import DeadLetter


def print_letters(queue: str | None, *, url: str | None, as_json: bool) -> None:
    """Print all dead letters, or those of `queue`."""

    async def show(client: Client) -> None:
        found = client.dead_letters(queue)
        if as_json:
            await print_list(found)
            return
        columns = ("id", "queue", "file", "attempts", "given up", "reason")
        print_table(columns, [_row(letter) async for letter in found], right=("attempts",))

    run(url, show)


def print_details(letter_ids: Sequence[str], queue: str | None, *, url: str | None, as_json: bool) -> None:
    """Print each of these letters in full."""
    letters = run(url, lambda client: _chosen(client, letter_ids, queue))
    if as_json:
        print_json([letter.model_dump(mode="json") for letter in letters])
        return
    for letter in letters:
        _print_details(letter)


def replay(letter_ids: Sequence[str] | None, queue: str | None, *, url: str | None, as_json: bool) -> None:
    """Put these letters back on their queue; None means all."""
    _for_each("replayed", Client.replay, letter_ids, queue, url=url, as_json=as_json)


def drop(letter_ids: Sequence[str] | None, queue: str | None, *, url: str | None, as_json: bool) -> None:
    """Forget these letters; None means all."""
    _for_each("dropped", Client.drop, letter_ids, queue, url=url, as_json=as_json)


def _for_each(
    done: str,
    act: Callable[[Client, DeadLetter], Awaitable[None]],
    letter_ids: Sequence[str] | None,
    queue: str | None,
    *,
    url: str | None,
    as_json: bool,
) -> None:
    """Do `act` to each letter and tell how many it was done to."""

    async def act_on_all(client: Client) -> list[DeadLetter]:
        letters = await _chosen(client, letter_ids, queue)
        return [letter for letter in letters if await _acted(act(client, letter))]

    letters = run(url, act_on_all)
    if as_json:
        print_json([letter.model_dump(mode="json") for letter in letters])
    else:
        typer.echo(f"{done} {len(letters):,} dead letter{'' if len(letters) == 1 else 's'}")


async def _chosen(client: Client, letter_ids: Sequence[str] | None, queue: str | None) -> list[DeadLetter]:
    if letter_ids:
        return [await client.dead_letter(letter_id, queue) for letter_id in letter_ids]
    # All of them first: a replayed letter that dies again would come round for ever.
    return [letter async for letter in client.dead_letters(queue)]


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
