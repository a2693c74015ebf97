"""`penstock up` and `penstock down`: everything on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penstock.local.limits import Limits
    from penstock.local.plans import UpOptions

Data = Annotated[
    Path | None, typer.Option(help="Keep everything here. [default: PENSTOCK_DATA, else ~/.local/share/penstock]")
]


def up(  # Typer's options
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen on this port; 0: any free one. [default: 8321]")
    ] = None,
    ingesters: Annotated[
        str,
        typer.Option(
            metavar="N|LEAST-MOST|auto",
            help="Processes that parse and chunk: so many, or as many of so many as there is work for; auto: 0 to one "
            "for every two processors.",
        ),
    ] = "1",
    embedders: Annotated[
        str,
        typer.Option(
            metavar="N|LEAST-MOST|auto",
            help="Processes that embed; auto: 0 to 1, which uses every processor, or to 4 with an embedding service.",
        ),
    ] = "1",
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready; it runs on.")] = False,
) -> None:
    """Run everything on this machine: database, queues, the API and the Workers. Ctrl-C drains and stops."""
    from penstock.local.background import start_in_background
    from penstock.local.data_folder import default_data_folder, make_data_folder
    from penstock.local.limits import auto_embedders, auto_ingesters
    from penstock.local.plans import UpOptions, given_groups
    from penstock.local.supervisor import free_port, run_everything
    from penstock.processors import available_processors
    from penstock.settings import load_settings

    settings = load_settings()
    limits = (
        limits_of("--ingesters", ingesters, auto=auto_ingesters(available_processors())),
        limits_of("--embedders", embedders, auto=auto_embedders(settings)),
    )
    host = host or settings.api.host
    port = settings.api.port if port is None else port
    options = UpOptions(data or default_data_folder(), host, port or free_port(host), *limits)
    if detach:
        folder = make_data_folder(options.data)
        raise typer.Exit(start_in_background(command_of(options), folder))
    run_everything(options, settings, given=given_groups(os.environ))


def down(data: Data = None) -> None:
    """Stop what `penstock up` started: work in hand is finished or given back, nothing is lost."""
    from penstock.local.background import stop_everything
    from penstock.local.data_folder import default_data_folder, find_data_folder

    folder = find_data_folder(data or default_data_folder())
    stopped = stop_everything(folder)
    typer.echo(f"Penstock on {folder.path} {'has stopped' if stopped else 'does not run'}.", err=True)


def limits_of(option: str, text: str, *, auto: Limits) -> Limits:
    """What an option says of the number of Workers; what says nothing is wrong usage."""
    from penstock.local.limits import parse_limits

    try:
        return parse_limits(text, auto=auto)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def command_of(options: UpOptions) -> list[str]:
    """The command line that runs these options in the foreground."""
    command = [sys.executable, "-P", "-m", "penstock", "up"]
    for name in ("data", "host", "port", "ingesters", "embedders"):
        command += [f"--{name}", str(getattr(options, name))]
    return command
