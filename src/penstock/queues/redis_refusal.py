"""What Redis lets us do, and whether an error of it means that it is away, or that it does not let us in."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    ResponseError,
)

from penstock.errors import InvalidSettings, PenstockError, ServiceUnavailable
from penstock.models import QUEUES
from penstock.queues.redis_address import Kind, RedisAddress
from penstock.queues.redis_client import Errors, sentinels_of
from penstock.queues.redis_scripts import RIGHTS

BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
"""A server that ends in the middle of a handshake. Any other error of TLS is one of certificates or protocols."""
COMMANDS = (
    *("ping", "info", "select", "time", "evalsha", "script|load"),
    *("xadd", "xreadgroup", "xautoclaim", "xclaim", "xpending", "xack", "xdel", "xlen", "xrange", "xgroup", "xinfo"),
    *("hget", "hset", "hincrby", "hdel", "del"),
)
"""What a user of Redis has to be allowed. `CONFIG GET` is asked for too, and done without."""
CLUSTER_COMMANDS = ("cluster|slots", "command")


async def check_rights(client: Any, address: RedisAddress, keys: Sequence[str], group: str) -> None:
    """Try each command on these keys of a queue, without effect. Raises `InvalidSettings` for what is forbidden."""
    await client.script_load(RIGHTS)
    refused = await client.register_script(RIGHTS)(keys=keys, args=[group])
    if refused:
        found = ", ".join(dict.fromkeys(each.decode() for each in refused))
        raise InvalidSettings(f"Redis forbids its user {found} on {keys[0]}. {advice(address)}")


async def explained(error: BaseException, client: Any, address: RedisAddress) -> PenstockError:
    """What a failed command means: `InvalidSettings` where waiting is no use, else `ServiceUnavailable`."""
    if isinstance(error, MasterNotFoundError):
        error = await _error_of_sentinels(client) or error
    return refusal(error, address) or ServiceUnavailable(f"The queue does not answer: {told(error)}{_hint(error)}")


async def _error_of_sentinels(client: Any) -> BaseException | None:
    """Why they did not tell where the primary is, if that is why: redis-py keeps it to itself."""
    for sentinel in sentinels_of(client).sentinels:
        try:
            await sentinel.ping()
        except Errors as error:
            return error
    return None


def refusal(error: BaseException, address: RedisAddress) -> InvalidSettings | None:
    """What to tell where Redis does not let us in; None where it is only away."""
    behind = list(_chain(error))
    if any(isinstance(each, (AuthenticationError, AuthorizationError)) for each in behind):
        accounts = "user and password" + (
            ", and sentinel_username and sentinel_password" if address.kind is Kind.SENTINEL else ""
        )
        return InvalidSettings(f"Redis does not let us in: {told(error)}. See {accounts} in PENSTOCK_QUEUE_URL.")
    if any(isinstance(each, NoPermissionError) for each in behind):
        return InvalidSettings(f"Redis forbids its user a command or key: {told(error)}. {advice(address)}")
    if any(isinstance(each, ssl.SSLError) and not isinstance(each, BROKEN_OFF) for each in behind):
        return InvalidSettings(
            f"No TLS with Redis: {told(error)}. See ssl_ca_certs (who signed the server's certificate), ssl_certfile "
            "and ssl_keyfile (ours, where it asks for one) and the host's name in PENSTOCK_QUEUE_URL."
        )
    return _wrong_kind(behind, address)


def _wrong_kind(behind: Sequence[BaseException], address: RedisAddress) -> InvalidSettings | None:
    if any(isinstance(each, (MovedError, ClusterCrossSlotError)) for each in behind) and address.kind is Kind.SERVER:
        return InvalidSettings("This Redis is a node of a cluster: let PENSTOCK_QUEUE_URL begin with redis+cluster://.")
    if any("luster mode is not enabled" in str(each) or "cluster support disabled" in str(each) for each in behind):
        return InvalidSettings("This Redis is no cluster: let PENSTOCK_QUEUE_URL begin with redis:// or rediss://.")
    return None


def told(error: BaseException) -> str:
    """What the error says, without what redis-py says of itself."""
    text = str(error) or type(error).__name__
    if isinstance(error, MasterNotFoundError):
        text = text.partition(" : ")[0]
    return text.rstrip(".")


def _hint(error: BaseException) -> str:
    """A server that wants TLS, or a certificate of ours, often just hangs up; so does one that ends."""
    if not any(isinstance(each, ConnectionResetError) or "closed by server" in str(each) for each in _chain(error)):
        return ""
    return (
        ". It hung up: where it takes TLS only, PENSTOCK_QUEUE_URL has to begin with rediss; "
        "where it asks for a certificate, to name ssl_certfile and ssl_keyfile"
    )


def came_back_empty(error: BaseException) -> bool:
    """Whether a command failed because the queue's group is gone."""
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


def advice(address: RedisAddress) -> str:
    """The rule that lets a user in, and nowhere else."""
    return f"Its rights have to be at least: {rule(address)}"


def rule(address: RedisAddress) -> str:
    """The least rights, as ACL SETUSER takes them behind the user's name and password."""
    everything = address.key_of("")
    keys = [everything] if everything else QUEUES
    commands = COMMANDS + CLUSTER_COMMANDS if address.kind is Kind.CLUSTER else COMMANDS
    return " ".join([*(f"~{key}*" for key in keys), *(f"+{command}" for command in commands)])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
