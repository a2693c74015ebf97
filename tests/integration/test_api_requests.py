"""Requests that are wrong, large, many or broken off, over real HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api

pytestmark = pytest.mark.slow

LIMIT_MB = 2
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def api(
    module_database_url: str, redis_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    redis_command(redis_server.url, "FLUSHALL")
    folder = tmp_path_factory.mktemp("api")
    with running_api(
        folder,
        database_url=module_database_url,
        queue_url=redis_server.url,
        settings={"API_MAX_UPLOAD_MB": str(LIMIT_MB)},
    ) as running:
        wait_until(running.is_ready)
        yield running
        assert "Traceback" not in running.log, running.log


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert problem["title"]
    assert problem["detail"]
    return problem


JSON_BODY = {"Content-Type": "application/json"}


WRONG, MISSING = (422, "invalid_request"), (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "sent", "status_and_code"),
    [
        ("GET", "/nowhere", {}, MISSING),
        ("GET", "/files/", {}, MISSING),
        ("PUT", "/files", {}, (405, "invalid_request")),
        ("GET", "/search", {}, (405, "invalid_request")),
        ("GET", "/files/x", {}, WRONG),
        ("GET", f"/files/{NOBODY}", {}, MISSING),
        ("GET", f"/files/{NOBODY}/chunks", {}, MISSING),
        ("GET", f"/files/{NOBODY}/chunks?cursor=zzzz", {}, WRONG),
        ("GET", f"/files/{NOBODY}/text", {}, MISSING),
        ("DELETE", f"/files/{NOBODY}", {}, MISSING),
        ("POST", f"/files/{NOBODY}/reingest", {}, MISSING),
        ("GET", "/batches/x", {}, WRONG),
        ("GET", "/files?limit=0", {}, WRONG),
        ("GET", "/files?limit=1001", {}, WRONG),
        ("GET", "/files?status=lost", {}, WRONG),
        ("GET", "/files?batch=x", {}, WRONG),
        ("GET", "/files?colour=red", {}, WRONG),
        ("GET", "/files?name=%00", {}, WRONG),
        ("GET", "/files?media_type=%00", {}, WRONG),
        ("GET", "/files?settled_after=yesterday", {}, WRONG),
        ("GET", "/files?cursor=zzzz", {}, WRONG),
        ("GET", "/files?cursor=", {}, WRONG),
        ("GET", "/dead-letters?queue=other", {}, WRONG),
        ("GET", "/dead-letters?cursor=zzzz", {}, WRONG),
        ("GET", "/dead-letters/ingest-queue/1-0", {}, MISSING),
        ("GET", "/dead-letters/ingest-queue/nonsense", {}, MISSING),
        ("DELETE", "/dead-letters/ingest-queue/(1-0", {}, MISSING),
        ("POST", "/dead-letters/ingest-queue/+/replay", {}, MISSING),
        ("GET", "/dead-letters/other/1-0", {}, WRONG),
        ("POST", "/search", {}, WRONG),
        ("POST", "/search", {"json": {}}, WRONG),
        ("POST", "/search", {"json": []}, WRONG),
        ("POST", "/search", {"json": {"query": " \n"}}, WRONG),
        ("POST", "/search", {"json": {"query": "a\x00"}}, WRONG),
        ("POST", "/search", {"content": b'{"query": "\\ud800"}', "headers": JSON_BODY}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "k": 0}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "k": 101}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "mode": "magic"}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "context": 11}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "context": -1}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"colour": 1}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"pages": [7, 3]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"pages": [0, 3]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"pages": [1, 10**12]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"origins": ["heaven"]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"without": ["\x00"]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"names": ["\x00"]}}}, WRONG),
        ("POST", "/search", {"json": {"query": "x", "filters": {"metadata": {"a": "\x00"}}}}, WRONG),
        ("POST", "/search", {"content": b"{", "headers": JSON_BODY}, WRONG),
        ("POST", "/search", {"content": b"[" * 100_000, "headers": JSON_BODY}, (400, "invalid_request")),
        ("POST", "/search", {"content": b"\xff\xfe", "headers": JSON_BODY}, WRONG),
        ("POST", "/search", {"content": b" " * 9_000_000, "headers": JSON_BODY}, (413, "too_large")),
        ("POST", "/files/lookup", {"json": {"files": [{"name": "a", "sha256": "x"}]}}, WRONG),
        ("POST", "/files/reference", {"json": {"object_key": "nope"}}, (404, "object_missing")),
        ("POST", "/files/reference", {"json": {"object_key": "../etc/passwd"}}, WRONG),
        ("POST", "/files/reference", {"json": {"object_key": "/etc/passwd"}}, WRONG),
        ("POST", "/files/reference", {"json": {"object_key": "files"}}, (404, "object_missing")),
        ("POST", "/files/uploads", {"json": {"name": "a"}}, (409, "presigning_unsupported")),
        ("POST", "/files/uploads", {"json": {"name": ""}}, WRONG),
        ("POST", f"/files/uploads/{NOBODY}/complete", {}, (404, "not_found")),
        ("POST", "/files/uploads/x/complete", {}, WRONG),
        ("GET", f"/files/{NOBODY}/content", {}, (404, "not_found")),
        ("POST", "/files", {}, WRONG),
        ("POST", "/files?name=a&metdata={}", {"content": b"x"}, WRONG),
        ("POST", "/files", {"content": b"x"}, WRONG),
        ("POST", "/files?name=a&batch=x", {"content": b"x"}, WRONG),
        ("POST", "/files?name=a&metadata=[]", {"content": b"x"}, WRONG),
        ("POST", "/files", {"files": {"other": b"x"}}, WRONG),
        ("POST", "/files", {"files": [("file", ("a", b"1")), ("file", ("b", b"2"))]}, WRONG),
        ("POST", "/files", {"files": {"file": ("a", b"x" * 3 * 2**20)}}, (413, "too_large")),
    ],
)
def test_every_error_is_a_problem(
    api: RunningApi, method: str, path: str, sent: dict[str, Any], status_and_code: tuple[int, str]
) -> None:
    assert_problem(api.http.request(method, path, **sent), *status_and_code)
    assert api.stored_objects() == []


def test_a_wrong_field_is_named_and_what_was_sent_is_not_repeated(api: RunningApi) -> None:
    problem = assert_problem(api.http.post("/search", json={"query": "secret", "k": "secret"}), 422, "invalid_request")
    assert problem["errors"][0]["loc"] == ["body", "k"]
    assert "body.k" in problem["detail"]
    assert "secret" not in json.dumps(problem)


def test_405_says_what_is_allowed(api: RunningApi) -> None:
    assert set(api.http.put("/queues").headers["Allow"].split(", ")) == {"GET"}


@pytest.mark.parametrize("as_form", [True, False])
def test_an_upload_of_unknown_length_is_cut_off_at_the_limit(api: RunningApi, as_form: bool) -> None:
    """Without a Content-Length, and the client hears it: the connection is not reset under it."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
    pieces = (head if as_form and number == 0 else b"x" * 65_536 for number in range(400))
    content_type = "multipart/form-data; boundary=b" if as_form else "application/octet-stream"
    response = api.http.post("/files?name=big", content=pieces, headers={"Content-Type": content_type})
    assert_problem(response, 413, "too_large")
    assert api.stored_objects() == []
    assert api.http.get("/health/live").status_code == 200


