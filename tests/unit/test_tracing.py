"""When there are traces and when not, what they cost where there are none, and which of them are taken."""

from __future__ import annotations

import subprocess
import sys
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from penstock import tracing
from penstock.tracing.spans import Spans, ids_of

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

IMPORTS = """
import sys
from penstock import tracing
from penstock.cli import roles
with tracing.running("api"):
    import penstock.api, penstock.workers.ingester, penstock.workers.embedder, penstock.queues.sqs
    from uuid import UUID
    assert tracing.publishing("ingest-queue", UUID(int=1), 1) == {}
    for name in ("beginning", "attempting"):
        more = {"traceparent": None} if name == "attempting" else {}
        with getattr(tracing, name)("x", UUID(int=1), 1, **more), tracing.span("y"), tracing.called([]):
            tracing.note(a=1)
            tracing.fail(ValueError())
dear = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf", "requests", "penstock.tracing.")
print(sorted(name for name in sys.modules if name.startswith(dear)))
"""


def test_off_nothing_that_traces_is_imported() -> None:
    """FastAPI imports OpenTelemetry's API, and redis-py what the SDK has for metrics, where it is installed."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], env={}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("variables", "asked_for"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "documents"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
    ],
)
def test_the_variables_ask_for_traces_or_do_not(variables: dict[str, str], asked_for: bool) -> None:
    assert tracing.is_asked_for(variables) == asked_for


def test_without_the_extra_or_with_another_protocol_the_log_says_why_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT["OTEL_EXPORTER_OTLP_ENDPOINT"])
    monkeypatch.setitem(sys.modules, "penstock.tracing.spans", None)
    with capture_logs() as told, tracing.running("api"):
        assert tracing.publishing("ingest-queue", UUID(int=1), 1) == {}
    assert [line["event"] for line in told] == ["no traces: install penstock[tracing]"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with capture_logs() as told, tracing.running("api"):
        assert tracing.publishing("ingest-queue", UUID(int=1), 1) == {}
    assert [(line["asked_for"], line["spoken"]) for line in told] == [("grpc", "http/protobuf")]


def test_the_first_trace_of_a_file_has_its_id() -> None:
    file_id = uuid4()
    assert ids_of(file_id, 1)[0] == file_id.int
    assert ids_of(file_id, 3)[0] == file_id.int + 2
    assert ids_of(file_id, 1) == ids_of(file_id, 1)
    assert len({ids_of(file_id, generation)[1] for generation in range(1, 100)}) == 99


@pytest.mark.parametrize(("sampler", "share"), [("parentbased_traceidratio", 0.1), ("traceidratio", 0.7)])
def test_the_share_of_files_that_is_asked_for_is_traced_by_all_alike(
    monkeypatch: pytest.MonkeyPatch, sampler: str, share: float
) -> None:
    """Of UUIDs, the SDK's own sampler takes none for 0.1 and some four fifths for 0.7."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT["OTEL_EXPORTER_OTLP_ENDPOINT"])
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", str(share))
    api, ingester = Spans("api"), Spans("ingester")
    files = [uuid4() for _ in range(1000)]
    told = [spans.publishing("ingest-queue", file, 1) for file in files for spans in (api, ingester)]
    taken = [traceparent.endswith(("01", "03")) for traceparent in told]
    assert taken[::2] == taken[1::2]
    assert share - 0.06 < sum(taken[::2]) / len(files) < share + 0.06
