"""What can be typed: the client commands with their arguments and help.

Each imports what does its work inside the function: HTTP and Rich take 0.5 s to import, which
`penstock --help` and completion must not wait for.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.local_url import DEFAULT_URL

Url = Annotated[
    str | None,
    typer.Option(
        envvar="PENSTOCK_URL",
        help=f"Where Penstock answers; by default where `penstock up` on this machine does, else {DEFAULT_URL}.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout and nothing else there.")]
FileIds = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of Files, as `penstock files` shows them.")]


class Mode(StrEnum):
    HYBRID = "hybrid"
    VECTOR = "vector"
    TEXT = "text"


class Status(StrEnum):
    """`FileStatus`, said again because the models take 0.1 s to import; a test holds the two equal."""

    QUEUED = "queued"
    INGESTING = "ingesting"
    EMBEDDING = "embedding"
    COMPLETE = "complete"
    FAILED = "failed"


class Origin(StrEnum):
    """`chunking.document.Origin`, for the same reason."""

    BODY = "body"
    HEADER = "header"
    FOOTER = "footer"
    FOOTNOTE = "footnote"
    ENDNOTE = "endnote"
    COMMENT = "comment"
    SPEAKER_NOTES = "speaker_notes"
    FORM_FIELD = "form_field"
    HIDDEN = "hidden"
    EMBEDDED = "embedded"
    RECOGNISED = "recognised"


class Queue(StrEnum):
    """`models.QUEUES`, for the same reason."""

    INGEST = "ingest-queue"
    EMBEDDING = "embedding-queue"


def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files or folders.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Hand in also what is in subfolders of a folder.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End when all is uploaded; the work goes on.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Hand in also what is there already, unchanged.")] = False,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept with each File; may be given several times.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Hand files or folders in and wait until each is complete or failed.

    A folder's own files are handed in, and with --recursive those of its subfolders; hidden ones
    are not. A file that is there already, under the same name with the same content, is not handed
    in again. Exits with 1 if any file failed. Ctrl-C ends the waiting, not the work.
    """
    from penstock.cli.add import add_paths, metadata_of
    from penstock.cli.hand_in import Order

    order = Order(paths=paths, recursive=recursive, again=again, metadata=metadata_of(metadata or []))
    raise typer.Exit(add_paths(order, url=url, wait=not no_wait, as_json=as_json))