def test_a_client_that_reads_nothing_before_it_has_sent_all_hears_of_413(api: RunningApi) -> None:
    size = 40 * 2**20
    with socket.create_connection(("127.0.0.1", httpx.URL(api.url).port or 0), 20) as connection:
        connection.sendall(f"POST /files?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65_536):
            connection.sendall(b"x" * 65_536)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 "), "the connection is still good for the next request"


def test_a_file_of_exactly_the_limit_is_taken(api: RunningApi) -> None:
    exact = b"x" * (LIMIT_MB * 2**20)
    response = api.http.post("/files", files={"file": ("exact", exact)})
    assert (response.status_code, response.json()["size"]) == (202, len(exact))
    api.http.delete(response.headers["Location"])


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_goes_away_leaves_nothing(api: RunningApi, reset: bool) -> None:
    name = str(uuid4())
    connection = socket.create_connection(("127.0.0.1", httpx.URL(api.url).port or 0), 20)
    connection.sendall(f"POST /files?name={name} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n".encode())
    connection.sendall(b"x" * 1_500_000)
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
    wait_until(lambda: 'status="499"' in api.http.get("/metrics").text, what="the request ends")
    assert api.http.get("/files", params={"name": name}).json()["items"] == []
    assert api.stored_objects() == []


async def test_many_uploads_at_once(api: RunningApi) -> None:
    batch = str(uuid4())
    contents = [os.urandom(50_000) for _ in range(50)]
    async with httpx.AsyncClient(base_url=api.url, timeout=60, trust_env=False) as http:

        async def upload(number: int) -> httpx.Response:
            form = {"file": (f"{number}.bin", contents[number])}
            return await http.post("/files", params={"batch": batch}, files=form)

        responses = await asyncio.gather(*(upload(number) for number in range(50)))
    assert [response.status_code for response in responses] == [202] * 50
    for response, content in zip(responses, contents, strict=True):
        assert response.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert api.http.get(f"/batches/{batch}").json()["files"]["queued"] == 50
    for response in responses:
        api.http.delete(response.headers["Location"])


async def test_an_upload_of_300_mb_passes_through_without_being_held(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("large")
    piece, count = os.urandom(2**20), 300
    with running_api(folder, database_url=database_url, queue_url=redis_url) as api:
        wait_until(api.is_ready)
        before = api.memory
        peak = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal peak
            for _ in range(count):
                yield piece
                peak = max(peak, api.memory)

        async with httpx.AsyncClient(base_url=api.url, timeout=300, trust_env=False) as http:
            response = await http.post("/files?name=large.bin", content=body())
        assert response.status_code == 202, response.text
        assert response.json()["size"] == count * len(piece)
        assert response.json()["sha256"] == hashlib.sha256(piece * count).hexdigest()
        assert peak - before < 100 * 2**20, f"{(peak - before) / 2**20:.0f} MiB"


def test_sigterm_lets_an_upload_finish(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("drain")
    begun, may_end = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"first"
        begun.set()
        may_end.wait(20)
        yield b"last"

    with running_api(folder, database_url=database_url, queue_url=redis_url) as api:
        wait_until(api.is_ready)
        responses: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: responses.append(api.http.post("/files?name=slow", content=body())))
        thread.start()
        assert begun.wait(20)
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not _listens(api.url), what="no new connections")
        may_end.set()
        thread.join(20)
        assert [response.status_code for response in responses] == [202]
        assert api.process.wait(20) == 0
        assert "Traceback" not in api.log


def test_sigterm_is_said_to_whoever_sends_requests_before_the_api_goes(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("linger")
    with running_api(
        folder, database_url=database_url, queue_url=redis_url, settings={"API_LINGER_SECONDS": "300"}
    ) as api:
        wait_until(api.is_ready)
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: api.http.get("/health/ready").json()["status"] == "draining", what="the API to say so")
        assert api.http.get("/health/ready").status_code == 503
        assert api.http.get("/health/live").status_code == 200
        assert api.http.post("/files?name=late", content=b"Gauge 7.").status_code == 202
        assert api.stop() == 0, "a second signal does not wait"
        assert "Traceback" not in api.log


def test_sigterm_waits_no_longer_than_the_drain_limit(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("drain")
    with running_api(
        folder, database_url=database_url, queue_url=redis_url, settings={"WORKER_DRAIN_SECONDS": "1"}
    ) as api:
        wait_until(api.is_ready)
        with socket.create_connection(("127.0.0.1", httpx.URL(api.url).port or 0), 20) as connection:
            connection.sendall(b"POST /files?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
            assert api.stop() == 0
        assert api.stored_objects() == []


def _listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), 1).close()
    except OSError:
        return False
    return True
