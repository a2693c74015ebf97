"""One trace for each time that a File is read, across all processes, where OpenTelemetry's variables ask for it.

    with tracing.running("ingester"):                            the process, once
        with tracing.beginning("submit", file_id, generation):   the first span of the trace
        headers = tracing.publishing(queue, file_id, generation) what a message carries to who takes it up
        with tracing.attempting("ingest", file_id, generation, traceparent=…):
            with tracing.span("ingest.parse"):

Off, as it is by default, each of these does nothing, costs a look at a variable, and nothing of OpenTelemetry's SDK is
imported. Why a trace has the id of its File: docs/decisions/0031-a-file-is-its-own-trace.md.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

if TYPE_CHECKING:
    from penstock.tracing.spans import Spans, Value

log = structlog.get_logger()

TRACEPARENT = "traceparent"
"""The header's name (https://www.w3.org/TR/trace-context/)."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
OFF: AbstractContextManager[None] = nullcontext()


@dataclass(slots=True)
class _Current:
    """What this process traces with; None while it does not."""

    spans: Spans | None = None


_current = _Current()


@contextmanager
def running(role: str) -> Generator[None]:
    """Trace what this process does while the block runs, if the environment asks for it; at its end send what is left.

    Nothing here keeps a role from starting or ending: where traces cannot be had, the log says why.
    """
    _current.spans = spans = _open(role, os.environ)
    try:
        yield
    finally:
        _current.spans = None
        if spans is not None:
            spans.close()


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables ask for traces, by an endpoint and nothing that says no."""
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    return (
        any(environment.get(name, "").strip() for name in ENDPOINTS)
        and environment.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and "otlp" in (exporter.strip() for exporter in exporters.split(","))
    )


def beginning(
    name: str, file_id: UUID, generation: int, *, since: int | None = None, **attributes: Value
) -> AbstractContextManager[None]:
    """The block is what the File's trace begins with. It began at `since`, in ns since 1970, by default now."""
    if _current.spans is None:
        return OFF
    return _current.spans.beginning(name, file_id, generation, since=since, **attributes)


def publishing(queue: str, file_id: UUID, generation: int, **attributes: Value) -> dict[str, str]:
    """The headers of a message that is being published now: none, or the `traceparent` of that."""
    if _current.spans is None:
        return {}
    return {TRACEPARENT: _current.spans.publishing(queue, file_id, generation, **attributes)}


def attempting(
    name: str, file_id: UUID, generation: int, *, traceparent: str | None, **attributes: Value
) -> AbstractContextManager[None]:
    """The block is an attempt at a step, of a message that came with `traceparent`, or without."""
    if _current.spans is None:
        return OFF
    return _current.spans.attempting(name, file_id, generation, traceparent=traceparent, **attributes)


def span(name: str) -> AbstractContextManager[None]:
    """The block is a part of the span that it is in. Outside of one it is none, either."""
    return OFF if _current.spans is None else _current.spans.part(name)


def called(headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[None]:
    """The block answers a request with these headers, names in lower case: what begins in it is linked to the caller's
    trace.
    """
    if _current.spans is None:
        return OFF
    found = (value.decode("latin-1") for name, value in headers if name == TRACEPARENT.encode())
    return _current.spans.called(next(found, None))


def note(**attributes: Value) -> None:
    """Say more of the span that this is in."""
    if _current.spans is not None:
        _current.spans.note(**attributes)


def fail(error: Exception) -> None:
    """The span that this is in ended with an error, which its block does not raise."""
    if _current.spans is not None:
        _current.spans.fail(error)


def _open(role: str, environment: Mapping[str, str]) -> Spans | None:
    if not is_asked_for(environment):
        return None
    protocol = next((told for name in PROTOCOLS if (told := environment.get(name))), PROTOCOL)
    if protocol != PROTOCOL:
        log.warning("no traces: they are sent by another protocol only", asked_for=protocol, spoken=PROTOCOL)
        return None
    try:
        from penstock.tracing.spans import Spans  # noqa: PLC0415  (the SDK takes 0.2 s, which most do without)
    except ImportError as error:
        log.warning("no traces: install penstock[tracing]", missing=error.name)
        return None
    return Spans(role)
