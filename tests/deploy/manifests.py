"""What the tests of `deploy/` ask of every file: that it says what the code says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.routing import Route

from penstock.api.app import create_app
from penstock.api.opening import Opening
from penstock.cli import app as cli
from penstock.settings import PREFIX, Settings, load_settings
from penstock.workers.health import Health
from penstock.workers.health_pages import application

ROOT = Path(__file__).resolve().parents[2]
DRAIN = "PENSTOCK_WORKER_DRAIN_SECONDS"
MARGIN_SECONDS = 15
"""What giving messages back and closing take after the drain, at the least that an orchestrator must leave."""

Manifest = dict[str, Any]


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that a container with this environment loads. Raises `InvalidSettings` as the container would."""
    return load_settings({name: value for name, value in environment.items() if name.startswith(PREFIX)})


def commands() -> set[str]:
    """Of `penstock`."""
    found: set[str] = set()
    for command in cli.registered_commands:
        assert command.callback is not None
        found.add(command.name or command.callback.__name__)
    return found


def api_paths() -> set[str]:
    return set(create_app(Opening(Settings())).openapi()["paths"])


def worker_paths() -> set[str]:
    return {route.path for route in application(Health("ingester")).routes if isinstance(route, Route)}
