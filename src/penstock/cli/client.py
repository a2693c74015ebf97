"""The Core API over HTTP, for the command line: calls in, values or `PenstockError`s out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr, ValidationError

from penstock.cli.output import print_note
from penstock.cli.upload import Upload
from penstock.cli.version import installed_version
from penstock.errors import (
    InvalidSettings,
    NotFound,
    PenstockError,
    RequestError,
    ServiceUnavailable,
    error_with_code,
)
from penstock.models import QUEUES, DeadLetter, File, FileStatus, Hit, QueueDepth, Value
from penstock.settings import mask

LOOKUP_LIMIT = 1000
"""Most files that `POST /files/lookup` takes at once."""
PAGE_SIZE = 500
PATIENCE_SECONDS = 60.0
"""How long a call goes on trying while Penstock is away or says 503."""
LONGEST_PAUSE_SECONDS = 5.0
SILENT_PAUSE_SECONDS = 1.0
"""A call that waits longer than that before it tries again says what it waits for."""

_TIMEOUT = httpx.Timeout(5, read=300, write=60, pool=None)
"""Reading waits long: the answer to an upload of many GB comes when the store has it all."""

ValueT = TypeVar("ValueT", bound=Value)


class BatchSums(Value):
    """What `GET /batches/{batch}` adds up over the Files of one `add`."""

    files: dict[FileStatus, int]
    bytes: int
    pages: int
    chunks: int
    embedded: int

    @property
    def unsettled(self) -> int:
        return sum(count for status, count in self.files.items() if not status.settled)


class ConnectionLost(ServiceUnavailable):
    """The connection broke before the answer came; whether the request was carried out is not known."""


class Client:
    """One Core API. `async with Client(url) as client: …`; all calls come from one event loop.

    Every call raises `PenstockError` with the code that the API gave, or `ServiceUnavailable` when
    it does not answer: at once if it never did, else after `patience` seconds of trying.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE_SECONDS) -> None:
        base_url = _checked_url(url)
        self.url = mask(SecretStr(base_url))
        """Without the password that a proxy before the API may want; it is printed."""
        self._patience = patience
        self._answered = False
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=_TIMEOUT,
            headers={"User-Agent": f"penstock/{installed_version()}"},
            # A proxy from the environment cannot reach the loopback interface of this machine.
            trust_env=not _is_loopback(base_url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def add_file(
        self, upload: Upload, *, batch: UUID, metadata: Mapping[str, str], on_progress: Callable[[int], None]
    ) -> File:
        """Hand in one file, read in pieces. Raises `ConnectionLost` if no answer comes: it may have arrived."""
        parameters = {"name": upload.name, "batch": str(batch)}
        if metadata:
            parameters["metadata"] = json.dumps(metadata)
        response = await self._call(
            "POST",
            "/files",
            params=parameters,
            headers=upload.headers,
            content=lambda: upload.body(on_progress),
            repeatable=False,
        )
        return _read(File, response)

    async def lookup(self, names_and_hashes: Sequence[tuple[str, str]]) -> list[File | None]:
        """For each (name, SHA-256), at most `LOOKUP_LIMIT`, the File that is there already, if it has not failed."""
        asked = {"files": [{"name": name, "sha256": sha256} for name, sha256 in names_and_hashes]}
        found = _list(_json(await self._call("POST", "/files/lookup", json=asked)))
        return [None if item is None else _value(File, item) for item in found]

    async def batch(self, batch: UUID) -> BatchSums:
        return _read(BatchSums, await self._call("GET", f"/batches/{batch}"))

    def files(self, **filters: str) -> AsyncIterator[File]:
        """All Files that fit the filters of `GET /files`, page after page."""
        return self._pages(File, "/files", filters)

    async def file(self, file_id: str) -> File:
        return _read(File, await self._call("GET", f"/files/{_part(file_id)}"))

    async def delete(self, file_id: str) -> None:
        await self._call("DELETE", f"/files/{_part(file_id)}")

    async def reingest(self, file_id: str) -> File:
        return _read(File, await self._call("POST", f"/files/{_part(file_id)}/reingest", repeatable=False))

    async def search(
        self, query: str, *, k: int, mode: str, filters: Mapping[str, object], context: int = 0
    ) -> list[Hit]:
        asked: dict[str, object] = {"query": query, "k": k, "mode": mode, "filters": filters}
        if context:
            asked["context"] = context
        return [_value(Hit, item) for item in _list(_json(await self._call("POST", "/search", json=asked)))]

    async def queues(self) -> dict[str, QueueDepth]:
        depths = _object(_json(await self._call("GET", "/queues")))
        return {name: _value(QueueDepth, depth) for name, depth in depths.items()}

    def dead_letters(self, queue: str | None = None) -> AsyncIterator[DeadLetter]:
        return self._pages(DeadLetter, "/dead-letters", {"queue": queue} if queue else {})

    async def dead_letter(self, dead_letter_id: str, queue: str | None = None) -> DeadLetter:
        """The dead letter with this id, on `queue` or on whichever queue has it. Raises `NotFound`."""
        for name in [queue] if queue else QUEUES:
            try:
                return _read(DeadLetter, await self._call("GET", _letter_path(name, dead_letter_id)))
            except NotFound:
                continue
        raise NotFound(f"there is no dead letter {dead_letter_id}; `penstock dead-letters list` shows them")

    async def replay(self, letter: DeadLetter) -> None:
        await self._call("POST", f"{_letter_path(letter.queue, letter.dead_letter_id)}/replay", repeatable=False)

    async def drop(self, letter: DeadLetter) -> None:
        await self._call("DELETE", _letter_path(letter.queue, letter.dead_letter_id))

    async def readiness(self) -> dict[str, str]:
        """Each thing the API needs, and `ok` or what is wrong with it."""
        answer = _object(_json(await self._send("GET", "/health/ready")))
        return {name: str(state) for name, state in _object(answer.get("checks")).items()}

    async def _pages(self, kind: type[ValueT], path: str, filters: Mapping[str, str]) -> AsyncIterator[ValueT]:
        parameters = {"limit": str(PAGE_SIZE), **filters}
        while True:
            page = _object(_json(await self._call("GET", path, params=parameters)))
            for item in _list(page.get("items")):
                yield _value(kind, item)
            if not page.get("next"):
                return
            parameters["cursor"] = str(page["next"])

    async def _call(
        self,
        method: str,
        path: str,
        *,
        content: Callable[[], AsyncIterator[bytes]] | None = None,
        repeatable: bool = True,
        **request: Any,
    ) -> httpx.Response:
        """Send until there is an answer other than 503, or patience ends; raise what the answer says.

        A request that is not `repeatable` is sent again only where it surely was not carried out.
        """
        pauses = _Pauses(self._patience)
        while True:
            try:
                response = await self._send(method, path, content=content() if content else None, **request)
            except ConnectionLost as error:
                if not repeatable:
                    raise
                await pauses.wait(error)
                continue
            except ServiceUnavailable as error:
                if not self._answered:
                    raise
                await pauses.wait(error)
                continue
            if response.is_success:
                return response
            problem = _problem(response)
            if not isinstance(problem, ServiceUnavailable):
                raise problem
            await pauses.wait(problem)

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send once. Raises `ServiceUnavailable` if nothing listens, `ConnectionLost` if the answer does not come."""
        try:
            response = await self._http.request(method, path, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServiceUnavailable(f"No Penstock answers at {self.url}; start it with `penstock up`") from error
        except httpx.TransportError as error:
            told = str(error) or type(error).__name__
            raise ConnectionLost(
                f"the connection to {self.url} broke ({told}); see with `penstock files` what was carried out"
            ) from error
        self._answered = True
        return response


class _Pauses:
    """Waits that grow, until patience ends."""

    def __init__(self, patience: float) -> None:
        self._deadline = time.monotonic() + patience
        self._next = 0.25
        self._said = False

    async def wait(self, problem: ServiceUnavailable) -> None:
        """Sleep for as long as `problem` asks, or raise it if that would take too long."""
        pause = self._next if problem.retry_after is None else min(problem.retry_after, LONGEST_PAUSE_SECONDS)
        if time.monotonic() + pause > self._deadline:
            raise problem
        if self._next > SILENT_PAUSE_SECONDS and not self._said:
            self._said = True
            print_note(f"waiting: {problem.message}")
        await asyncio.sleep(pause)
        self._next = min(self._next * 2, LONGEST_PAUSE_SECONDS)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidSettings(f"the URL of Penstock is {url!r}: it must look like http://127.0.0.1:8321")
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _problem(response: httpx.Response) -> PenstockError:
    """The error that a response other than 2xx tells."""
    details = _details(response)
    if "code" in details:
        error = error_with_code(str(details["code"]), _told(details))
    elif response.status_code in (502, 503, 504):
        error = ServiceUnavailable(f"{response.url.host} answers {response.status_code} {response.reason_phrase}")
    else:
        error = RequestError(
            f"{response.request.method} {response.url.path} was answered {response.status_code} "
            f"{response.reason_phrase}; is that a Penstock?"
        )
    if isinstance(error, ServiceUnavailable):
        error.retry_after = _seconds(response.headers.get("Retry-After"))
    return error


def _details(response: httpx.Response) -> dict[str, Any]:
    """The problem details (RFC 9457) in a response; empty if there are none, as from a proxy."""
    try:
        return _object(_json(response))
    except RequestError:
        return {}


def _told(details: dict[str, Any]) -> str:
    """The problem's sentence, with the fields that a validation found wrong."""
    sentence = str(details.get("detail") or details.get("title") or details["code"])
    fields = [_told_field(_object(error)) for error in _list(details.get("errors") or [])]
    return "; ".join([sentence, *(field for field in fields if field not in sentence)])


def _told_field(error: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in error.get("loc", ()))
    return f"{place}: {error.get('msg') or error.get('message') or 'not as it should be'}"


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is left to our own pauses."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise _not_understood(response.text) from error


def _read(kind: type[ValueT], response: httpx.Response) -> ValueT:
    return _value(kind, _json(response))


def _value(kind: type[ValueT], item: Any) -> ValueT:
    """`item` as a value; fields that only a newer server knows are left out."""
    fields = kind.model_fields  # not once for each name: a thousand Files of an answer have 22,000
    known = {name: held for name, held in _object(item).items() if name in fields}
    try:
        return kind.model_validate(known)
    except ValidationError as error:
        raise _not_understood(item) from error


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise _not_understood(answer)
    return cast("dict[str, Any]", answer)


def _list(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise _not_understood(answer)
    return cast("list[Any]", answer)


def _not_understood(answer: object) -> PenstockError:
    start = repr(answer)[:200]
    return RequestError(f"the answer is not one of this version of Penstock's ({installed_version()}): {start}")


def _part(identifier: str) -> str:
    """An id as one part of a path, whatever was typed."""
    return quote(identifier, safe="") or "-"


def _letter_path(queue: str, dead_letter_id: str) -> str:
    return f"/dead-letters/{_part(queue)}/{_part(dead_letter_id)}"
