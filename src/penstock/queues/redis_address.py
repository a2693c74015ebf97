"""Where the queues are on Redis: what PENSTOCK_QUEUE_URL and PENSTOCK_QUEUE_PREFIX say.

    redis://USER:PASSWORD@HOST:PORT/DB                        one server; rediss:// with TLS, unix://PATH by its socket
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB     the sentinels that know where the primary is
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT         nodes of a cluster, which know the others

`rediss+sentinel://` and `rediss+cluster://` with TLS. Options are those of redis-py, by its names (`OPTIONS`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.errors import InvalidSettings

TIMEOUTS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}
"""A server that answers nothing is noticed so soon; longer than a blocking read (`BLOCK_MS`)."""
SENTINEL_TIMEOUTS: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
"""The others are asked as soon as one does not answer. One is enough."""
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
OPTIONS = frozenset(
    {
        *FILES,
        *("ssl_ca_path", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
        *("username", "password", "db", "client_name", "socket_keepalive", "health_check_interval"),
    }
)
"""What may stand behind the question mark. Other options of redis-py would change its answers or its patience."""
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
"""The sentinels' own account, where they ask for one."""
CLUSTER_UNKNOWN = frozenset({"db", "ssl_ca_path", "ssl_password"})
"""A cluster has one database, and redis-py's client of clusters takes neither a folder of CAs nor a locked key."""
YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
SENTINEL_PORT, REDIS_PORT = 26379, 6379
ONE_SLOT = "penstock"
"""In a cluster all keys lie in one slot, by this part of their names where there is no prefix."""
NODE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:\[\],/]+)(:(?P<port>[0-9]{1,5}))?")


class Kind(StrEnum):
    """What is at the other end."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """How to get there, and what our keys begin with."""

    kind: Kind
    prefix: str
    url: str = field(repr=False)
    """Of one server, as redis-py reads it."""
    nodes: tuple[tuple[str, int], ...] = ()
    """Sentinels, or nodes of the cluster."""
    service: str = ""
    """What the sentinels call the primary and its replicas."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Of the connections to servers that sentinels or nodes name."""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def key_of(self, queue: str) -> str:
        """The key of one of our queues; others of the same queue begin with it."""
        if self.kind is Kind.CLUSTER:
            return f"{{{self.prefix or ONE_SLOT}}}:{queue}"
        return f"{self.prefix}:{queue}" if self.prefix else queue


def redis_address(url: str, prefix: str = "") -> RedisAddress:
    """Read PENSTOCK_QUEUE_URL. Raises `InvalidSettings`, without showing what may be a secret."""
    try:
        parts = urlsplit(url)
        transport, _, kind = parts.scheme.partition("+")
        _ = kind or parts.port
    except ValueError as error:
        raise _wrong(f"{error}; a list of hosts has names, or addresses of IPv4") from error
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = OPTIONS | SENTINEL_OPTIONS if kind == Kind.SENTINEL else OPTIONS
    if kind == Kind.CLUSTER:
        known -= CLUSTER_UNKNOWN
    _check(options, known, tls=transport == "rediss")
    if not kind:
        return RedisAddress(Kind.SERVER, prefix, url)
    shared = _typed(options) | ({"ssl": True} if transport == "rediss" else {})
    account, _, netloc = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    mine = {name: unquote(value) for name, value in (("username", user), ("password", password)) if value}
    if kind == Kind.CLUSTER:
        if parts.path.strip("/") not in ("", "0"):
            raise _wrong("a cluster has no databases to choose from: leave the path out")
        return RedisAddress(Kind.CLUSTER, prefix, "", _nodes(netloc, REDIS_PORT), options=TIMEOUTS | mine | shared)
    return _sentinel(prefix, _nodes(netloc, SENTINEL_PORT), parts.path, mine, shared)


def _sentinel(
    prefix: str, nodes: tuple[tuple[str, int], ...], path: str, mine: dict[str, Any], shared: dict[str, Any]
) -> RedisAddress:
    service, _, database = unquote(path).strip("/").partition("/")
    if not service:
        raise _wrong("it names no service: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB")
    if database and not database.isdecimal():
        raise _wrong("the database is no number: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB")
    theirs = {name.removeprefix("sentinel_"): shared.pop(name) for name in SENTINEL_OPTIONS & shared.keys()}
    tls = {name: value for name, value in shared.items() if name.startswith("ssl")}
    return RedisAddress(
        Kind.SENTINEL,
        prefix,
        "",
        nodes,
        service,
        options=TIMEOUTS | mine | ({"db": int(database)} if database else {}) | shared,
        sentinel_options=SENTINEL_TIMEOUTS | theirs | tls,
    )


def _check(options: Mapping[str, str], known: frozenset[str], *, tls: bool) -> None:
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise _wrong(f"{name} is none of its options{f'; did you mean {near[0]}?' if near else ''}")
        if name.startswith("ssl_") and not tls:
            raise _wrong(f"{name} means nothing without TLS: begin with rediss")
    for name in FILES:
        if name in options and not os.access(options[name], os.R_OK):
            raise _wrong(f"{name} is {options[name]}, which cannot be read")
    _typed(options)


def _typed(options: Mapping[str, str]) -> dict[str, Any]:
    """As redis-py reads them of the URL of one server."""
    return {name: _value(name, text) for name, text in options.items()}


def _value(name: str, text: str) -> object:
    try:
        if name in ("ssl_check_hostname", "socket_keepalive"):
            return YES_OR_NO[text.lower()]
        if name in ("db", "ssl_min_version", "health_check_interval"):
            return int(text)
    except (KeyError, ValueError):
        raise _wrong(f"{name} has a value that it cannot have") from None
    if name == "ssl_cert_reqs" and text not in ("none", "optional", "required"):
        raise _wrong("ssl_cert_reqs is one of none, optional and required")
    return text


def _nodes(netloc: str, default_port: int) -> tuple[tuple[str, int], ...]:
    found = [NODE.fullmatch(node) for node in netloc.split(",")]
    nodes = [(node["host"].strip("[]"), int(node["port"] or default_port)) for node in found if node]
    if len(nodes) < len(found) or any(port > 65535 for _, port in nodes):
        raise _wrong("its hosts are no list of HOST:PORT,HOST:PORT")
    return tuple(nodes)


def _wrong(problem: str) -> InvalidSettings:
    return InvalidSettings(f"PENSTOCK_QUEUE_URL: {problem}.")
