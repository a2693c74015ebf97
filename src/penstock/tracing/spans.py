"""Spans, by OpenTelemetry's SDK, to wherever its variables say, by OTLP over HTTP. Imported only where they do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from uuid import UUID

import structlog
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

log = structlog.get_logger()

Value = str | int | float | bool
"""Of an attribute."""

CLOSE_SECONDS = 3.0
"""A collector that does not answer must not hold up who stops: what it has not got then is lost."""
PROPAGATOR = TraceContextTextMapPropagator()


def ids_of(file_id: UUID, generation: int) -> tuple[int, int]:
    """The ids of a File's trace and of its first span: every process knows them, and nobody has to hand them on.

    The trace of the first generation has the File's own id; each other is one more.
    """
    trace_id = (file_id.int + generation - 1) % 2**128 or 1
    digest = hashlib.sha256(b"first span of " + trace_id.to_bytes(16, "big")).digest()
    return trace_id, int.from_bytes(digest[:8], "big") or 1


class Spans:
    """What a process traces with."""

    def __init__(self, role: str) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=_resource(role), id_generator=self._ids, shutdown_on_exit=False
        )  # the sampler is that of OTEL_TRACES_SAMPLER
        self._provider.sampler = self._sampler = _Evenly(self._provider.sampler)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("penstock", version("penstock"))

    def close(self) -> None:
        """Send what is left, if somebody takes it."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():
            log.warning("the last traces could not be sent", waited_seconds=CLOSE_SECONDS)

    @contextmanager
    def beginning(
        self, name: str, file_id: UUID, generation: int, *, since: int | None, **attributes: Value
    ) -> Generator[None]:
        caller = get_current_span().get_span_context()
        with self._ids.being(ids_of(file_id, generation)):
            first = self._tracer.start_span(
                name,
                context=Context(),
                kind=SpanKind.SERVER,
                attributes=_of_file(file_id, generation, **attributes),
                links=[Link(caller)] if caller.is_valid else (),
                start_time=since,
            )
        with _within(first):
            yield

    def publishing(self, queue: str, file_id: UUID, generation: int, **attributes: Value) -> str:
        """A span of the moment, and its `traceparent`."""
        published = self._tracer.start_span(
            f"publish {queue}",
            context=self._first_span_of(file_id, generation),
            kind=SpanKind.PRODUCER,
            attributes=_of_message("send", queue) | _of_file(file_id, generation, **attributes),
        )
        published.end()
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier, set_span_in_context(published))
        return carrier["traceparent"]

    @contextmanager
    def attempting(
        self, name: str, file_id: UUID, generation: int, *, traceparent: str | None, **attributes: Value
    ) -> Generator[None]:
        attempt = self._tracer.start_span(
            name,
            context=_carried(traceparent) or self._first_span_of(file_id, generation),
            kind=SpanKind.CONSUMER,
            attributes=_of_file(file_id, generation, **attributes),
        )
        with _within(attempt):
            yield

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        if not get_current_span().get_span_context().is_valid:  # it would begin a trace of its own
            yield
            return
        with _within(self._tracer.start_span(name)):
            yield

    @contextmanager
    def called(self, traceparent: str | None) -> Generator[None]:
        caller = _carried(traceparent)
        if caller is None:
            yield
            return
        token = contexts.attach(caller)
        try:
            yield
        finally:
            contexts.detach(token)

    def note(self, **attributes: Value) -> None:
        get_current_span().set_attributes(_named(attributes))

    def fail(self, error: Exception) -> None:
        failed = get_current_span()
        failed.record_exception(error)
        _mark(failed, error)

    def _first_span_of(self, file_id: UUID, generation: int) -> Context:
        """As it is known without having seen it: whether it is recorded tells the sampler."""
        trace_id, span_id = ids_of(file_id, generation)
        sampled = self._sampler.should_sample(Context(), trace_id, "").decision.is_sampled()
        flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
        first = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
        return set_span_in_context(NonRecordingSpan(first), Context())


class _Ids(RandomIdGenerator):
    """Random ids, except for the span that is started while it is `being` another."""

    def __init__(self) -> None:
        self._wanted: ContextVar[tuple[int, int] | None] = ContextVar("ids of the next span", default=None)

    @contextmanager
    def being(self, ids: tuple[int, int]) -> Generator[None]:
        token = self._wanted.set(ids)
        try:
            yield
        finally:
            self._wanted.reset(token)

    def generate_trace_id(self) -> int:
        wanted = self._wanted.get()
        return super().generate_trace_id() if wanted is None else wanted[0]

    def generate_span_id(self) -> int:
        wanted = self._wanted.get()
        return super().generate_span_id() if wanted is None else wanted[1]


class _Evenly(Sampler):
    """A sampler that is shown a hash of the trace's id.

    The SDK takes its decision by the last 64 bits, and those of a UUID begin with the same two: of a tenth of all
    Files it would take none.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0917  # as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        mixed = int.from_bytes(hashlib.sha256(trace_id.to_bytes(16, "big")).digest()[:16], "big")
        return self._sampler.should_sample(parent_context, mixed, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Evenly{{{self._sampler.get_description()}}}"


@contextmanager
def _within(span: Span) -> Generator[None]:
    """The span is current in the block, and ends with it; an error is marked, and told in full where it is caught."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            _mark(span, error)
            raise


def _mark(span: Span, error: Exception) -> None:
    span.set_attribute("error.type", getattr(error, "code", type(error).__qualname__))
    span.set_status(Status(StatusCode.ERROR, str(error)))


def _carried(traceparent: str | None) -> Context | None:
    """Where a message or a request comes from; None where it does not say, or nothing that can be read."""
    if traceparent is None:
        return None
    found = PROPAGATOR.extract({"traceparent": traceparent}, Context())
    return found if get_current_span(found).get_span_context().is_valid else None


def _of_file(file_id: UUID, generation: int, **attributes: Value) -> dict[str, Value]:
    return _named({"file_id": str(file_id), "generation": generation, **attributes})


def _of_message(operation: str, queue: str) -> dict[str, Value]:
    return {"messaging.operation.type": operation, "messaging.destination.name": queue}


def _named(attributes: dict[str, Value]) -> dict[str, Value]:
    return {f"penstock.{name}": value for name, value in attributes.items()}


def _resource(role: str) -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, and what they leave to us."""
    ours = {
        "service.name": f"penstock-{role}",
        "service.version": version("penstock"),
        "penstock.role": role,
    }
    given = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in ours.items() if name not in given})
