"""One role in the foreground, for containers: `api`, `ingester`, `embedder`, `migrate`; and `asyncapi`.

Each imports its role inside the command. The roles bring OpenVINO, FastAPI and psycopg with them,
which no client command needs, and which would make `penstock --help` take seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penstock.settings import Settings


def api() -> None:
    """Run the Core API in the foreground."""
    settings = _prepared("api")

    from penstock import tracing
    from penstock.api import run

    with tracing.running("api"):
        run(settings)


def ingester() -> None:
    """Run one Ingester in the foreground."""
    settings = _prepared("ingester")

    from penstock import tracing
    from penstock.workers.ingester import run

    with tracing.running("ingester"):
        run(settings)


def embedder() -> None:
    """Run one Embedder in the foreground."""
    settings = _prepared("embedder")

    from penstock import tracing
    from penstock.workers.embedder import run

    with tracing.running("embedder"):
        run(settings)


def migrate() -> None:
    """Bring the database to this version's schema, and end."""
    settings = _prepared("migrate")

    from penstock.database.migrate import run

    run(settings)


def asyncapi(
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of stdout.")] = None,
) -> None:
    """Print the AsyncAPI document of the queues, as JSON."""
    from penstock.queues.asyncapi import document
    from penstock.settings import load_settings

    text = document(load_settings().queue)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text, encoding="utf-8")


def _prepared(role: str) -> Settings:
    """The settings, once logging goes as they say. Raises `InvalidSettings`."""
    from penstock.logs import configure
    from penstock.settings import load_settings

    settings = load_settings()
    configure(settings.log, role=role)
    return settings