def search(
    query: Annotated[
        str, typer.Argument(help='A question or some words; what is in "double quotes" must stand there so.')
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many passages to show.")] = 10,
    files: Annotated[list[str] | None, typer.Option("--file", metavar="ID", help="Only in this File.")] = None,
    mode: Annotated[Mode, typer.Option(help="By meaning (vector), by words (text), or both.")] = Mode.HYBRID,
    names: Annotated[list[str] | None, typer.Option("--name", help="Only in Files with exactly this name.")] = None,
    media_types: Annotated[
        list[str] | None, typer.Option("--media-type", metavar="TYPE", help="Only in Files like application/pdf.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only in Files that were handed in with it.")
    ] = None,
    pages: Annotated[str | None, typer.Option(metavar="N|N-M", help="Only on these pages, slides or sheets.")] = None,
    origins: Annotated[
        list[Origin] | None, typer.Option("--origin", help="Only text from there, such as comments.")
    ] = None,
    without_origins: Annotated[
        list[Origin] | None, typer.Option("--without-origin", help="No text from there.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="WORDS", help="No passages with this word or phrase.")
    ] = None,
    context: Annotated[
        int, typer.Option(min=0, max=10, metavar="N", help="Show so many passages before and after each, too.")
    ] = 0,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Search all complete Files and show the passages that fit best.

    Words of the query are bold where they stand. An option that takes one value may be given several times: a
    passage must fit one of them, and with --metadata, --without-origin and --without all.
    """
    from penstock.cli.add import metadata_of
    from penstock.cli.search import page_range, search_passages

    filters = {
        "file_ids": files,
        "names": names,
        "media_types": media_types,
        "metadata": metadata_of(metadata or []),
        "pages": page_range(pages),
        "origins": origins,
        "without_origins": without_origins,
        "without": without,
    }
    search_passages(query, k=k, mode=mode, filters=filters, context=context, url=url, as_json=as_json)


def files(
    status: Annotated[Status | None, typer.Option(help="Only Files of this status.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List the Files, newest first."""
    from penstock.cli.files import list_files

    list_files(status=status, url=url, as_json=as_json)


def status(
    file_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a File.")],
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show one File. Exits with 1 if it has failed."""
    from penstock.cli.files import show_file

    raise typer.Exit(show_file(file_id, url=url, as_json=as_json))


def delete(file_ids: FileIds, url: Url = None) -> None:
    """Delete Files with their Chunks and vectors."""
    from penstock.cli.files import delete_files

    raise typer.Exit(delete_files(file_ids, url=url))


def reingest(
    file_ids: FileIds,
    wait: Annotated[bool, typer.Option("--wait", help="End when each is complete or failed.")] = False,
    url: Url = None,
) -> None:
    """Parse and embed Files anew; meanwhile search sees their old text."""
    from penstock.cli.files import reingest_files

    raise typer.Exit(reingest_files(file_ids, wait=wait, url=url))


def queues(as_json: Json = False, url: Url = None) -> None:
    """Show what waits, is in work and was given up on."""
    from penstock.cli.queues import show_queues

    show_queues(url=url, as_json=as_json)


def doctor(as_json: Json = False, url: Url = None) -> None:
    """Check all that Penstock needs and say what to do. Exits with 1 on errors."""
    from penstock.cli.doctor import examine

    raise typer.Exit(examine(url=url, as_json=as_json))


dead_letters = typer.Typer(
    name="dead-letters",
    help="Look at messages that were given up on; put them back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
LetterIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids, as `penstock dead-letters list` shows them.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every dead letter, or every one of --queue and --code.")]
OnQueue = Annotated[Queue | None, typer.Option("--queue", help="Only those of this queue.")]
WithCode = Annotated[str | None, typer.Option("--code", help="Only those with this error code, as `gave_up`.")]


@dead_letters.command("list")
def list_letters(queue: OnQueue = None, code: WithCode = None, as_json: Json = False, url: Url = None) -> None:
    """List the dead letters, oldest first."""
    from penstock.cli.dead_letters import Which, print_letters

    print_letters(Which(queue, code), url=url, as_json=as_json)


@dead_letters.command("show")
def show_letters(
    letter_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids, as `dead-letters list` shows them.")],
    queue: OnQueue = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show all that is known of dead letters."""
    from penstock.cli.dead_letters import print_details

    print_details(letter_ids, queue, url=url, as_json=as_json)


@dead_letters.command("replay")
def replay_letters(
    letter_ids: LetterIds = None,
    everything: All = False,
    queue: OnQueue = None,
    code: WithCode = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Put dead letters back on their queue, all attempts before them."""
    from penstock.cli.dead_letters import Which, replay

    replay(_ids_or_all(letter_ids, everything, code), Which(queue, code), url=url, as_json=as_json)


@dead_letters.command("drop")
def drop_letters(
    letter_ids: LetterIds = None,
    everything: All = False,
    queue: OnQueue = None,
    code: WithCode = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Forget dead letters; their Files stay as they are."""
    from penstock.cli.dead_letters import Which, drop

    drop(_ids_or_all(letter_ids, everything, code), Which(queue, code), url=url, as_json=as_json)


def _ids_or_all(letter_ids: list[str] | None, everything: bool, code: str | None) -> list[str] | None:
    """The ids given; None for all."""
    if everything == bool(letter_ids):
        raise typer.BadParameter("give the ids of dead letters, or --all for every one", param_hint="ID")
    if letter_ids and code:
        raise typer.BadParameter("goes with --all; ids already say which", param_hint="--code")
    return letter_ids or None
