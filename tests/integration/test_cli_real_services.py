"""The command with the real roles, database, queue and store behind it: the contract holds on both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pictures import skip_without_language_data
from real_servers import RunningServer, redis_command
from running_api import RunningApi, running_api

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "penstock")
Environment = dict[str, str]


def settings_of(database_url: str, queue_url: str, folder: Path) -> Environment:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return inherited | {
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": queue_url,
        "PENSTOCK_OBJECT_STORE_URL": (folder / "objects").as_uri(),
        "PENSTOCK_EMBEDDING_MODEL": "fake://384",
        "PENSTOCK_DATA": str(folder / "nothing-here"),
    }


def penstock(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [str(argument) for argument in arguments]
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, check=False, timeout=120)


def checks(environment: Mapping[str, str], *arguments: object) -> dict[str, dict[str, Any]]:
    told = json.loads(penstock(environment, "doctor", "--json", *arguments).stdout)
    return {check["name"]: check for check in told["checks"]}


# -- doctor


@pytest.fixture
def environment(migrated_url: str, redis_url: str, tmp_path: Path) -> Environment:
    return settings_of(migrated_url, redis_url, tmp_path)


def test_doctor_tries_every_service(environment: Environment) -> None:
    found = checks(environment)
    states = {name: found[name]["state"] for name in ("settings", "model", "database", "queue", "object store")}
    assert set(states.values()) == {"ok"}
    assert "PostgreSQL 18, pgvector 0.8" in found["database"]["found"]
    assert "maxmemory-policy noeviction" in found["queue"]["found"]
    assert not list(Path(environment["PENSTOCK_OBJECT_STORE_URL"].removeprefix("file://")).rglob("*.*"))
    assert found["api"]["state"] == "warning"  # no API need run beside a Worker


def test_doctor_says_what_to_do(environment: Environment, database_url: str, private_redis: RunningServer) -> None:
    private_redis.stop()
    (Path(environment["PENSTOCK_DATA"]).parent / "file").touch()
    broken = environment | {
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_QUEUE_URL": private_redis.url,
        "PENSTOCK_OBJECT_STORE_URL": (Path(environment["PENSTOCK_DATA"]).parent / "file").as_uri(),
        "PENSTOCK_EMBEDDING_MODEL": "/no/such/folder",
    }
    found = checks(broken, "--url", "http://127.0.0.1:9")
    assert found["database"]["advice"] == "run `penstock migrate`"
    for name in ("queue", "object store", "model", "api"):
        assert found[name]["state"] == "error", name
        assert "Traceback" not in found[name]["found"]
    told = penstock(broken, "doctor")
    assert told.returncode == 1
    assert told.stderr == ""


def test_doctor_warns_of_a_queue_that_forgets(environment: Environment, private_redis: RunningServer) -> None:
    redis_command(private_redis.url, "CONFIG", "SET", "appendonly", "no")
    forgetful = environment | {"PENSTOCK_QUEUE_URL": private_redis.url}
    assert "set appendonly to yes" in checks(forgetful)["queue"]["advice"]
    redis_command(private_redis.url, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert checks(forgetful)["queue"]["state"] == "error"


def test_doctor_names_wrong_settings_and_hides_secrets(environment: Environment) -> None:
    wrong = checks(environment | {"PENSTOCK_WORKER_CONCURENCY": "3"})
    assert "did you mean PENSTOCK_WORKER_CONCURRENCY?" in wrong["settings"]["found"]
    secret = environment | {"PENSTOCK_DATABASE_URL": "postgresql://ada:s3cret@127.0.0.1:9/penstock"}
    for words in (("doctor",), ("doctor", "--json")):
        told = penstock(secret, *words)
        assert "s3cret" not in told.stdout + told.stderr
        assert "postgresql://ada:********@127.0.0.1:9/penstock" in told.stdout


def test_doctor_says_whether_text_in_pictures_is_recognised(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    without = environment | {"PENSTOCK_PARSING_OCR_DATA": str(tmp_path / "empty")}
    found = checks(without)["text in pictures"]
    assert found["state"] == "warning"
    assert "apt-get install tesseract-ocr-eng" in found["advice"]
    missing = checks(without | {"PENSTOCK_PARSING_OCR_LANGUAGES": "eng"})["text in pictures"]
    assert missing["state"] == "error"
    skip_without_language_data()
    found = checks(environment | {"PENSTOCK_PARSING_OCR_LANGUAGES": "eng"})["text in pictures"]
    assert found["state"] == "ok", found
    assert "Tesseract 5" in found["found"]
    assert "eng" in found["found"]


def test_doctor_on_a_machine_where_nothing_runs(tmp_path: Path) -> None:
    bare = settings_of("", "", tmp_path)
    for name in ("DATABASE", "QUEUE", "OBJECT_STORE"):
        del bare[f"PENSTOCK_{name}_URL"]
    told = penstock(bare, "doctor")
    assert told.returncode == 0
    assert "start it with `penstock up`" in told.stdout


# -- roles


def test_migrate_and_asyncapi(environment: Environment, database_url: str, tmp_path: Path) -> None:
    fresh = environment | {"PENSTOCK_DATABASE_URL": database_url, "PENSTOCK_LOG_FORMAT": "json"}
    migrated = penstock(fresh, "migrate")
    assert migrated.returncode == 0
    assert {json.loads(line)["role"] for line in migrated.stderr.splitlines()} == {"migrate"}
    assert checks(fresh)["database"]["state"] == "ok"
    out = tmp_path / "asyncapi.json"
    assert penstock(environment, "asyncapi", "--out", out).returncode == 0
    assert json.loads(out.read_text())["asyncapi"].startswith("3.")
    assert json.loads(penstock(environment, "asyncapi").stdout) == json.loads(out.read_text())


def test_a_role_without_its_database_says_so_in_one_line(environment: Environment) -> None:
    told = penstock(environment | {"PENSTOCK_DATABASE_URL": "postgresql://127.0.0.1:9/penstock"}, "migrate")
    assert told.returncode == 1
    assert told.stderr.startswith("penstock: The database does not answer")
    assert "Traceback" not in told.stderr


# -- everything together


@pytest.fixture
def real_api(environment: Environment, migrated_url: str, redis_url: str, tmp_path: Path) -> Iterator[RunningApi]:
    with ExitStack() as running, (tmp_path / "workers.log").open("wb") as log:
        api = running.enter_context(running_api(tmp_path, database_url=migrated_url, queue_url=redis_url))
        for role in ("ingester", "embedder"):
            worker = subprocess.Popen([*COMMAND, role], env=environment, stderr=log)
            running.callback(worker.wait, 30)
            running.callback(worker.terminate)
        environment["PENSTOCK_URL"] = api.url
        yield api


def test_the_commands_with_real_roles(environment: Environment, real_api: RunningApi, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    for number in range(20):
        (docs / "sub" / f"{number}.md").write_text(f"# Valve {number}\n\nTurn valve {number} to the left.\n")
    (docs / "empty.txt").write_text("")

    added = penstock(environment, "add", docs, "--recursive", "--json", "--metadata", "plant=north")
    assert added.returncode == 1, added.stderr
    rows = {row["name"]: row for row in map(json.loads, added.stdout.splitlines())}
    assert len(rows) == 21
    assert rows["docs/empty.txt"]["error"]["code"] == "no_text"
    assert {row["status"] for name, row in rows.items() if name != "docs/empty.txt"} == {"complete"}

    again = penstock(environment, "add", docs / "sub", "--json")
    assert len(again.stdout.splitlines()) == 20
    file_id = rows["docs/sub/7.md"]["file_id"]

    status = json.loads(penstock(environment, "status", file_id, "--json").stdout)
    assert status["metadata"] == {"plant": "north"}
    hits = json.loads(penstock(environment, "search", "valve 7", "--json", "-k", 3, "--file", file_id).stdout)
    assert {hit["file_id"] for hit in hits} == {file_id}
    assert penstock(environment, "reingest", file_id, "--wait").stdout == "complete  docs/sub/7.md\n"
    assert json.loads(penstock(environment, "queues", "--json").stdout).keys() == {"ingest-queue", "embedding-queue"}
    assert penstock(environment, "delete", file_id).returncode == 0
    assert penstock(environment, "status", file_id).returncode == 1
    assert len(json.loads(penstock(environment, "files", "--json", "--status", "failed").stdout)) == 1

    letters = json.loads(penstock(environment, "dead-letters", "list", "--json").stdout)
    assert [letter["code"] for letter in letters] == ["no_text"]
    assert penstock(environment, "dead-letters", "replay", "--all").stdout == "replayed 1 dead letter\n"
    assert checks(environment)["api"]["state"] == "ok"
