"""What PENSTOCK_QUEUE_URL may say of Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import InvalidSettings
from penstock.queues.redis_address import Kind, redis_address
from penstock.queues.redis_refusal import rule
from penstock.queues.sqs_address import sqs_address

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "redis.md"


def test_one_server() -> None:
    url = "redis://user:p%40ss@queue.example:6380/3?client_name=penstock"
    found = redis_address(url)
    assert (found.kind, found.url, found.key_of("ingest-queue")) == (Kind.SERVER, url, "ingest-queue")
    assert redis_address(url, "acme").key_of("ingest-queue") == "acme:ingest-queue"
    assert "p%40ss" not in repr(found)


def test_sentinels(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    options = f"ssl_ca_certs={authority}&sentinel_password=word"
    found = redis_address(f"rediss+sentinel://user:p%40ss@a,b:1/primary/3?{options}", "acme")
    assert (found.nodes, found.service) == ((("a", 26379), ("b", 1)), "primary")
    server = {name: found.options[name] for name in ("username", "password", "db", "ssl", "ssl_ca_certs")}
    assert server == {"username": "user", "password": "p@ss", "db": 3, "ssl": True, "ssl_ca_certs": str(authority)}
    sentinel = {name: value for name, value in found.sentinel_options.items() if not name.startswith("socket_")}
    assert sentinel == {"password": "word", "ssl": True, "ssl_ca_certs": str(authority)}
    assert found.key_of("ingest-queue") == "acme:ingest-queue"


def test_a_cluster() -> None:
    found = redis_address("redis+cluster://:word@a,b:1", "acme")
    assert (found.nodes, found.options["password"]) == ((("a", 6379), ("b", 1)), "word")
    assert found.key_of("ingest-queue") == "{acme}:ingest-queue"
    assert redis_address("redis+cluster://a").key_of("ingest-queue") == "{penstock}:ingest-queue"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rediss://h?ssl_ca_cert=/x", "ssl_ca_cert is none of its options; did you mean ssl_ca_certs?"),
        ("rediss://h?decode_responses=true", "decode_responses is none of its options"),
        ("rediss://h?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs is /nowhere/ca.pem, which cannot be read"),
        ("rediss://h?ssl_check_hostname=perhaps", "ssl_check_hostname has a value that it cannot have"),
        ("rediss://h?ssl_cert_reqs=maybe", "one of none, optional and required"),
        ("redis://h?ssl_cert_reqs=none", "means nothing without TLS: begin with rediss"),
        ("redis://h:port/0", "Port could not be cast"),
        ("redis://h?sentinel_password=x", "sentinel_password is none of its options"),
        ("redis+sentinel://a:1,b:2", "it names no service"),
        ("redis+sentinel://a:1/primary/first", "the database is no number"),
        ("redis+sentinel://a:1,b:x/primary", "no list of HOST:PORT"),
        ("redis+sentinel://a:1,/primary", "no list of HOST:PORT"),
        ("redis+cluster://a:1/2", "a cluster has no databases"),
        ("redis+cluster://a:1?db=2", "db is none of its options"),
    ],
)
def test_what_cannot_be_is_said_without_secrets(url: str, says: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        redis_address(url.replace("://", "://user:hunter2@"))
    assert says in caught.value.message
    assert caught.value.message.startswith("PENSTOCK_QUEUE_URL: ")
    assert "hunter2" not in caught.value.message


def test_the_documentation_names_the_least_rights() -> None:
    page = PAGE.read_text()
    for url, prefix in (("redis://h", "acme"), ("redis+cluster://h", "acme")):
        assert f" {rule(redis_address(url, prefix))}\n" in page
    assert rule(redis_address("redis://h")).startswith("~ingest-queue* ~embedding-queue* +ping ")


def test_the_prefix_is_said_in_the_same_way_for_sqs() -> None:
    assert sqs_address("sqs://eu-central-1", "acme") == sqs_address("sqs://eu-central-1/acme")
    assert sqs_address("sqs://eu-central-1/acme", "acme").name_of("ingest-queue") == "acme-ingest-queue"
    with pytest.raises(InvalidSettings, match="another prefix than PENSTOCK_QUEUE_PREFIX"):
        sqs_address("sqs://eu-central-1/acme", "other")
