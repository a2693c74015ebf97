"""`penstock files`, `status`, `delete`, `reingest`: the Files that are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import typer

from penstock.cli.client import Client
from penstock.cli.output import harmless, print_list, print_note, print_table, print_value
from penstock.cli.session import run
from penstock.errors import PenstockError, ServiceUnavailable, error_with_code
from penstock.models import File, FileStatus, page_ranges
from penstock.parsing.recognition.language_data import INSTALL


def list_files(*, status: str | None, url: str | None, as_json: bool) -> None:
    """Print the Files, newest first."""

    async def show(client: Client) -> None:
        found = client.files(**({"status": status} if status else {}))
        if as_json:
            await print_list(found)
            return
        if status == FileStatus.FAILED:
            print_table(("id", "name", "reason"), [_failure(file) async for file in found])
            return
        columns = ("id", "status", "pages", "chunks", "size", "name")
        numbers = ("pages", "chunks", "size")
        print_table(columns, [_row(file) async for file in found], right=numbers, spare=("pages", "size"))

    run(url, show)


def show_file(file_id: str, *, url: str | None, as_json: bool) -> int:
    """Print one File; the exit status tells whether it has failed."""
    file = run(url, lambda client: client.file(file_id))
    if as_json:
        print_value(file)
    else:
        _print_details(file)
    return 1 if file.error else 0


def delete_files(file_ids: list[str], *, url: str | None) -> int:
    """Delete each; the exit status."""

    async def delete(client: Client, file_id: str) -> str:
        await client.delete(file_id)
        return f"deleted   {file_id}"

    return _each(url, file_ids, delete)


def reingest_files(file_ids: list[str], *, wait: bool, url: str | None) -> int:
    """Ask for a new generation of each, and with `wait` see it to its end; the exit status."""

    async def reingest(client: Client, file_id: str) -> str:
        file = await client.reingest(file_id)
        if wait:
            file = await _settled(client, file_id)
        if file.error:
            raise error_with_code(file.error.code, f"{file.error.code}: {file.error.message}")
        return f"{file.status:<9} {file.name}"

    return _each(url, file_ids, reingest)


async def _settled(client: Client, file_id: str) -> File:
    pause = 0.1
    while not (file := await client.file(file_id)).status.settled:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1)
    return file


def _each(url: str | None, file_ids: list[str], act: Callable[[Client, str], Awaitable[str]]) -> int:
    """Do it to each File, telling of each that fails; the exit status."""

    async def act_on_all(client: Client) -> int:
        failed = 0
        for file_id in file_ids:
            try:
                typer.echo(harmless(await act(client, file_id)))
            except ServiceUnavailable:
                raise
            except PenstockError as error:
                failed += 1
                print_note(f"penstock: {file_id}: {error.message}")
        return failed

    return 1 if run(url, act_on_all) else 0


def _row(file: File) -> tuple[str, ...]:
    status = f"{file.status} ({file.error.code})" if file.error else str(file.status)
    pages = "" if file.page_count is None else f"{file.page_count:,}"
    return (str(file.file_id), status, pages, f"{file.chunk_count:,}", readable_size(file.size), file.name)


def _failure(file: File) -> tuple[str, ...]:
    return (str(file.file_id), file.name, f"{file.error.code}: {file.error.message}" if file.error else "")


def _print_details(file: File) -> None:
    details = {
        "id": file.file_id,
        "name": file.name,
        "status": file.status,
        "error": f"{file.error.code}: {file.error.message}" if file.error else None,
        "type": file.media_type,
        "language": file.language,
        "size": readable_size(file.size),
        "pages": file.page_count,
        "chunks": f"{file.chunk_count:,}, of which {file.embedded_count:,} embedded",
        "tokens": f"{file.token_count:,}",
        "coverage": _coverage(file.coverage),
        "unread": _unread(file),
        "generation": f"{file.generation}, searchable: {file.active_generation or 'none'}",
        "metadata": file.metadata or None,
        "handed in": f"{file.created_at:%Y-%m-%d %H:%M:%S %Z}",
        "settled": f"{file.settled_at:%Y-%m-%d %H:%M:%S %Z}" if file.settled_at else None,
    }
    for label, value in details.items():
        if value is not None:
            typer.echo(f"{label:<11} {harmless(str(value))}")


def _coverage(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:g} % of the words that an independent count finds"


def _unread(file: File) -> str | None:
    if not file.unread_pages:
        return None
    subject = "page {} holds a picture and was" if len(file.unread_pages) == 1 else "pages {} hold pictures and were"
    return (
        f"{subject.format(page_ranges(file.unread_pages))} not read, or not wholly. If `penstock doctor` says that "
        f"text in pictures is not recognised: {INSTALL}; then `penstock reingest {file.file_id}`"
    )


def readable_size(size: float) -> str:
    """Bytes as `12 B`, `3.4 MB`: powers of 1000, as disks and `ls` count them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
