"""The API over real HTTP, on real PostgreSQL and Redis: Files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api


@pytest.fixture(scope="module")
def api(
    make_database: Callable[[], str], redis_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    redis_command(redis_server.url, "FLUSHALL")
    with running_api(
        tmp_path_factory.mktemp("api"), database_url=make_database(), queue_url=redis_server.url, API_MAX_UPLOAD_MB="2"
    ) as running:
        wait_until(running.is_ready)
        yield running


def test_an_uploaded_file_is_stored_recorded_and_announced(api: RunningApi) -> None:
    waiting = api.http.get("/queues").json()["ingest-queue"]["waiting"]
    response = api.http.post("/files", files={"file": ("Bericht für Zoë.txt", b"hello", "text/plain")})
    assert response.status_code == 202
    file = response.json()
    assert response.headers["Location"] == f"/files/{file['file_id']}"
    assert (file["name"], file["size"], file["status"]) == ("Bericht für Zoë.txt", 5, "queued")
    assert file["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert (api.objects / file["object_key"]).read_bytes() == b"hello"
    assert api.http.get(f"/files/{file['file_id']}").json() == file
    assert api.http.get("/queues").json()["ingest-queue"]["waiting"] == waiting + 1
