"""Which parts run, and how: the embedded servers unless the settings name others, the API, and the Workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from penstock.local.core_api import answers
from penstock.local.data_folder import DataFolder
from penstock.local.limits import Limits, embedder_rule, ingester_rule, parser_children
from penstock.local.part import PartPlan, Stage
from penstock.local.part_log import POSTGRES_WARNING, REDIS_WARNING
from penstock.local.postgres import MAJOR_VERSION, forget_impostor, prepare_postgres
from penstock.local.program import Program
from penstock.local.redis import prepare_redis
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE
from penstock.processors import available_processors
from penstock.scaling import ScalingRule
from penstock.settings import PREFIX, Settings, environment_of, load_settings

Roles = Mapping[str, tuple[str, ...]]
"""The command of each role."""
ROLES: Roles = MappingProxyType(
    # -P: a file in the user's folder must not pass for one of our modules.
    {role: (sys.executable, "-P", "-m", "penstock", role) for role in ("api", "ingester", "embedder")}
)
REDIS_STOP_SECONDS = 10.0
POSTGRES_STOP_SECONDS = 30.0
GRACE_SECONDS = 5.0
"""What a role gets beyond its drain limit, to give back what it did not finish."""


ONE = Limits(1, 1)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `penstock up` was asked for."""

    data: Path
    host: str
    port: int
    ingesters: Limits = ONE
    embedders: Limits = ONE

    @property
    def url(self) -> str:
        return _url(self.host, self.port)


def given_groups(environment: Mapping[str, str]) -> frozenset[str]:
    """The groups whose URL the user set: a server of their own, which we do not start but use."""
    groups = ("database", "queue", "object_store")
    return frozenset(group for group in groups if f"{PREFIX}{group}_URL".upper() in environment)


def plan_postgres(folder: DataFolder, *, connections: int) -> tuple[PartPlan, str]:
    """The embedded PostgreSQL and its URL. Makes the cluster the first time, which takes a second."""
    server = prepare_postgres(folder.postgres, connections=connections)
    opened = [str(path) for path in server.opened if not path.is_relative_to(folder.path)]
    note = f"; lets its user walk through {', '.join(opened)}" if opened else ""
    plan = PartPlan(
        name="postgres",
        stage=Stage.SERVER,
        program=server.program,
        stop_seconds=POSTGRES_STOP_SECONDS,
        detail=f"PostgreSQL {MAJOR_VERSION}, {folder.postgres}{note}",
        is_ready=server.is_ready,
        before_start=partial(forget_impostor, server.data),
        warning=POSTGRES_WARNING,
    )
    return plan, server.url


def plan_redis(folder: DataFolder) -> tuple[PartPlan, str]:
    """The embedded Redis and its URL."""
    server = prepare_redis(folder.redis)
    plan = PartPlan(
        name="redis",
        stage=Stage.SERVER,
        program=server.program,
        stop_seconds=REDIS_STOP_SECONDS,
        detail=f"Redis, {folder.redis}",
        is_ready=lambda _: server.is_ready(),
        before_start=server.repair,
        warning=REDIS_WARNING,
    )
    return plan, server.url


def settings_for(settings: Settings, options: UpOptions, **urls: str) -> Settings:
    """The settings of the roles: the user's, with our address and the `urls` of embedded parts in them."""
    overrides = {f"{PREFIX}{group}_URL".upper(): url for group, url in urls.items()}
    overrides |= {
        "PENSTOCK_API_HOST": options.host,
        "PENSTOCK_API_PORT": str(options.port),
        "PENSTOCK_WORKER_HEALTH_PORT": "0",  # several Workers of one machine would fight for it
    }
    if settings.log.level in ("warning", "error"):
        overrides["PENSTOCK_LOG_LEVEL"] = "info"  # Workers say `ready` at that level; the terminal shows warnings only
    return load_settings(environment_of(settings) | overrides)


def plan_api(settings: Settings, options: UpOptions, roles: Roles = ROLES) -> PartPlan:
    """The Core API, as `settings` tell it."""
    return PartPlan(
        name="api",
        stage=Stage.API,
        program=_program(roles["api"], settings),
        stop_seconds=settings.api.linger_seconds + settings.worker.drain_seconds + GRACE_SECONDS,
        detail=options.url,
        is_ready=lambda _: answers(options.host, options.port),
    )


@dataclass(frozen=True, slots=True)
class WorkerPlans:
    """The Workers of one role."""

    role: str
    queue: str
    limits: Limits
    rule: ScalingRule | None
    """How many of them a backlog wants; None: as many as the limits say, which are equal."""
    program: Program
    stop_seconds: float

    def plan(self, number: int) -> PartPlan:
        """The Worker with this number, from 1. Those that run in any case have to be there for Penstock to be ready."""
        return PartPlan(
            name=f"{self.role}-{number}",
            stage=Stage.WORKER,
            program=self.program,
            stop_seconds=self.stop_seconds,
            must_start=number <= self.limits.least,
        )


def plan_workers(settings: Settings, options: UpOptions, roles: Roles = ROLES) -> list[WorkerPlans]:
    """The Workers, as `settings` tell them.

    An Ingester alone takes all cores for its parser children; those whose number changes share them.
    """
    ingesters, embedders, scaling = options.ingesters, options.embedders, settings.scaling
    children = settings.parsing.children or parser_children(ingesters, available_processors())
    shared = settings if ingesters.are_equal else _with_children(settings, children)
    ingester = None if ingesters.are_equal else ingester_rule(ingesters, children=children, scaling=scaling)
    embedder = None if embedders.are_equal else embedder_rule(embedders, scaling=scaling)
    programs = {"ingester": _program(roles["ingester"], shared), "embedder": _program(roles["embedder"], settings)}
    plan = partial(WorkerPlans, stop_seconds=settings.worker.drain_seconds + GRACE_SECONDS)
    return [
        plan("ingester", INGEST_QUEUE, ingesters, ingester, programs["ingester"]),
        plan("embedder", EMBEDDING_QUEUE, embedders, embedder, programs["embedder"]),
    ]


def _with_children(settings: Settings, children: int) -> Settings:
    return load_settings(environment_of(settings) | {"PENSTOCK_PARSING_CHILDREN": str(children)})


def _program(command: tuple[str, ...], settings: Settings) -> Program:
    return Program(command, environment=dict(os.environ) | environment_of(settings))


def stop_seconds(settings: Settings) -> float:
    """The longest that stopping everything takes, stage by stage."""
    drain = settings.worker.drain_seconds + GRACE_SECONDS
    return settings.api.linger_seconds + 2 * drain + POSTGRES_STOP_SECONDS + GRACE_SECONDS


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
