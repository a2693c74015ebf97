"""Where the queues are on NATS: `nats://USER:PASSWORD@HOST:PORT,HOST:PORT/PREFIX?OPTIONS`, or `tls://…`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.errors import InvalidSettings

FORM = "nats://USER:PASSWORD@HOST:PORT,HOST:PORT/PREFIX?replicas=3, such as nats://queue.example/acme; tls:// with TLS"
PREFIX = re.compile(r"[A-Za-z0-9_-]{0,48}")
"""No dots: they would make several tokens of the first one of a subject."""
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\],/@]+)(:[0-9]{1,5})?")
FILES = ("credentials", "nkey", "tls_ca", "tls_cert", "tls_key")
MOST_REPLICAS = 5
"""JetStream keeps no more copies of a stream."""


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """The servers, who we are, and what the names of the streams begin with."""

    servers: tuple[str, ...]
    """As `nats://host:port`, without what is secret."""
    secure: bool
    """Never to speak in the clear, whatever the server says."""
    prefix: str
    replicas: int
    """Copies of each stream that is made."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    credentials: str | None = None
    """A file with a JWT and its seed, as `nsc` writes it."""
    nkey: str | None = None
    """A file with the seed of an NKey."""
    tls_ca: str | None = None
    """A file with the certificates that sign the servers'; without it those of the system."""
    tls_cert: str | None = None
    tls_key: str | None = None
    """Files with the certificate that we show, and its key."""

    def name_of(self, queue: str) -> str:
        """What one of our queues is called: its stream, and the first token of its subjects."""
        return f"{self.prefix}-{queue}" if self.prefix else queue


def nats_address(url: str, prefix: str = "") -> NatsAddress:
    """Read PENSTOCK_QUEUE_URL, and PENSTOCK_QUEUE_PREFIX if the URL has none.

    Raises `InvalidSettings`, without showing what may be a secret.
    """
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    servers = hosts.split(",")
    named = parts.path.strip("/")
    if prefix and named not in ("", prefix):
        raise _wrong("it names another prefix than PENSTOCK_QUEUE_PREFIX")
    prefix = named or prefix
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    replicas = options.pop("replicas", "1")
    files = {name: options.pop(name, None) for name in FILES}
    if not all(HOST.fullmatch(server) for server in servers):
        raise _wrong("its hosts are no HOST:PORT,HOST:PORT")
    if not PREFIX.fullmatch(prefix):
        raise _wrong("the prefix has more than 48 characters, or others than letters, digits, hyphens and underscores")
    if options:
        raise _wrong(f"the options are replicas, {', '.join(FILES)}, not {', '.join(sorted(options))}")
    if not (replicas.isdecimal() and 1 <= int(replicas) <= MOST_REPLICAS):
        raise _wrong(f"replicas is no number from 1 to {MOST_REPLICAS}")
    if bool(files["tls_cert"]) != bool(files["tls_key"]):
        raise _wrong("tls_cert and tls_key belong together")
    if (bool(at) + bool(files["credentials"]) + bool(files["nkey"])) > 1:
        raise _wrong("an account in the URL, credentials and nkey exclude each other")
    user, colon, password = account.partition(":")
    return NatsAddress(
        servers=tuple(f"{parts.scheme}://{server}" for server in servers),
        secure=parts.scheme == "tls",
        prefix=prefix,
        replicas=int(replicas),
        user=unquote(user) if colon else None,
        password=unquote(password) if colon else None,
        token=unquote(user) if at and not colon else None,
        **files,
    )


def _wrong(problem: str) -> InvalidSettings:
    return InvalidSettings(f"PENSTOCK_QUEUE_URL: {problem}. Its form is {FORM}.")
