"""`penstock up` that runs as many Workers as there is work for: real processes, a model that only takes time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from installation import Installation, penstock_up
from real_servers import wait_until

pytestmark = pytest.mark.slow

FILES = 60
SETTINGS = {
    "PENSTOCK_EMBEDDING_MODEL": "fake://384?latency_ms=100",
    "PENSTOCK_EMBEDDING_BATCH_TOKENS": "256",  # a call for each Chunk or two: seconds for all of them
    "PENSTOCK_SCALING_TARGET_SECONDS": "3",  # ten messages for each Embedder
    "PENSTOCK_SCALING_COOLDOWN_SECONDS": "1",
}


def test_workers_come_with_the_files_are_replaced_when_killed_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(FILES):
        (folder / f"report-{n:02}.md").write_text(
            f"# Plant {n}\n\n" + "".join(f"Sluice {s} of {n} was opened.\n\n" for s in range(40))
        )
    with penstock_up(tmp_path / "data", "--ingesters", "auto", "--embedders", "0-2") as penstock:
        assert _workers(penstock) == [], "ready, with nobody at work"
        adding = penstock.start("add", folder, "--json")
        wait_until(lambda: len(penstock.processes("embedder")) == 2, what="both Embedders")
        wait_until(lambda: penstock.json("files", "--status", "complete"), seconds=60, what="the first file")
        victim = penstock.processes("embedder")[0]
        victim.kill()
        wait_until(lambda: _said(penstock, "ended by SIGKILL; starting it again now"), what="another one")

        out, err = adding.communicate(timeout=120)
        assert adding.returncode == 0, err
        assert Counter(json.loads(line)["status"] for line in out.splitlines()) == {"complete": FILES}
        wait_until(lambda: not _workers(penstock), what="nobody to be at work any more")
        assert penstock.json("dead-letters", "list") == []
        for worker in ("ingester-1", "embedder-1", "embedder-2"):
            assert _said(penstock, f"{worker}  starting: ")
            assert _said(penstock, f"{worker}  stopping: ")
        assert len(_said(penstock, "ended ")) == 1, "only the one that was killed"


def _workers(penstock: Installation) -> list[int]:
    return [process.pid for role in ("ingester", "embedder") for process in penstock.processes(role)]


def _said(penstock: Installation, what: str) -> list[str]:
    return [line for line in penstock.log("up").splitlines() if what in line]
