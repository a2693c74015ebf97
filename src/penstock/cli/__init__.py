"""The command `penstock`.

Each command's module is light: what is slow to import (HTTP, Rich, the roles) is imported inside
the command, so that `penstock --help` and completion answer at once.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from penstock.cli import commands, roles, up
from penstock.cli.version import installed_version
from penstock.errors import PenstockError, SetupError

EXIT_STATUSES = """\b
Exit statuses:
  0    done
  1    something failed: a file, a request, or nothing answers
  2    wrong usage, or a setting is wrong
  3    the embedding model is not to be found
  4    the data folder cannot be used
  5    Penstock already runs on this data folder
  6    another program listens on the port
  7    the database is of another version
  130  interrupted with Ctrl-C
"""

app = typer.Typer(
    name="penstock",
    help="Files in, searchable vectors out.",
    epilog=EXIT_STATUSES,
    no_args_is_help=True,
    rich_markup_mode=None,  # Rich help costs 0.2 s
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (up.up, up.down):
    app.command()(command)
for command in (commands.add, commands.search, commands.files, commands.status, commands.delete, commands.reingest):
    app.command()(command)
app.command()(commands.queues)
app.add_typer(commands.dead_letters)
app.command()(commands.doctor)
for command in (roles.api, roles.ingester, roles.embedder, roles.migrate, roles.asyncapi):
    app.command()(command)


def main() -> NoReturn:
    """Run the command line. Every failure that we foresaw ends here: one line on stderr and an exit status."""
    try:
        app()
    except PenstockError as error:
        sys.stderr.write(f"penstock: {error.message}\n")
        sys.exit(error.exit_status if isinstance(error, SetupError) else 1)
    sys.exit(0)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"penstock {installed_version()}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]  # Typer calls it
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...
