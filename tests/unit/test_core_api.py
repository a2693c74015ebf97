"""What the supervisor understands of the answers of its Core API, or of whoever has its port."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from penstock.local.core_api import answers, read_backlog
from penstock.models import EMBEDDING_QUEUE, INGEST_QUEUE, QueueDepth

HOST = "127.0.0.1"
Serve = Callable[[int, bytes], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves one answer to everything; the port."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int, body: bytes) -> int:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  # the base class's name

        servers.append(http.server.HTTPServer((HOST, 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return servers[-1].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_backlog_is_what_waits_and_what_is_in_work(serve: Serve) -> None:
    depths = {
        INGEST_QUEUE: QueueDepth(waiting=7, in_flight=2, dead_letters=5, oldest_seconds=1.5),
        EMBEDDING_QUEUE: QueueDepth(waiting=0, in_flight=0, dead_letters=1, oldest_seconds=None),
    }
    port = serve(200, json.dumps({name: depth.model_dump() for name, depth in depths.items()}).encode())
    assert read_backlog(HOST, port) == {INGEST_QUEUE: 9, EMBEDDING_QUEUE: 0}


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff", b"[]", b"{}", b"3", b"null", b'{"ingest-queue": {"waiting": 1, "in_flight": 0}}',
     b'{"ingest-queue": 1, "embedding-queue": 2}', b'{"ingest-queue": {}, "embedding-queue": {}}'],
)  # fmt: skip
def test_what_is_no_backlog_is_not_taken_for_one(serve: Serve, body: bytes) -> None:
    assert read_backlog(HOST, serve(200, body)) is None


def test_who_does_not_answer_well_is_not_ready_and_tells_nothing(serve: Serve) -> None:
    port = serve(503, b"{}")
    assert not answers(HOST, port)
    assert read_backlog(HOST, port) is None
    assert answers(HOST, serve(200, b""))
    assert read_backlog(HOST, 1) is None, "nobody listens there"
