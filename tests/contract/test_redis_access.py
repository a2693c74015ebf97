"""Who is not let in by Redis is told why, and what to do: at the start, and by `penstock doctor`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterator

import pytest
from real_servers import redis_command
from redis_servers import ELSEWHERE, INSTALLED, PREFIX, SecureRedis
from refused import problem_with, settings_of

from penstock.cli.checks import check_queue
from penstock.errors import InvalidSettings, ServiceUnavailable
from penstock.queues.redis import RedisQueues
from penstock.queues.redis_address import redis_address
from penstock.queues.redis_refusal import COMMANDS, rule

pytestmark = INSTALLED


async def test_who_may_do_all_that_is_needed_and_no_more_is_let_in(secure_server: SecureRedis) -> None:
    queues = RedisQueues(settings_of(secure_server.url), worker="worker")
    await queues.open()
    await queues.close()
    check = await to_thread(check_queue, settings_of(secure_server.url))
    assert check.state == "ok", check
    assert check.found.startswith("Redis 7")


async def test_a_wrong_password(secure_server: SecureRedis) -> None:
    said = await problem_with(settings_of(secure_server.at("penstock:wrong")))
    assert "does not let us in" in said
    assert "See user and password in PENSTOCK_QUEUE_URL" in said


# asyncio of Python 3.11 leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("leaks_of_libraries")
async def test_a_certificate_that_nobody_known_has_signed_or_that_is_another_hosts(secure_server: SecureRedis) -> None:
    unknown = await problem_with(settings_of(secure_server.at(ssl_ca_certs=secure_server.certificates.stranger)))
    assert "CERTIFICATE_VERIFY_FAILED" in unknown
    assert "See ssl_ca_certs" in unknown
    elsewhere = secure_server.url.replace("localhost", ELSEWHERE)
    assert ELSEWHERE in await problem_with(settings_of(elsewhere))
    queues = RedisQueues(settings_of(f"{elsewhere}&ssl_check_hostname=false"), worker="worker")
    await queues.open()
    await queues.close()


async def test_a_server_that_hangs_up_may_want_tls_or_a_certificate(secure_server: SecureRedis) -> None:
    plain = f"redis://penstock:p%3Aw%2Fd@localhost:{secure_server.port}/1"
    assert "has to begin with rediss" in await problem_with(settings_of(plain), ServiceUnavailable)


@pytest.fixture
def rights(secure_server: SecureRedis) -> Iterator[str]:
    """Those that the documentation names."""
    found = rule(redis_address(secure_server.url, PREFIX))
    yield found
    redis_command(secure_server.admin, "ACL", "SETUSER", "penstock", "resetkeys", "-@all", *found.split())


async def test_each_command_that_is_forbidden_is_named(secure_server: SecureRedis, rights: str) -> None:
    settings = settings_of(secure_server.url)
    for command in COMMANDS:
        redis_command(secure_server.admin, "ACL", "SETUSER", "penstock", f"-{command}")
        redis_command(secure_server.admin, "CLIENT", "KILL", "USER", "penstock")
        queues = RedisQueues(settings, worker="worker")
        with pytest.raises(InvalidSettings) as caught:
            await queues.open()
        await queues.close()
        assert command.partition("|")[0] in caught.value.message.partition("Its rights")[0].lower(), command
        redis_command(secure_server.admin, "ACL", "SETUSER", "penstock", f"+{command}")
    redis_command(secure_server.admin, "ACL", "SETUSER", "penstock", "-xautoclaim", "-hset")
    said = await problem_with(settings)
    assert f"XAUTOCLAIM, HSET on {PREFIX}:ingest-queue. Its rights have to be at least: {rights}" in said


async def test_keys_that_are_forbidden(secure_server: SecureRedis) -> None:
    said = await problem_with(settings_of(secure_server.url, "other"))
    assert "Its rights have to be at least: ~other:* +ping" in said


async def test_a_server_that_is_no_cluster(secure_server: SecureRedis, rights: str) -> None:
    lone = secure_server.url.replace("rediss://", "rediss+cluster://").replace("/1?", "/?")
    redis_command(secure_server.admin, "ACL", "SETUSER", "penstock", "+cluster|slots", "+command")
    assert "is no cluster" in await problem_with(settings_of(lone))
