"""Pieces of pages that are written from the code whenever the site is built, and so cannot go stale."""

from __future__ import annotations

from collections.abc import Callable

from from_code import api, commands, errors, metrics, models, pictures, retries, settings, tree

PIECES: dict[str, Callable[[str], str]] = {
    "settings": lambda _: settings.tables(),
    "fields": models.fields,
    "statuses": lambda _: models.statuses(),
    "error": errors.facts,
    "errors": lambda _: errors.index(),
    "api": lambda _: api.operations(),
    "schemas": lambda _: api.schemas(),
    "commands": lambda _: commands.helps(),
    "metrics": lambda _: metrics.tables(),
    "pipeline": lambda _: pictures.pipeline(),
    "layers": lambda _: tree.picture(),
    "modules": tree.modules,
    "retries": lambda _: retries.waits(),
}
"""What may stand in a page as `<!-- from code: NAME ARGUMENT -->`: Markdown for it, given the argument."""
