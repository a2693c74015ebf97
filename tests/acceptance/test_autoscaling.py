"""`penstock up` that runs as many Workers as there is work for: real processes, a model that only takes time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest
from installation import Installation, penstock_up
from real_servers import wait_until

pytestmark = pytest.mark.slow

FILES = 24
KEPT = 4
SETTINGS = {
    "PENSTOCK_EMBEDDING_MODEL": "fake://384?latency_ms=2000",
    "PENSTOCK_WORKER_CONCURRENCY": "2",  # Files of each Worker at once
    "PENSTOCK_QUEUE_MAX_ATTEMPTS": "1",  # an attempt that a stop had cost would fail its File
    "PENSTOCK_SCALING_TARGET_SECONDS": "0.9",  # three messages for each Embedder: both are wanted while Files wait
    "PENSTOCK_SCALING_COOLDOWN_SECONDS": "0",
}


def test_workers_come_with_the_files_and_go_with_them_at_no_files_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(FILES):
        (folder / f"report-{n:02}.md").write_text(f"# Plant {n}\n\nSluice {n} was opened.\n")
    with (
        penstock_up(tmp_path / "data", "--ingesters", "auto", "--embedders", "0-2") as penstock,
        httpx.Client(base_url=penstock.url, trust_env=False) as http,
    ):
        assert _workers(penstock) == [], "ready, with nobody at work"
        penstock.run("add", folder, "--no-wait")
        wait_until(lambda: "file complete" in penstock.log("embedder-2"), what="the second Embedder to have worked")
        seen = [process for worker in _workers(penstock) for process in [worker, *worker.children(recursive=True)]]
        assert len(seen) > 2, "with their children"

        in_order = sorted(_files(http), key=lambda file: file["created_at"])
        unfinished = [file["file_id"] for file in in_order if file["status"] != "complete"]
        for file_id in unfinished[KEPT:]:  # one is enough for what stays, and the other has some of it in work
            http.delete(f"/files/{file_id}").raise_for_status()
        for worker in ("embedder-2", "embedder-1", "ingester-1"):
            wait_until(
                lambda worker=worker: _said(penstock, f"{worker}  stopping: "), seconds=60, what=f"{worker} to go"
            )
        wait_until(lambda: not any(process.is_running() for process in seen), what="neither orphan nor zombie")
        wait_until(lambda: set(_state(penstock)["parts"]) == {"postgres", "redis", "api"}, what="them to be forgotten")
        assert _said(penstock, "ended ") == [], "who is stopped has not died"
        statuses = Counter(file["status"] for file in _files(http))
        assert statuses == {"complete": FILES - len(unfinished[KEPT:])}


def _files(http: httpx.Client) -> list[dict[str, str]]:
    return http.get("/files", params={"limit": FILES}).raise_for_status().json()["items"]


def _workers(penstock: Installation) -> list[psutil.Process]:
    return [process for role in ("ingester", "embedder") for process in penstock.processes(role)]


def _state(penstock: Installation) -> dict[str, dict[str, object]]:
    return json.loads((penstock.data / "penstock.json").read_text())


def _said(penstock: Installation, what: str) -> list[str]:
    return [line for line in penstock.log("up").splitlines() if what in line]
