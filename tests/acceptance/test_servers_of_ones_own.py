"""The same code on servers by URL: another PostgreSQL over TCP, and the distribution's Redis with a password."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import EXAMPLES, penstock_up
from real_servers import RunningServer, postgres_in, redis_command, wait_until
from redis.exceptions import RedisError

from penstock.local import postgres

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


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
def installed_redis(tmp_path: Path) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server installed (Debian: redis-server)")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--requirepass", "s3cret", "--appendonly", "yes"]
    with subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL) as server:
        url = f"redis://:s3cret@127.0.0.1:{port}/0"
        wait_until(lambda: _answers(url), what="redis-server")
        yield url
        server.kill()


def _answers(url: str) -> bool:
    try:
        return bool(redis_command(url, "PING"))
    except RedisError:
        return False


def test_up_uses_the_servers_that_the_settings_name(
    postgres_16: str, installed_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", postgres_16)
    monkeypatch.setenv("PENSTOCK_QUEUE_URL", installed_redis)
    with penstock_up(tmp_path / "data") as penstock:
        added = penstock.lines("add", EXAMPLES)
        assert {line["status"] for line in added} == {"complete"}
        (hit,) = penstock.json("search", "how fast may the intake gate be closed", "-k", 1)
        assert Path(hit["name"]).name == "operations-manual.pdf"
        assert all(queue["waiting"] == queue["in_flight"] == 0 for queue in penstock.json("queues").values())
        checked = penstock.json("doctor")
        assert {check["state"] for check in checked["checks"]} <= {"ok", "warning"}
        assert "s3cret" not in str(checked)
        assert not (tmp_path / "data" / "postgres").exists()
        assert not (tmp_path / "data" / "redis").exists()
