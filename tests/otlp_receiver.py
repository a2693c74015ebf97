"""Receives traces over HTTP, as a collector does: OTLP with a protobuf body, on a socket of its own."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Told

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as it came."""

    service: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    attributes: dict[str, Value]
    failed: bool
    exceptions: list[str]
    """The messages of the errors that it tells."""
    links: list[str]
    """The traces that it is linked to."""


@dataclass(slots=True)
class Receiver:
    """What came, and where to send it."""

    url: str
    spans: list[Span] = field(default_factory=list[Span])
    paths: list[str] = field(default_factory=list[str])

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiving() -> Generator[Receiver]:
    """A receiver on a free port while the block runs."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.paths.append(self.path)
            receiver.spans += spans_of(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def spans_of(body: bytes) -> list[Span]:
    """The spans of one request."""
    return [
        _span({each.key: each.value.string_value for each in group.resource.attributes}["service.name"], told)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for told in scope.spans
    ]


def _span(service: str, told: Told) -> Span:
    return Span(
        service=service,
        trace_id=told.trace_id.hex(),
        span_id=told.span_id.hex(),
        parent_id=told.parent_span_id.hex(),
        name=told.name,
        kind=Told.SpanKind.Name(told.kind).removeprefix("SPAN_KIND_"),
        attributes={each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in told.attributes},
        failed=told.status.code == told.status.STATUS_CODE_ERROR,
        exceptions=[
            each.value.string_value
            for event in told.events
            for each in event.attributes
            if each.key == "exception.message"
        ],
        links=[link.trace_id.hex() for link in told.links],
    )
