"""`penstock doctor`: check all that Penstock needs, and say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from penstock.cli.checks import (
    Check,
    check_bucket_events,
    check_database,
    check_disk,
    check_machine,
    check_memory,
    check_model,
    check_object_store,
    check_queue,
    check_recognition,
    disk_folder,
)
from penstock.cli.client import Client
from penstock.cli.output import console, harmless, print_json
from penstock.cli.session import run
from penstock.errors import InvalidSettings, PenstockError
from penstock.local import postgres, redis
from penstock.local.account import database_account
from penstock.local.data_folder import DataFolder, default_data_folder, find_data_folder
from penstock.local.run_state import read_state
from penstock.local.socket_folder import socket_folder
from penstock.settings import Settings, describe, load_settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def examine(*, url: str | None, as_json: bool) -> int:
    """Print what is found; the exit status tells whether there are errors."""
    folder = find_data_folder(default_data_folder())
    local = _local_services(folder)
    settings = _settings(local | dict(os.environ))
    shown = console()
    checks: list[Check] = []
    for check in _checks(settings, folder, runs_here=bool(local), url=url):
        checks.append(check)
        if not as_json:
            _print(shown, check)
    effective = {} if isinstance(settings, Check) else {name: value for name, value, _ in describe(settings)}
    if as_json:
        print_json({"checks": [asdict(check) for check in checks], "settings": effective})
    else:
        _print_settings(shown, effective)
    return 1 if any(check.state == "error" for check in checks) else 0


def _local_services(folder: DataFolder) -> dict[str, str]:
    """The variables that lead to the servers of the Penstock that runs on `folder`; none if none runs."""
    state = read_state(folder)
    if state is None or not state.supervisor.lives():
        return {}
    account = database_account(folder.postgres)
    database_sockets = socket_folder(folder.postgres, postgres.SOCKET_NAME, account)
    database = postgres.Postgres(folder.postgres, database_sockets, account, connections=0)
    queue_sockets = socket_folder(folder.redis, redis.SOCKET_NAME, None)
    queue = redis.Redis(folder.redis, queue_sockets / redis.SOCKET_NAME)
    return {
        "PENSTOCK_DATABASE_URL": database.url,
        "PENSTOCK_QUEUE_URL": queue.url,
        "PENSTOCK_OBJECT_STORE_URL": folder.objects.as_uri(),
    }


def _settings(environment: Mapping[str, str]) -> Settings | Check:
    """The effective settings, or what is wrong with them."""
    try:
        return load_settings({name: value for name, value in environment.items() if name.startswith("PENSTOCK_")})
    except InvalidSettings as error:
        return Check("settings", "error", error.message, "correct or unset these variables")


def _checks(settings: Settings | Check, folder: DataFolder, *, runs_here: bool, url: str | None) -> Iterator[Check]:
    yield check_machine()
    yield check_memory()
    if isinstance(settings, Check):
        yield settings
    else:
        yield Check("settings", "ok", "all are valid")
        yield check_model(settings.embedding)
        yield check_recognition(settings.parsing)
        yield from _service_checks(settings, folder, runs_here=runs_here)
    yield _check_api(url, expected=runs_here or url is not None)


def _service_checks(settings: Settings, folder: DataFolder, *, runs_here: bool) -> Iterator[Check]:
    if not runs_here and "PENSTOCK_DATABASE_URL" not in os.environ:
        advice = "start it with `penstock up`, or set PENSTOCK_DATABASE_URL, _QUEUE_URL and _OBJECT_STORE_URL"
        yield Check("services", "warning", f"no Penstock runs on {folder.path}, and no database is named", advice)
        yield check_disk(folder.path)
        return
    yield check_database(settings.database)
    yield check_queue(settings.queue)
    yield check_object_store(settings.object_store)
    if settings.bucket.events_url:
        yield check_bucket_events(settings.bucket.events_url)
    yield check_disk(disk_folder(settings.object_store, folder.path))


def _check_api(url: str | None, *, expected: bool) -> Check:
    async def ready(client: Client) -> tuple[str, dict[str, str]]:
        return client.url, await client.readiness()

    try:
        where, states = run(url, ready)
    except PenstockError as error:
        # A machine of Workers has no API, and need not have one.
        return Check("api", "error" if expected else "warning", error.message)
    away = {name: state for name, state in states.items() if state != "ok"}
    if away:
        problems = ", ".join(f"{name}: {state}" for name, state in away.items())
        return Check("api", "error", f"{where} answers, but {problems}", "see the checks of these services above")
    return Check("api", "ok", f"{where} is ready")


def _print(shown: Console, check: Check) -> None:
    line = Text.assemble((f"{check.state:<8}", STYLES[check.state]), (f"{check.name:<17}", "bold"))
    line.append(harmless(check.found, keep="\n"))
    shown.print(line, soft_wrap=True)
    if check.advice:
        shown.print(Text(f"{'':<25}{check.advice}", style="dim"), soft_wrap=True)


def _print_settings(shown: Console, effective: Mapping[str, str]) -> None:
    if effective:
        shown.print(Text("\nEffective settings", style="bold"))
    for variable, value in effective.items():
        shown.print(Text(f"  {variable:<35} {harmless(value)}"), soft_wrap=True)
