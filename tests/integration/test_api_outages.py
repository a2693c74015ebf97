"""The API while what it stands on is away, frozen, emptied or wrong."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api

from penstock.models import INGEST_QUEUE

pytestmark = pytest.mark.slow

SOON = 5.0
"""Seconds within which the API answers whatever is away."""


def assert_away(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "service_unavailable"
    assert int(response.headers["Retry-After"]) >= 1


def add(api: RunningApi, content: bytes = b"hello") -> httpx.Response:
    return api.http.post("/files", files={"file": ("a.txt", content)})


def checks(api: RunningApi) -> dict[str, str]:
    return api.http.get("/health/ready").json()["checks"]


def test_it_listens_while_nothing_else_does(
    private_postgres: RunningServer, private_redis: RunningServer, tmp_path: Path
) -> None:
    private_postgres.stop()
    private_redis.stop()
    with running_api(tmp_path, database_url=private_postgres.url, queue_url=private_redis.url) as api:
        assert not api.is_ready()
        for response in (add(api), api.http.get("/files"), api.http.get("/queues")):
            assert_away(response)
        assert_away(api.http.post("/search", json={"query": "x"}))
        assert api.http.get("/openapi.json").status_code == 200
        assert 'penstock_service_up{service="database"} 0.0' in api.http.get("/metrics").text
        private_postgres.start()
        wait_until(lambda: "queue" in api.http.get("/queues").json()["detail"], what="it gets as far as the queue")
        assert not api.is_ready()
        private_redis.start()
        wait_until(api.is_ready)
        assert add(api).status_code == 202
        assert api.log.count("a service is away") == 1
        assert " ready " in api.log
        assert "Traceback" not in api.log


def test_a_database_that_dies_and_comes_back(private_postgres: RunningServer, redis_url: str, tmp_path: Path) -> None:
    patience = {"DATABASE_CONNECT_TIMEOUT_SECONDS": "5"}
    with running_api(tmp_path, database_url=private_postgres.url, queue_url=redis_url, settings=patience) as api:
        wait_until(api.is_ready)
        private_postgres.kill()
        wait_until(lambda: not api.is_ready())
        assert checks(api)["database"] != "ok"
        assert checks(api)["queue"] == "ok"
        assert_away(api.http.get("/files"))
        assert_away(api.http.post("/search", json={"query": "x"}))
        assert api.is_live()
        private_postgres.start()
        wait_until(api.is_ready, seconds=SOON, what="however long the database was away")
        assert api.http.get("/files").status_code == 200
        assert "Traceback" not in api.log


def test_a_database_that_freezes(private_postgres: RunningServer, redis_url: str, tmp_path: Path) -> None:
    with running_api(tmp_path, database_url=private_postgres.url, queue_url=redis_url) as api:
        wait_until(api.is_ready)
        private_postgres.pause()  # from now on it starts no other one
        backends = psutil.Process(private_postgres.pid).children(recursive=True)
        for backend in backends:
            backend.suspend()
        began = time.monotonic()
        assert api.status("/health/ready") == 503
        assert checks(api)["database"] == "No answer within 2 s."
        assert 'penstock_service_up{service="database"} 0.0' in api.http.get("/metrics").text
        assert api.is_live()
        assert time.monotonic() - began < 2 * SOON
        for backend in backends:
            backend.resume()
        private_postgres.resume()
        wait_until(api.is_ready)


def test_a_queue_that_freezes(migrated_url: str, private_redis: RunningServer, tmp_path: Path) -> None:
    with running_api(tmp_path, database_url=migrated_url, queue_url=private_redis.url) as api:
        wait_until(api.is_ready)
        private_redis.pause()
        began = time.monotonic()
        assert not api.is_ready()
        assert checks(api)["queue"] == "No answer within 2 s."
        assert api.is_live()
        assert api.http.get("/files").status_code == 200
        assert api.http.post("/search", json={"query": "x"}).status_code == 200
        assert time.monotonic() - began < 2 * SOON
        private_redis.resume()
        wait_until(api.is_ready)


def test_a_file_is_taken_while_the_queue_is_frozen(
    migrated_url: str, private_redis: RunningServer, tmp_path: Path
) -> None:
    """It is recorded; a Worker's `recover` announces it when the queue is back."""
    with running_api(tmp_path, database_url=migrated_url, queue_url=private_redis.url) as api:
        wait_until(api.is_ready)
        private_redis.pause()
        began = time.monotonic()
        response = add(api)
        took = time.monotonic() - began
        assert response.status_code == 202, response.text
        assert took < 2 * SOON, took
        private_redis.resume()
        assert api.http.get(response.headers["Location"]).json()["status"] == "queued"


