"""The same code on servers by URL: another PostgreSQL over TCP, the distribution's Redis with sentinels, SQS, NATS, S3.

What is accepted is the same everywhere; on Redis and files, as `penstock up` has them, `test_one_machine.py` asks more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from installation import EXAMPLES, Installation, penstock_up
from real_servers import RunningServer, free_port, postgres_in, redis_command, wait_until
from redis_servers import INSTALLED, PASSWORD, PREFIX, Watched, watched_redis
from watched_bucket import Bucket, bucket_on

from penstock.local import postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def postgres_16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The older PostgreSQL of the embedded server's wheel, over TCP. Only the test knows where it comes from."""
    port = free_port()
    older = postgres._installation().with_name("pginstall")
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "_installation", lambda: older)
        patch.setattr(postgres, "MAJOR_VERSION", 16)
        patch.setattr(postgres, "INITDB_OPTIONS", [o for o in postgres.INITDB_OPTIONS if "locale" not in o])
        patch.setattr(postgres, "SETTINGS", postgres.SETTINGS | {"listen_addresses": "127.0.0.1", "port": str(port)})
        server: RunningServer = postgres_in(tmp_path)
        server.start()
    yield f"postgresql://postgres@127.0.0.1:{port}/penstock"
    server.kill()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watched_redis(tmp_path / "watched") as servers:
        yield servers


@pytest.fixture
def bucket(aws_server: RunningServer, aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Whose events a queue is told of. The objects are there from now on. AWS is emulated, over HTTP."""
    made = bucket_on(aws_server.url)
    for name, value in {**made.environment, "PENSTOCK_OBJECT_STORE_URL": "s3://acme/objects"}.items():
        monkeypatch.setenv(name, value)
    return made


@INSTALLED
def test_on_redis_and_s3_whose_queues_primary_dies(
    postgres_16: str, watched: Watched, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", postgres_16)
    monkeypatch.setenv("PENSTOCK_QUEUE_URL", watched.url)
    monkeypatch.setenv("PENSTOCK_QUEUE_PREFIX", PREFIX)
    monkeypatch.setenv("PENSTOCK_QUEUE_LEASE_SECONDS", "5")  # what had been read ahead comes back so soon
    with penstock_up(tmp_path / "data") as penstock:
        adding = penstock.start("add", EXAMPLES, "--json")
        primary = watched.primary()
        wait_until(lambda: redis_command(primary.url, "XLEN", f"{PREFIX}:ingest-queue"), what="work on the queue")
        primary.kill()
        added = [json.loads(line) for line in adding.communicate(timeout=120)[0].splitlines()]
        assert {line["status"] for line in added} == {"complete"}
        assert watched.primary() is not primary
        (hit,) = penstock.json("search", "how fast may the intake gate be closed", "-k", 1)
        assert Path(hit["name"]).name == "operations-manual.pdf"
        assert all(queue["waiting"] == queue["in_flight"] == 0 for queue in penstock.json("queues").values())
        checked = penstock.json("doctor")
        assert {check["state"] for check in checked["checks"]} <= {"ok", "warning"}
        assert PASSWORD not in str(checked)
        assert not (tmp_path / "data" / "postgres").exists()
        assert not (tmp_path / "data" / "redis").exists()
    assert any(key.startswith("objects/files/") for key in bucket.objects())


def test_on_sqs_and_s3(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_QUEUE_URL", f"sqs://eu-central-1/test?endpoint={bucket.url}")
    monkeypatch.setenv("PENSTOCK_BUCKET_EVENTS_URL", bucket.settings["PENSTOCK_BUCKET_EVENTS_URL"])
    with penstock_up(tmp_path / "data") as penstock:
        letter = the_letter_of_files_that_came(penstock, EXAMPLES, tmp_path)
        penstock.run("dead-letters", "drop", letter["dead_letter_id"])
        assert penstock.json("dead-letters", "list") == []
        checks = {check["name"]: check for check in penstock.json("doctor")["checks"]}
        assert {checks[name]["state"] for name in ("queue", "object store", "bucket events")} == {"ok"}
        assert_what_is_put_into_the_bucket_is_found(penstock, bucket)
        assert not (tmp_path / "data" / "redis").exists()
        assert not any((tmp_path / "data" / "objects").rglob("*"))


def assert_what_is_put_into_the_bucket_is_found(penstock: Installation, bucket: Bucket) -> None:
    """Without a call of the API, or by a URL that it gave."""
    bucket.put("objects/inbox/weir.md", b"# Weir\n\nThe weir of Oberau has seven gates.")
    asked = httpx.post(f"{penstock.url}/files/uploads", json={"name": "lock.md"}, trust_env=False).json()
    written = httpx.put(asked["url"], content=b"# Lock\n\nThe lock of Unterau has two chambers.", trust_env=False)
    written.raise_for_status()

    def statuses() -> dict[str, str]:
        files = httpx.get(f"{penstock.url}/files", trust_env=False).json()["items"]
        return {file["name"]: file["status"] for file in files}

    wait_until(lambda: {"weir.md", "lock.md"} <= statuses().keys(), what="both are Files")
    wait_until(lambda: statuses()["weir.md"] == statuses()["lock.md"] == "complete", what="both are complete")
    for query, name in (("how many gates has the weir", "weir.md"), ("how many chambers has the lock", "lock.md")):
        (hit,) = penstock.json("search", query, "-k", 1)
        assert hit["name"] == name


def test_on_nats(nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_QUEUE_URL", nats_url)
    with penstock_up(tmp_path / "data") as penstock:
        letter = the_letter_of_files_that_came(penstock, EXAMPLES / "operations-manual.pdf", tmp_path)
        penstock.run("dead-letters", "replay", letter["dead_letter_id"])
        letters: list[dict[str, Any]] = []

        def came_again() -> bool:
            letters[:] = penstock.json("dead-letters", "list")
            return bool(letters) and letters[0]["dead_letter_id"] != letter["dead_letter_id"]

        wait_until(came_again, what="the dead letter of the replay")
        assert [(again["file_id"], again["code"]) for again in letters] == [(letter["file_id"], letter["code"])]
        checks = {check["name"]: check for check in penstock.json("doctor")["checks"]}
        assert checks["queue"]["state"] == "ok"
        assert checks["queue"]["found"].startswith("NATS 2.")
        assert not (tmp_path / "data" / "redis").exists()


def the_letter_of_files_that_came(penstock: Installation, examples: Path, folder: Path) -> dict[str, Any]:
    """Hand in examples and a torn file, and search: the dead letter of the torn one."""
    torn = folder / "torn.pdf"
    torn.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    added = penstock.lines("add", examples)
    assert {line["status"] for line in added} == {"complete"}
    (hit,) = penstock.json("search", "how fast may the intake gate be closed", "-k", 1)
    assert Path(hit["name"]).name == "operations-manual.pdf"
    (failed,) = penstock.lines("add", torn, status=1)
    assert failed["status"] == "failed"
    (letter,) = penstock.json("dead-letters", "list")
    assert (letter["file_id"], letter["code"]) == (failed["file_id"], failed["error"]["code"])
    depths = penstock.json("queues")
    assert all(queue["waiting"] == queue["in_flight"] == 0 for queue in depths.values())
    assert depths["ingest-queue"]["dead_letters"] == 1
    return letter
