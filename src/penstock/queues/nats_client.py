"""A connection to NATS, for a Worker and its heartbeat: who we are, how long we wait, what went wrong.

nats-py would reconnect by itself, and send then what was meant for before. A connection of ours that is lost is lost:
who was waiting for an answer hears so at once, and the next request makes another one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError, NoServersError, SecureConnWantedError
from nkeys import (  # pyright: ignore[reportMissingTypeStubs]
    NkeysError,
    from_seed,  # pyright: ignore[reportUnknownVariableType]
)

from penstock.errors import InvalidSettings, ServiceUnavailable
from penstock.queues.nats_address import NatsAddress

ANSWER_SECONDS = 5.0
"""A server that answers nothing is noticed so soon."""
CONNECT_SECONDS = 2
PING_SECONDS = 2
"""A connection on which nothing comes back any more is given up after three of them."""
PAUSE_SECONDS = 0.05
"""Before the second try to reach a server."""
REFUSALS = ("authorization violation", "authentication", "permissions violation", "account expired")

Errors = (Error, OSError, TimeoutError)
"""All that nats-py raises."""
STREAM_MISSING, CONSUMER_MISSING, MESSAGE_MISSING, SEQUENCE_MISSING = 10059, 10014, 10037, 10043
STREAM_EXISTS, WRONG_SEQUENCE, NOT_ENABLED = 10058, 10071, 10039


class JetStreamError(ServiceUnavailable):
    """JetStream refused a request."""

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(f"The queue refuses: {problem}")
        self.number = code
        """JetStream's own `err_code`."""


class NobodyAnswersError(ServiceUnavailable):
    """No server is responsible for this request: what it is about does not exist, or has no leader now."""


class Connection(Client):
    """One life of a connection."""

    def __init__(self, address: NatsAddress) -> None:
        super().__init__()
        self._address = address
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.complaint: Exception | None = None
        """The last that came beside the answers, such as a right that we lack."""

    async def open(self) -> None:
        """Connect to one of the servers. Raises one of `Errors`."""
        address = self._address
        _check_files(address)
        try:
            await self.connect(
                list(address.servers),
                name="penstock",
                error_cb=self._complain,
                closed_cb=self._close_down,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=PAUSE_SECONDS,  # pyright: ignore[reportArgumentType]  # it only sleeps so long
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                user=address.user,
                password=address.password,
                token=address.token,
                user_credentials=address.credentials,
                nkeys_seed=address.nkey,
                tls=_tls(address),
                pending_size=0,
            )
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Close it, whatever has become of it.

        After a failed TLS handshake asyncio's streams wait for their end for ever, and keep the socket.
        """
        bare: asyncio.StreamWriter | None = getattr(self._transport, "_bare_io_writer", None)
        if bare is None:
            return  # nothing was opened
        with suppress(*Errors):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self.close()
        bare.transport.abort()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002  # nats-py's
        """Called before anything is said, also who we are: a `tls://` must not be talked out of it."""
        if self._address.secure and not info.get("tls_required"):
            raise SecureConnWantedError
        await super()._process_info(info, initial_connection)

    async def _complain(self, error: Exception) -> None:
        self.complaint = error

    async def _close_down(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


class Nats:
    """What a server is asked with. Each call raises `ServiceUnavailable`; `InvalidSettings` where waiting is no use."""

    def __init__(self, address: NatsAddress) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connection(self) -> Connection:
        """The one there is, or another one."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                connection = Connection(self._address)
                try:
                    await connection.open()
                except Errors as error:
                    raise _away(error, connection.complaint) from error
                self._connection = connection
            return self._connection

    async def request(self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Msg:
        """Ask, and wait for the answer."""
        connection = await self.connection()
        asking = asyncio.create_task(
            connection.request(subject, body, timeout=ANSWER_SECONDS, headers=dict(headers) if headers else None)
        )
        try:
            await asyncio.wait({asking, connection.lost}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ServiceUnavailable("The queue does not answer: the connection was lost.")
            return asking.result()
        except NoRespondersError as error:
            raise NobodyAnswersError(f"The queue does not answer: nobody is responsible for {subject}.") from error
        except Errors as error:
            raise _away(error, connection.complaint) from error
        finally:
            asking.cancel()

    async def api(self, call: str, **parameters: Any) -> dict[str, Any]:
        """One call of JetStream's API. Raises `JetStreamError` where it refuses."""
        answer = await self.request(f"$JS.API.{call}", json.dumps(parameters).encode() if parameters else b"")
        return _accepted(answer)

    async def store(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Send a message to the stream of this subject: its number there. Raises `JetStreamError` where it is full."""
        return _accepted(await self.request(subject, body, headers))["seq"]

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.leave()


def _accepted(answer: Msg) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.data)
    if problem := told.get("error"):
        raise JetStreamError(problem.get("description", "no reason given"), problem.get("err_code", 0))
    return told


def _check_files(address: NatsAddress) -> None:
    """Raises `InvalidSettings`. nats-py would look for the end of a file that is none of credentials for ever."""
    for name, file, marks in (
        ("credentials", address.credentials, (b"BEGIN NATS USER JWT", b"BEGIN USER NKEY SEED")),
        ("nkey", address.nkey, ()),
    ):
        if file is None:
            continue
        try:
            content = Path(file).read_bytes()
            if address.nkey is not None:
                from_seed(bytearray(content.strip()))
        except (OSError, NkeysError, ValueError) as error:
            raise InvalidSettings(f"PENSTOCK_QUEUE_URL names a file as {name} that is none: {error}") from error
        if not all(mark in content for mark in marks):
            raise InvalidSettings(f"PENSTOCK_QUEUE_URL names {file} as {name}, which is no such file.")


def _tls(address: NatsAddress) -> ssl.SSLContext | None:
    if not (address.secure or address.tls_ca or address.tls_cert):
        return None  # a server may ask for it all the same: then the system's certificates count
    context = ssl.create_default_context(cafile=address.tls_ca)
    if address.tls_cert is not None:
        context.load_cert_chain(address.tls_cert, address.tls_key)
    return context


def _away(error: BaseException, complaint: Exception | None) -> Exception:
    """Ours for one of nats-py's: it tells the cause of some only beside."""
    told = complaint if isinstance(error, (NoServersError, TimeoutError)) and complaint is not None else error
    problem = " ".join(str(told).removeprefix("nats: ").split()) or type(told).__name__
    if isinstance(told, SecureConnWantedError):
        return InvalidSettings("PENSTOCK_QUEUE_URL says tls://, and this NATS server does not ask for TLS.")
    if any(refusal in problem.lower() for refusal in REFUSALS):
        return Refused(problem)
    return ServiceUnavailable(f"The queue does not answer: {problem}")


class Refused(ServiceUnavailable):
    """NATS does not let us in. While a role runs, that may pass: accounts are changed, and changed back."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"NATS does not let us in: {problem}.")
