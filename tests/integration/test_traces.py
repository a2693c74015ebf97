"""Traces of real processes, received over a real socket: one for each File, across API, Ingester and Embedder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from otlp_receiver import Receiver, Span, receiving
from real_servers import wait_until
from redis import Redis
from running_api import RunningApi, running_api

from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE

pytestmark = pytest.mark.slow

CALLER = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@contextmanager
def penstock(
    database_url: str, redis_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str
) -> Generator[RunningApi]:
    """API, Ingester and Embedder, which end in good order with the block."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = {"PARSING_CHILDREN": "1", "QUEUE_RETRY_SECONDS": "0.1"}
    with running_api(folder, database_url=database_url, queue_url=redis_url, settings=settings) as api:
        wait_until(api.is_ready)
        environment = dict(os.environ) | {
            "PENSTOCK_DATABASE_URL": database_url,
            "PENSTOCK_QUEUE_URL": redis_url,
            "PENSTOCK_OBJECT_STORE_URL": api.objects.as_uri(),
            "PENSTOCK_EMBEDDING_MODEL": "fake://384",
            **{f"PENSTOCK_{name}": value for name, value in settings.items()},
        }
        logs = {role: folder / f"{role}.log" for role in ("ingester", "embedder")}
        workers = [_start(role, environment, log) for role, log in logs.items()]
        try:
            yield api
            for process in (api.process, *workers):
                process.send_signal(signal.SIGTERM)
            assert [process.wait(30) for process in (api.process, *workers)] == [0, 0, 0]
            assert all("Traceback" not in log.read_text() for log in (api.log_path, *logs.values()))
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def _start(role: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen([sys.executable, "-m", "penstock", role], env=environment, stderr=stderr)


def hand_in(api: RunningApi, content: bytes, **headers: str) -> UUID:
    answer = api.http.post("/files?name=gauges.txt", content=content, headers=headers)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["file_id"])


def settled(api: RunningApi, file_id: UUID) -> bool:
    return api.http.get(f"/files/{file_id}").json()["status"] in ("complete", "failed")


def has_exporter(api: RunningApi) -> bool:
    """Whether the process has loaded protobuf, which only the exporter brings."""
    return "google/_upb" in Path(f"/proc/{api.process.pid}/maps").read_text()


def one(spans: list[Span]) -> Span:
    (found,) = spans
    return found


def test_a_file_is_one_trace_across_api_ingester_and_embedder(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    with penstock(database_url, redis_url, tmp_path, monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as api:
        good = hand_in(api, b"Gauge 7 shows 3 bar.", traceparent=f"00-{CALLER}-b7ad6b7169203331-01")
        bad = hand_in(api, b"%PDF-1.7\n")
        for file_id in (good, bad):
            wait_until(lambda file_id=file_id: settled(api, file_id), what="the file")
        assert api.http.post(f"/files/{good}/reingest").status_code == 202
        wait_until(lambda: settled(api, good), what="the file, once more")
        assert has_exporter(api), "else the test of what is off would find nothing, ever"
    assert set(receiver.paths) == {"/v1/traces"}
    _is_whole([span for span in receiver.spans if span.trace_id == good.hex], good)
    _tells_the_error([span for span in receiver.spans if span.trace_id == bad.hex], bad)
    again = [span for span in receiver.spans if span.trace_id not in (good.hex, bad.hex)]
    first = one([span for span in again if span.name == "reingest"])
    assert {span.trace_id for span in again} == {UUID(int=good.int + 1).hex}
    assert first.attributes["penstock.generation"] == 2
    assert {span.name for span in again} >= {"reingest", "ingest", "embed"}


def _is_whole(trace: list[Span], file_id: UUID) -> None:
    by_id = {span.span_id: span for span in trace}
    assert len(by_id) == len(trace)
    by_name = {span.name: span for span in trace}

    def above(name: str) -> str:
        parent = by_id.get(by_name[name].parent_id)
        return "" if parent is None else parent.name

    assert {name: above(name) for name in by_name if name != "embed.reuse"} == {
        "submit": "",
        "submit.store": "submit",
        "submit.record": "submit",
        f"publish {INGEST_QUEUE}": "submit",
        "ingest": f"publish {INGEST_QUEUE}",
        "ingest.fetch": "ingest",
        "ingest.parse": "ingest",
        "ingest.store_text": "ingest",
        "ingest.record": "ingest",
        f"publish {EMBEDDING_QUEUE}": "submit",
        "embed": f"publish {EMBEDDING_QUEUE}",
        "embed.find": "embed",
        "embed.engine": "embed",
        "embed.record": "embed",
    }
    assert by_name["submit"].parent_id == "", "the first of all, and no part of the caller's trace"
    assert by_name["submit"].links == [CALLER]
    services = {span.name.partition(".")[0]: span.service for span in trace if not span.name.startswith("publish")}
    assert services == {"submit": "penstock-api", "ingest": "penstock-ingester", "embed": "penstock-embedder"}
    ingest, embed = by_name["ingest"], by_name["embed"]
    assert (ingest.kind, by_name["submit"].kind) == ("CONSUMER", "SERVER")
    assert (
        ingest.attributes.items()
        >= {
            "penstock.file_id": str(file_id),
            "penstock.generation": 1,
            "penstock.attempt": 1,
            "penstock.chunks": 1,
            "penstock.media_type": "text/plain",
            "penstock.verdict": "done",
        }.items()
    )
    assert embed.attributes.items() >= {"penstock.chunks": 1, "penstock.complete": True}.items()
    assert not any(span.failed for span in trace)


def _tells_the_error(trace: list[Span], file_id: UUID) -> None:
    failed = one([span for span in trace if span.name == "ingest"])
    assert failed.failed
    assert failed.attributes["error.type"] == "corrupt_file"
    assert failed.attributes["penstock.verdict"] == "bury"
    assert failed.attributes["penstock.code"] == "corrupt_file"
    assert failed.attributes["penstock.file_id"] == str(file_id)
    assert len(failed.exceptions) == 1
    assert one([span for span in trace if span.name == "ingest.parse"]).failed
    assert not one([span for span in trace if span.name == "submit"]).failed


def test_off_nothing_is_sent_and_no_message_has_a_header(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with running_api(tmp_path, database_url=database_url, queue_url=redis_url) as api:
        wait_until(api.is_ready)
        hand_in(api, b"Gauge 7.", traceparent=f"00-{CALLER}-b7ad6b7169203331-01")
        with closing(Redis.from_url(redis_url)) as redis:  # pyright: ignore[reportUnknownMemberType]  # **kwargs
            queue: Any = redis
            wait_until(lambda: queue.xlen(INGEST_QUEUE) == 1, what="the message")
            ((_, fields),) = queue.xrange(INGEST_QUEUE)
        assert b"correlation_id" in fields[b"__data__"], "where FastStream's headers are"
        assert b"traceparent" not in fields[b"__data__"]
        assert not has_exporter(api)
        assert api.stop() == 0
    assert receiver.paths == []


def test_a_collector_that_does_not_answer_holds_nobody_up(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with running_api(tmp_path, database_url=database_url, queue_url=redis_url) as api:
            wait_until(api.is_ready)
            hand_in(api, b"Gauge 7.")
            api.process.send_signal(signal.SIGTERM)
            assert api.process.wait(9) == 0
            assert "the last traces could not be sent" in api.log
