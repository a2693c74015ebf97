"""What the routes ask for, by annotation."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from penstock.api.metrics import RequestMetrics
from penstock.api.opening import Opening
from penstock.api.readiness import Readiness
from penstock.services import Services
from penstock.settings import Settings


def _opening(request: Request) -> Opening:
    return request.app.state.opening


def _settings(opening: Annotated[Opening, Depends(_opening)]) -> Settings:
    return opening.settings


def _services(opening: Annotated[Opening, Depends(_opening)]) -> Services:
    return opening.services


def _readiness(request: Request) -> Readiness:
    return request.app.state.readiness


def _request_metrics(request: Request) -> RequestMetrics:
    return request.app.state.request_metrics


SettingsNow = Annotated[Settings, Depends(_settings)]
ReadinessNow = Annotated[Readiness, Depends(_readiness)]
RequestMetricsNow = Annotated[RequestMetrics, Depends(_request_metrics)]
OpenServices = Annotated[Services, Depends(_services)]
"""503 while they are not."""
OpeningNow = Annotated[Opening, Depends(_opening)]
"""For what needs the model only sometimes."""
