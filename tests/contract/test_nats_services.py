"""NATS as the rest of Penstock meets it: chosen by the URL, let in, encrypted, copied, looked at by the doctor."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nkeys  # pyright: ignore[reportMissingTypeStubs]
import pytest
from anyio.to_thread import run_sync as to_thread
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from nats_server_of_tests import ask
from queue_contract import Recorder, consuming, eventually, request
from real_servers import RunningServer, free_port, nats_in

from penstock.cli.checks import check_queue
from penstock.errors import InvalidSettings, PenstockError, ServiceUnavailable
from penstock.models import INGEST_QUEUE, QUEUES
from penstock.queues import nats_client
from penstock.queues.nats import NatsQueues
from penstock.queues.nats_address import nats_address
from penstock.queues.nats_streams import work
from penstock.services import open_queues
from penstock.settings import QueueSettings, load_settings

pytestmark = pytest.mark.slow


def settings_of(url: str) -> QueueSettings:
    return load_settings({"PENSTOCK_QUEUE_URL": url}).queue


async def work_at(url: str) -> None:
    """Publish a message and work on it: the Worker and its heartbeat are let in."""
    queues = await open_queues(settings_of(url), worker="worker", drain_seconds=1)
    recorder = Recorder()
    async with consuming(queues, recorder):
        await queues.publish(INGEST_QUEUE, [request(1)])
        await eventually(lambda: recorder.numbers == [1])
    await queues.close()


StartNats = Callable[..., str]


@pytest.fixture
def start_nats(tmp_path: Path) -> Iterator[StartNats]:
    """Starts a NATS with options, and returns its host and port."""
    with ExitStack() as stack:

        def start(*options: str) -> str:
            server = nats_in(tmp_path, *options)
            server.start()
            stack.callback(server.kill)
            return server.url.removeprefix("nats://")

        yield start


async def test_the_url_chooses_the_broker(nats_url: str) -> None:
    queues = await open_queues(settings_of(nats_url), worker="api", drain_seconds=1)
    assert isinstance(queues, NatsQueues)
    await queues.publish(INGEST_QUEUE, [request()])
    assert (await queues.depths())[INGEST_QUEUE].waiting == 1
    await queues.close()


def test_who_has_no_queue_on_nats_does_not_load_its_client() -> None:
    code = "import sys, penstock.services, penstock.cli, penstock.queues.asyncapi; sys.exit('nats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_doctor_looks_at_the_streams_and_makes_none(nats_url: str) -> None:
    missing = check_queue(settings_of(nats_url))
    name = nats_address(nats_url).name_of(INGEST_QUEUE)
    assert missing.state == "warning"
    assert f"without {name}, {name}-dead-letters, {name}-attempts" in missing.found
    assert check_queue(settings_of(nats_url)) == missing


async def test_the_doctor_is_content_with_the_streams_we_make(nats_url: str) -> None:
    queues = await open_queues(settings_of(nats_url), worker="api", drain_seconds=1)
    await queues.publish(INGEST_QUEUE, [request()])
    await queues.close()
    check = await to_thread(check_queue, settings_of(nats_url))
    assert check.state == "ok", check
    assert check.found.startswith("NATS 2.")
    assert check.found.endswith(", 1 messages")


async def test_the_doctor_tells_of_streams_that_lose_work(nats_url: str) -> None:
    name = nats_address(nats_url).name_of(INGEST_QUEUE)
    await ask(nats_url, f"STREAM.CREATE.{name}", **work(name) | {"max_age": 10**12, "storage": "memory"})
    check = await to_thread(check_queue, settings_of(nats_url))
    assert check.state == "error"
    for problem in ("is kept in memory", "forgets what is older than 1,000 s"):
        assert f"{name} {problem}" in check.found
    assert f"set max_age of {name} to 0" in (check.advice or "")


def test_the_doctor_says_where_nats_is_away_or_the_url_is_none() -> None:
    away = check_queue(settings_of(f"nats://127.0.0.1:{free_port()}"))
    assert (away.state, "does not answer" in away.found) == ("error", True)
    wrong = check_queue(settings_of("nats://h?end=x"))
    assert (wrong.state, "not end" in wrong.found) == ("error", True)


async def refusal(url: str) -> PenstockError:
    with pytest.raises(PenstockError) as raised:
        await open_queues(settings_of(url), worker="api", drain_seconds=1)
    return raised.value


async def test_a_name_and_a_password(start_nats: StartNats) -> None:
    where = start_nats("--user", "me@home", "--pass", "s3/cret")
    await work_at(f"nats://me%40home:s3%2Fcret@{where}")
    for wrong in (f"nats://me%40home:other@{where}", f"nats://{where}"):
        refused = await refusal(wrong)
        assert isinstance(refused, InvalidSettings)
        assert "NATS does not let us in: 'Authorization Violation'" in refused.message


async def test_a_token(start_nats: StartNats) -> None:
    where = start_nats("--auth", "s3cret")
    await work_at(f"nats://s3cret@{where}")
    assert isinstance(await refusal(f"nats://other@{where}"), InvalidSettings)


async def test_an_account_with_no_more_rights_than_the_documentation_asks_for(
    start_nats: StartNats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [f"acme-{queue}{rest}" for queue in QUEUES for rest in (".*", "-attempts.>", "-dead-letters")]
    rights = json.dumps({"publish": ["$JS.API.>", "$JS.ACK.>", *ours], "subscribe": ["_INBOX.>"]})
    config = tmp_path / "nats.conf"
    config.write_text(f"authorization {{ users = [ {{ user: me, password: s3cret, permissions: {rights} }} ] }}")
    where = start_nats("-c", str(config))
    await work_at(f"nats://me:s3cret@{where}/acme")
    monkeypatch.setattr(nats_client, "ANSWER_SECONDS", 1.0)  # what is not allowed gets no answer
    queues = await open_queues(settings_of(f"nats://me:s3cret@{where}/other"), worker="api", drain_seconds=1)
    with pytest.raises(ServiceUnavailable, match=r"permissions violation for publish to .other-ingest-queue"):
        await queues.publish(INGEST_QUEUE, [request(1)])
    await queues.close()


class Key:
    """An NKey."""

    def __init__(self, kind: int) -> None:
        keys: Any = nkeys
        self.seed: bytes = keys.encode_seed(os.urandom(32), kind)
        self._pair: Any = keys.from_seed(bytearray(self.seed))
        self.public: str = self._pair.public_key.decode()

    def jwt(self, subject: str, kind: str, **claims: Any) -> str:
        """A claim about a subject, as `nsc` signs it."""
        body: dict[str, Any] = {"iat": 1_700_000_000, "iss": self.public, "sub": subject, "name": kind}
        body |= {"nats": {"type": kind, "version": 2, **claims}}
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        told = f"{_url64({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_url64(body)}"
        return f"{told}.{_base64(self._pair.sign(told.encode()))}"


def _url64(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


async def test_an_nkey(start_nats: StartNats, tmp_path: Path) -> None:
    user, stranger = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    config = tmp_path / "nats.conf"
    config.write_text(f"authorization {{ users = [ {{ nkey: {user.public} }} ] }}")
    where = start_nats("-c", str(config))
    for key, name in ((user, "user"), (stranger, "stranger")):
        (tmp_path / name).write_bytes(key.seed)
    await work_at(f"nats://{where}?nkey={tmp_path / 'user'}")
    assert isinstance(await refusal(f"nats://{where}?nkey={tmp_path / 'stranger'}"), InvalidSettings)
    (tmp_path / "torn").write_text("SUAX")
    for unusable in (f"nkey={tmp_path / 'missing'}", f"nkey={tmp_path / 'torn'}", f"credentials={tmp_path / 'user'}"):
        assert isinstance(await refusal(f"nats://{where}?{unusable}"), InvalidSettings)


async def test_a_file_with_credentials(start_nats: StartNats, tmp_path: Path) -> None:
    operator, account = Key(nkeys.PREFIX_BYTE_OPERATOR), Key(nkeys.PREFIX_BYTE_ACCOUNT)
    system, user = Key(nkeys.PREFIX_BYTE_ACCOUNT), Key(nkeys.PREFIX_BYTE_USER)
    unlimited = dict.fromkeys(
        ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams"), -1
    ) | {"consumer": -1, "wildcards": True}
    of_account = operator.jwt(account.public, "account", limits=unlimited)
    of_system = operator.jwt(system.public, "account", limits=unlimited | {"disk_storage": 0, "mem_storage": 0})
    config = tmp_path / "nats.conf"
    config.write_text(
        f"operator: {operator.jwt(operator.public, 'operator')}\nsystem_account: {system.public}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public}: {of_account}, {system.public}: {of_system} }}\n"
    )
    of_user = account.jwt(user.public, "user", subs=-1, data=-1, payload=-1)
    credentials = tmp_path / "acme.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    where = start_nats("-c", str(config))
    await work_at(f"nats://{where}/acme?credentials={credentials}")
    assert isinstance(await refusal(f"nats://{where}"), InvalidSettings)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nats")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "nats.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "nats.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "nats.pem"


async def test_tls_with_a_certificate_on_both_sides(start_nats: StartNats, certificate: Path) -> None:
    key = certificate.with_suffix(".key")
    where = start_nats(
        *("--tlsverify", "--tlscert", str(certificate), "--tlskey", str(key), "--tlscacert", str(certificate))
    )
    ours = f"tls_ca={certificate}&tls_cert={certificate}&tls_key={key}"
    await work_at(f"tls://{where}?{ours}")
    await work_at(f"nats://{where}?{ours}")
    unknown = await refusal(f"tls://{where}")
    assert "CERTIFICATE_VERIFY_FAILED" in unknown.message


async def test_tls_is_not_talked_down(start_nats: StartNats) -> None:
    """The server speaks first, in the clear: it must not be able to ask for our password in the clear as well."""
    where = start_nats("--user", "me", "--pass", "s3cret")
    refused = await refusal(f"tls://me:s3cret@{where}")
    assert isinstance(refused, InvalidSettings)
    assert "does not ask for TLS" in refused.message


async def test_a_server_without_jetstream_is_said_so(tmp_path: Path) -> None:
    server = nats_in(tmp_path)
    without = tuple(word for word in server.program.argv if word != "-js")
    server.program = type(server.program)(without, environment=server.program.environment)
    server.start()
    refused = await refusal(server.url)
    assert isinstance(refused, ServiceUnavailable)
    assert "JetStream" in refused.message
    server.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RunningServer]]:
    """Three servers, each of which knows the others."""
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers: list[RunningServer] = []
    for number, port in enumerate(ports):
        folder = tmp_path / str(number)
        folder.mkdir()
        where = f"nats://127.0.0.1:{port}"
        options = ("--cluster_name", "c", "--cluster", where, "--routes", routes, "--name", f"n{number}")
        servers.append(nats_in(folder, *options))
        servers[-1].start()
    yield servers
    for server in servers:
        server.kill()


async def test_three_replicas_outlive_the_loss_of_the_server_that_leads(
    cluster: list[RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_client, "ANSWER_SECONDS", 1.0)  # while they elect a leader, nobody answers
    hosts = ",".join(server.url.removeprefix("nats://") for server in cluster)
    url = f"nats://{hosts}/acme?replicas=3"
    queues, recorder = NatsQueues(settings_of(url), worker="worker", drain_seconds=1), Recorder()

    async def opened() -> bool:
        try:
            await queues.open()
        except ServiceUnavailable:
            return False
        return True

    async def published(number: int) -> bool:
        try:
            await queues.publish(INGEST_QUEUE, [request(number)])
        except ServiceUnavailable:
            return False
        return True

    async def until(condition: Callable[[], Any]) -> None:
        for _ in range(60):
            if await condition():
                return
        pytest.fail("the cluster does not answer")

    await until(opened)
    config = (await ask(url, "STREAM.INFO.acme-ingest-queue"))["config"]
    assert config["num_replicas"] == 3
    async with consuming(queues, recorder):
        await until(lambda: published(1))
        await eventually(lambda: recorder.numbers == [1], seconds=30)
        leader = (await ask(url, "STREAM.INFO.acme-ingest-queue"))["cluster"]["leader"]
        cluster[int(leader.removeprefix("n"))].kill()
        await until(lambda: published(2))
        await eventually(lambda: 2 in recorder.numbers, seconds=30)
    await queues.close()
