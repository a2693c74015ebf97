"""What `penstock COMMAND --help` prints, of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from penstock.cli import app

COLUMNS = 100


def helps() -> str:
    """A heading and the help of each command."""
    return "\n".join(_help("penstock", typer.main.get_command(app)))


def _help(name: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=name, terminal_width=COLUMNS)
    yield f"## `{name}`\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for below, each in getattr(command, "commands", {}).items():
        yield from _help(f"{name} {below}", each)