def test_a_queue_that_comes_back_empty(migrated_url: str, private_redis: RunningServer, tmp_path: Path) -> None:
    with running_api(tmp_path, database_url=migrated_url, queue_url=private_redis.url) as api:
        wait_until(api.is_ready)
        assert add(api).status_code == 202
        wait_until(lambda: redis_command(private_redis.url, "XLEN", INGEST_QUEUE) == 1)
        redis_command(private_redis.url, "FLUSHALL")
        assert api.is_ready()
        assert api.http.get("/queues").json()["ingest-queue"]["waiting"] == 0
        assert add(api).status_code == 202
        assert api.http.get("/queues").json()["ingest-queue"]["waiting"] == 1
        private_redis.kill()
        wait_until(lambda: not api.is_ready())
        assert_away(api.http.get("/queues"))
        assert add(api).status_code == 202, "the row is the truth"
        private_redis.start()
        wait_until(api.is_ready)
        assert add(api).status_code == 202
        assert "Traceback" not in api.log


def test_an_object_store_that_is_full_or_gone(migrated_url: str, redis_url: str, tmp_path: Path) -> None:
    with running_api(tmp_path, database_url=migrated_url, queue_url=redis_url) as api:
        wait_until(api.is_ready)
        kept = api.objects.rename(tmp_path / "kept")
        api.objects.touch()
        wait_until(lambda: not api.is_ready(), what="the store's check is repeated")
        assert checks(api)["object_store"] != "ok"
        assert_away(add(api))
        assert api.http.get("/files").json()["items"] == [], "nothing is recorded that is not stored"
        api.objects.unlink()
        kept.rename(api.objects)
        wait_until(api.is_ready)
        assert add(api).status_code == 202


def test_a_model_that_is_away_stops_only_searches_that_need_it(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    settings = {"EMBEDDING_URL": url, "EMBEDDING_MODEL": "remote", "EMBEDDING_MAX_TOKENS": "100"}
    with running_api(tmp_path, database_url=migrated_url, queue_url=redis_url, settings=settings) as api:
        wait_until(lambda: api.status("/files") == 200)
        assert add(api).status_code == 202
        assert checks(api)["embedding"] != "ok"
        assert_away(api.http.post("/search", json={"query": "x"}))
        assert api.http.post("/search", json={"query": "x", "mode": "text"}).json() == []


def test_an_installation_that_cannot_work_ends_with_its_exit_status(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    def run(name: str, value: str) -> tuple[int, str]:
        folder = tmp_path / name
        folder.mkdir()
        wrong = {name: value}
        with running_api(folder, database_url=database_url, queue_url=redis_url, wait=False, settings=wrong) as api:
            return api.process.wait(60), api.log

    status, log = run("EMBEDDING_MODEL", str(tmp_path / "nowhere"))
    assert (status, "nowhere" in log) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, log = run("API_PORT", str(taken.getsockname()[1]))
    assert (status, "Another program listens on port" in log) == (6, True)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into schema_migrations (version, name) values (9999, 'future')")
    status, log = run("API_HOST", "127.0.0.1")
    assert (status, "9999" in log) == (7, True)


def test_it_can_be_stopped_before_it_is_ready(private_postgres: RunningServer, redis_url: str, tmp_path: Path) -> None:
    private_postgres.stop()
    with running_api(tmp_path, database_url=private_postgres.url, queue_url=redis_url) as api:
        assert not api.is_ready()
        assert api.stop() == 0
        assert "Traceback" not in api.log


def test_files_whose_messages_are_lost_wait_again_where_no_worker_runs(
    migrated_url: str, redis_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute(
            "insert into files (file_id, name, object_key, owns_object, size, status, announced_at)"
            " values (gen_random_uuid(), 'a.txt', 'none', false, 1, 'queued', now() - interval '1 hour')"
        )
    with running_api(tmp_path, database_url=migrated_url, queue_url=redis_url) as api:
        wait_until(lambda: redis_command(redis_url, "XLEN", INGEST_QUEUE) == 1, what="its message, once more")
        assert "messages were lost" in api.log
