"""Debian's Redis as operators run it: with TLS, users and their rights, behind sentinels, in a cluster."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from real_servers import RunningServer, free_port, redis_command, wait_until

from penstock.local.program import Program
from penstock.queues.redis_address import redis_address
from penstock.queues.redis_refusal import rule

REDIS_SERVER = shutil.which("redis-server")
INSTALLED = pytest.mark.skipif(REDIS_SERVER is None, reason="no redis-server installed (Debian: redis-server)")
SERVICE = "primary"
PREFIX = "acme"
HOST, ELSEWHERE = "127.0.0.1", "127.0.0.2"
"""The certificate is the first one's."""
PASSWORD, USER_PASSWORD = "s3cret", "p:w/d"  # the second has to be escaped in a URL
Key = ec.EllipticCurvePrivateKey


class Certificates:
    """An authority, and a certificate for 127.0.0.1 and localhost that both sides show."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.authority, self.certificate, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self.stranger = folder / "stranger.pem"
        authority, issuer = _certificate("authority", None)
        _write(self.authority, authority)
        _write(self.stranger, _certificate("stranger", None)[0])
        certificate, key = _certificate("localhost", (authority, issuer))
        _write(self.certificate, certificate)
        private = serialization.PrivateFormat.PKCS8
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))

    def options(self, **others: object) -> str:
        """Of a URL."""
        mine = {"ssl_ca_certs": self.authority, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        return urlencode({name: value for name, value in (mine | others).items() if value is not None})

    @property
    def settings(self) -> list[str]:
        """Of a server or sentinel that asks its clients for a certificate, too."""
        return [
            *("port 0", f"tls-cert-file {self.certificate}", f"tls-key-file {self.key}"),
            *(f"tls-ca-cert-file {self.authority}", "tls-replication yes", "tls-auth-clients yes"),
        ]


def _certificate(name: str, issuer: tuple[x509.Certificate, Key] | None) -> tuple[x509.Certificate, Key]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(HOST))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def server_in(folder: Path, url: str, settings: Sequence[str], *, sentinel: bool = False) -> RunningServer:
    """A redis-server with these settings, which answers at `url`; not started yet."""
    folder.mkdir(parents=True)
    configuration = folder / "redis.conf"
    configuration.write_text("\n".join([f"bind {HOST}", f"dir {folder}", *settings, ""]))
    assert REDIS_SERVER is not None, "such a test is marked with INSTALLED"
    program = Program((REDIS_SERVER, str(configuration), *(["--sentinel"] if sentinel else [])))
    return RunningServer(url, program, lambda _: _answers(url), folder / "redis.log")


def _answers(url: str) -> bool:
    try:
        return bool(redis_command(url, "PING"))
    except redis.RedisError:
        return False


@dataclass
class SecureRedis:
    """A server with TLS on both sides and a user who may no more than Penstock needs."""

    url: str
    """As the user `penstock`."""
    admin: str
    port: int
    certificates: Certificates

    def at(self, account: str = "penstock:p%3Aw%2Fd", **options: object) -> str:
        """The URL with something else in it."""
        return f"rediss://{account}@localhost:{self.port}/1?{self.certificates.options(**options)}"


@contextmanager
def secure_redis(folder: Path) -> Generator[SecureRedis]:
    """A `SecureRedis`, while the block runs."""
    certificates, port = Certificates(folder / "certificates"), free_port()
    found = SecureRedis("", f"rediss://:{PASSWORD}@localhost:{port}/1?{certificates.options()}", port, certificates)
    found.url = found.at()
    rights = rule(redis_address(found.url, PREFIX))
    server = server_in(
        folder / "redis",
        found.admin,
        [
            *certificates.settings,
            f"bind {HOST} {ELSEWHERE}",
            *(f"tls-port {port}", f"requirepass {PASSWORD}", "appendonly yes", 'save ""'),
            f"user penstock on >{USER_PASSWORD} {rights}",
        ],
    )
    server.start()
    try:
        yield found
    finally:
        server.kill()


@dataclass
class Watched:
    """A primary and a replica, and three sentinels that agree in half a second that one is gone. All with TLS."""

    url: str
    servers: list[RunningServer]
    sentinels: list[RunningServer]
    certificates: Certificates

    def primary(self) -> RunningServer:
        """Whom the sentinels take for the primary."""
        _, port = redis_command(self.sentinels[0].url, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if f":{port}/" in server.url)

    def is_settled(self) -> bool:
        """Whether all know each other, and the replica has all that its primary has."""
        state = [redis_command(each.url, "SENTINEL", "MASTER", SERVICE) for each in self.sentinels]
        if any((each["num-other-sentinels"], each["num-slaves"]) != (2, 1) for each in map(_pairs, state)):
            return False
        primary = self.primary()
        (replica,) = (server for server in self.servers if server is not primary)
        sent = redis_command(primary.url, "INFO", "replication")["master_repl_offset"]
        received = redis_command(replica.url, "INFO", "replication")
        return received["master_link_status"] == "up" and received["slave_repl_offset"] >= sent


def _pairs(found: Any) -> dict[str, int]:
    pairs: dict[str, Any] = found if hasattr(found, "keys") else dict(zip(found[::2], found[1::2], strict=True))
    return {name: int(pairs[name]) for name in ("num-other-sentinels", "num-slaves")}


@contextmanager
def watched_redis(folder: Path) -> Generator[Watched]:
    """A `Watched`, while the block runs."""
    certificates = Certificates(folder / "certificates")
    ports = [free_port() for _ in range(5)]
    urls = [f"rediss://:{PASSWORD}@{HOST}:{port}/0?{certificates.options()}" for port in ports]
    common = [*certificates.settings, f"requirepass {PASSWORD}"]
    servers = [
        server_in(
            folder / f"server-{port}",
            url,
            [
                *common,
                f"tls-port {port}",
                f"masterauth {PASSWORD}",
                "appendonly yes",
                'save ""',
                "repl-diskless-sync-delay 0",
            ]
            + ([f"replicaof {HOST} {ports[0]}"] if port != ports[0] else []),
        )
        for port, url in zip(ports[:2], urls[:2], strict=True)
    ]
    watches = [
        f"sentinel monitor {SERVICE} {HOST} {ports[0]} 2",
        f"sentinel auth-pass {SERVICE} {PASSWORD}",
        f"sentinel down-after-milliseconds {SERVICE} 500",
        f"sentinel failover-timeout {SERVICE} 3000",
        f"sentinel sentinel-pass {PASSWORD}",
        f"user penstock on >{PASSWORD} +ping +sentinel|masters",
    ]
    sentinels = [
        server_in(folder / f"sentinel-{port}", url, [*common, f"tls-port {port}", *watches], sentinel=True)
        for port, url in zip(ports[2:], urls[2:], strict=True)
    ]
    options = certificates.options(sentinel_username="penstock", sentinel_password=PASSWORD)
    hosts = ",".join(f"localhost:{port}" for port in ports[2:])
    found = Watched(f"rediss+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?{options}", servers, sentinels, certificates)
    with ExitStack() as running:
        for server in servers + sentinels:
            server.start()
            running.callback(server.kill)
        wait_until(found.is_settled, what="sentinels that know each other")
        yield found


@contextmanager
def clustered_redis(folder: Path) -> Generator[list[RunningServer]]:
    """Three nodes of a cluster, each with a third of the slots, while the block runs.

    They have a user `penstock`, who may no more than is needed.
    """
    ports = [free_port() for _ in range(3)]
    bus = [free_port() for _ in ports]
    rights = rule(redis_address(f"redis+cluster://{HOST}", PREFIX))
    nodes = [
        server_in(
            folder / f"node-{port}",
            f"redis://{HOST}:{port}",
            [
                *(f"port {port}", f"cluster-port {bus_port}", "cluster-enabled yes", "appendonly yes", 'save ""'),
                "cluster-node-timeout 2000",
                f"user penstock on >{PASSWORD} {rights}",
            ],
        )
        for port, bus_port in zip(ports, bus, strict=True)
    ]
    with ExitStack() as running:
        for at, node in enumerate(nodes):
            node.start()
            running.callback(node.kill)
            redis_command(
                node.url, "CLUSTER", "ADDSLOTSRANGE", str(at * 5461), str(16383 if at == 2 else at * 5461 + 5460)
            )
        for port, bus_port in zip(ports[1:], bus[1:], strict=True):
            redis_command(nodes[0].url, "CLUSTER", "MEET", HOST, str(port), str(bus_port))
        wait_until(lambda: all(_is_whole(node.url) for node in nodes), what="a cluster")
        yield nodes


def _is_whole(url: str) -> bool:
    found = str(redis_command(url, "CLUSTER", "INFO"))
    return "cluster_state:ok" in found
