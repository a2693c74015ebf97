"""Everything on one machine: starts the parts in order, watches them, and stops them in the opposite order."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from penstock.errors import AlreadyRunning, InvalidSettings, PortTaken
from penstock.local.core_api import read_backlog
from penstock.local.data_folder import (
    DataFolder,
    FolderLock,
    default_data_folder,
    explain,
    find_data_folder,
    make_data_folder,
)
from penstock.local.part import Part, PartPlan, Stage
from penstock.local.part_log import PartLog
from penstock.local.plans import (
    ROLES,
    Roles,
    UpOptions,
    plan_api,
    plan_postgres,
    plan_redis,
    plan_workers,
    settings_for,
    stop_seconds,
)
from penstock.local.run_state import ProcessName, RunState, forget_state, read_state, write_state
from penstock.local.scaler import ScaledRole, Scaler
from penstock.local.terminal import Terminal
from penstock.scaling import Scaled
from penstock.settings import PREFIX, Settings, describe

ORPHAN_SECONDS = 5.0
"""What the parts of a killed supervisor get to end by themselves; their database is going away with them."""
LOCK_SECONDS = 30.0
POLL_SECONDS = 0.05
NOT_OUR_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_everything(options: UpOptions, settings: Settings, *, given: frozenset[str], roles: Roles = ROLES) -> None:
    """Run Penstock on `options.data` until Ctrl-C or SIGTERM; returns when everything has stopped.

    `given` names the groups (`database`, `queue`, `object_store`) whose URL the user set: they are used as they are.
    Raises `SetupError` and its kinds, with nothing left running.
    """
    terminal = Terminal()
    folder = make_data_folder(options.data)
    lock = FolderLock(folder)
    take_over(folder, lock, terminal)
    try:
        check_port(options.host, options.port)
        supervisor = Supervisor(folder, lock, options, settings, given=given, roles=roles, terminal=terminal)
        asyncio.run(supervisor.run())
    finally:
        lock.release()


def take_over(folder: DataFolder, lock: FolderLock, terminal: Terminal) -> None:
    """Get the lock, if need be from what a killed supervisor left behind. Raises `AlreadyRunning`."""
    began = time.monotonic()
    while not lock.take():
        state = read_state(folder)
        waited = time.monotonic() - began
        if state and state.supervisor.lives():
            raise AlreadyRunning(
                f"Penstock already runs on {folder.path} ({state.url}, pid {state.supervisor.pid}); "
                f"stop it with penstock down{_data_option(folder)}."
            )
        if waited > LOCK_SECONDS:
            raise AlreadyRunning(f"Processes of an earlier Penstock still use {folder.path}; end them, then try again.")
        if state and waited > ORPHAN_SECONDS:
            terminal.say("Ending what is left of a Penstock that was killed.")
            end_orphans(state)
        time.sleep(POLL_SECONDS)


def _data_option(folder: DataFolder) -> str:
    return "" if folder == find_data_folder(default_data_folder()) else f" --data {folder.path}"


def end_orphans(state: RunState) -> None:
    """Kill the parts of a run whose supervisor is gone."""
    for part in state.parts.values():
        part.send(signal.SIGKILL)


def free_port(host: str) -> int:
    """A port of `host` that nothing listens on."""
    return _try_port(host, 0)


def check_port(host: str, port: int) -> None:
    """Raise `PortTaken` now rather than after everything else has started."""
    _try_port(host, port)


def _try_port(host: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except PermissionError as error:
        raise PortTaken(f"Port {port} is kept for the system's own programs; choose another with --port.") from error
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno in NOT_OUR_ADDRESS:
            raise InvalidSettings(f"{host} is not an address of this machine; choose another with --host.") from error
        raise PortTaken(f"Another program listens on port {port} of {host}; choose another with --port.") from error


class Supervisor:
    """One run of everything."""

    def __init__(
        self,
        folder: DataFolder,
        lock: FolderLock,
        options: UpOptions,
        settings: Settings,
        *,
        given: frozenset[str],
        roles: Roles,
        terminal: Terminal,
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._options = options
        self._settings = settings
        self._given = given
        self._roles = roles
        self._terminal = terminal
        self._parts: dict[Part, asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        """Held here, for the loop itself does not hold its tasks."""
        self._end = asyncio.Event()
        self._failure: BaseException | None = None
        self._state = RunState(
            url=options.url,
            supervisor=ProcessName.of(os.getpid()),
            started_at=datetime.now(UTC),
            stop_seconds=stop_seconds(settings),
        )

    async def run(self) -> None:
        """Start everything, watch it until a signal or a failure, stop everything. Raises the failure."""
        self._obey_signals()
        self._remember()
        starting = asyncio.create_task(self._start())
        starting.add_done_callback(self._end_if_failed)
        await self._end.wait()
        starting.cancel()
        await asyncio.wait({starting})
        await self._stop()
        forget_state(self._folder)
        if self._failure is not None:
            raise self._failure

    async def _start(self) -> None:
        urls = await self._start_servers()
        settings = settings_for(self._settings, self._options, **urls)
        await self._migrate(settings)
        scaled = await self._start_roles(settings)
        self._state = self._state.model_copy(update={"ready": True})
        self._remember()
        self._terminal.ready(self._options.url)
        if scaled:
            await self._scale(scaled)

    async def _start_roles(self, settings: Settings) -> list[ScaledRole]:
        """The API, and the Workers that run in any case; returns the roles whose number changes from then on."""
        parts = [self.launch(plan_api(settings, self._options, self._roles))]
        scaled: list[ScaledRole] = []
        for plans in plan_workers(settings, self._options, self._roles):
            workers = {number: self.launch(plans.plan(number)) for number in range(1, plans.limits.least + 1)}
            parts += workers.values()
            if plans.rule is not None:
                scaled.append(ScaledRole(plans, plans.rule, workers, Scaled(plans.limits.least)))
        await asyncio.gather(*(part.ready.wait() for part in parts))
        return scaled

    async def _scale(self, roles: list[ScaledRole]) -> None:
        read = partial(read_backlog, self._options.host, self._options.port)
        await Scaler(roles, self, read_backlog=read, terminal=self._terminal).run()

    async def _start_servers(self) -> dict[str, str]:
        """The URLs of what is not given, each by the name of its group of settings."""
        urls = {} if self._tell_if_given("objects", "object_store") else {"object_store": self._folder.objects.as_uri()}
        starts = dict[str, Awaitable[str]]()
        if not self._tell_if_given("postgres", "database"):
            starts["database"] = self._start_server(partial(plan_postgres, connections=self._connections))
        if not self._tell_if_given("redis", "queue"):
            starts["queue"] = self._start_server(plan_redis)
        return urls | dict(zip(starts, await asyncio.gather(*starts.values()), strict=True))

    @property
    def _connections(self) -> int:
        processes = 1 + self._options.ingesters.most + self._options.embedders.most
        return processes * self._settings.database.pool_size

    def _tell_if_given(self, part: str, group: str) -> bool:
        variable = f"{PREFIX}{group}_URL".upper()
        shown = {name: value for name, value, _ in describe(self._settings)}
        if group in self._given:
            self._terminal.part(part, f"not ours: {variable} is set, {shown[variable]}")
        return group in self._given

    async def _start_server(self, planner: Callable[[DataFolder], tuple[PartPlan, str]]) -> str:
        began = time.monotonic()
        plan, url = await asyncio.to_thread(planner, self._folder)
        await self._start_part(plan, began=began)
        return url

    async def _migrate(self, settings: Settings) -> None:
        # Not at the top: it brings psycopg along, 0.3 s that `penstock --help` need not wait.
        from penstock.database.migrate import migrate  # noqa: PLC0415

        if done := await asyncio.to_thread(migrate, settings.database):
            self._terminal.part("schema", f"version {done[-1].version}")

    async def _start_part(self, plan: PartPlan, *, began: float | None = None) -> None:
        """Return when the part is ready for the first time."""
        await self.launch(plan, began=began).ready.wait()

    def launch(self, plan: PartPlan, *, began: float | None = None) -> Part:
        """Start a part; it is watched from now on, also before it is ready."""
        part = Part(
            plan,
            log=PartLog(self._folder.logs / f"{plan.name}.log"),
            terminal=self._terminal,
            inherited=(self._lock.fileno(),),
            on_start=self._remember_part,
            began=began,
        )
        self._parts[part] = asyncio.create_task(part.keep_running())
        self._parts[part].add_done_callback(self._end_if_failed)
        return part

    def retire(self, part: Part) -> None:
        """Have one part stop as everything does in the end, and forget it."""
        retiring = asyncio.create_task(self._retire(part))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        retiring.add_done_callback(self._end_if_failed)

    def has(self, part: Part) -> bool:
        return part in self._parts

    async def _retire(self, part: Part) -> None:
        await part.stop(self._parts[part])
        del self._parts[part]
        self._forget_part(part.plan.name)

    async def _stop(self) -> None:
        self._terminal.say("Stopping; Ctrl-C again ends everything at once.")
        for stage in Stage:
            parts = {part: task for part, task in self._parts.items() if part.plan.stage is stage}
            await asyncio.gather(*(part.stop(task) for part, task in parts.items()))
        await asyncio.gather(*self._retiring)  # they still write the state
        self._terminal.say("Penstock has stopped.")

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signal_number in STOP_SIGNALS:
            if signal_number != signal.SIGHUP or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                loop.add_signal_handler(signal_number, self._obey)

    def _obey(self) -> None:
        if self._end.is_set():  # the second time
            for part in self._parts:
                part.kill()
        self._end.set()

    def _end_if_failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failure = self._failure or error
            self._end.set()

    def _remember_part(self, name: str, pid: int) -> None:
        self._state = self._state.model_copy(update={"parts": self._state.parts | {name: ProcessName.of(pid)}})
        self._remember()

    def _forget_part(self, name: str) -> None:
        parts = {other: process for other, process in self._state.parts.items() if other != name}
        self._state = self._state.model_copy(update={"parts": parts})
        self._remember()

    def _remember(self) -> None:
        try:
            write_state(self._folder, self._state)
        except OSError as error:  # a disk that filled up while we run: no reason to stop everything
            self._terminal.say(explain(error, self._folder.path).message)
