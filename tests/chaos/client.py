"""A stubborn client: hands a file in until it has an answer, and never twice."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

PATIENCE_SECONDS = 180.0
PIECE_BYTES = 4096
FORESEEN = (HTTPStatus.SERVICE_UNAVAILABLE,)


class Refused(Exception):
    """The API answered what no retry mends, or nothing at all for minutes."""


class Client:
    """Asks by batch and name whether a file arrived before it tries again; heeds Retry-After."""

    def __init__(self, url: str) -> None:
        # Long: whether a request that timed out still arrives later nobody can tell.
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False)
        self._lock = threading.Lock()
        self.answers = Counter[str]()
        """How often each answer came that was no success: a status, or the name of a broken connection's error."""
        self.wrong: list[str] = []
        """Answers that an API never gives, whatever happens."""

    def close(self) -> None:
        self._http.close()

    def hand_in(self, name: str, content: bytes, batch: UUID, *, pause: float = 0.0) -> UUID:
        """The id of the File. `pause` seconds between the pieces of the upload."""
        asked = {"name": name, "batch": str(batch)}
        for _ in self._until_patience_ends(f"handing in {name}"):
            answer = self._send("POST", "/files", params=asked, content=_pieces(content, pause))
            if answer is not None and answer.status_code == HTTPStatus.ACCEPTED:
                return UUID(answer.json()["file_id"])
            if (found := self.find(name, batch)) is not None:
                return found
        raise AssertionError("the loop ends by itself only by raising")

    def write_by_url(self, name: str, content: bytes) -> UUID:
        """The id of the File, whose bytes go straight to the object store."""
        for _ in self._until_patience_ends(f"writing {name} by URL"):
            begun = self._send("POST", "/files/uploads", json={"name": name})
            if begun is None or begun.status_code != HTTPStatus.CREATED:
                continue
            upload = begun.json()
            written = self._send(upload["method"], upload["url"], content=content)
            if written is not None and written.is_success and self._complete(upload["upload_id"]):
                return UUID(upload["upload_id"])
        raise AssertionError("the loop ends by itself only by raising")

    def _complete(self, upload_id: str) -> bool:
        """Until it is a File; false where the upload is unknown."""
        for _ in self._until_patience_ends(f"completing {upload_id}"):
            answer = self._send("POST", f"/files/uploads/{upload_id}/complete")
            if answer is not None and answer.status_code in (HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND):
                return answer.status_code == HTTPStatus.ACCEPTED
        return False

    def break_off(self, name: str) -> None:
        """An upload that ends in the middle of its form; the API must refuse it and keep nothing."""
        body = f'--cut\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nhalf'
        with suppress(Refused):  # as it should be
            self._send("POST", "/files", headers={"Content-Type": "multipart/form-data; boundary=cut"}, content=body)

    def find(self, name: str, batch: UUID) -> UUID | None:
        """The File of that name, if it arrived."""
        for _ in self._until_patience_ends(f"asking for {name}"):
            answer = self._send("GET", "/files", params={"name": name, "batch": str(batch)})
            if answer is not None and answer.is_success:
                items = answer.json()["items"]
                return UUID(items[0]["file_id"]) if items else None
        return None

    def delete(self, file_id: UUID) -> None:
        """Until it is gone."""
        for _ in self._until_patience_ends(f"deleting {file_id}"):
            answer = self._send("DELETE", f"/files/{file_id}")
            if answer is not None and (answer.is_success or answer.status_code == HTTPStatus.NOT_FOUND):
                return

    def reingest(self, file_id: UUID) -> None:
        """At least once: a request whose answer was lost may have been heard."""
        for _ in self._until_patience_ends(f"re-ingesting {file_id}"):
            answer = self._send("POST", f"/files/{file_id}/reingest")
            if answer is not None and (answer.is_success or answer.status_code == HTTPStatus.NOT_FOUND):
                return

    def dead_letters(self) -> list[dict[str, Any]]:
        for _ in self._until_patience_ends("listing dead letters"):
            answer = self._send("GET", "/dead-letters", params={"limit": "100"})
            if answer is not None and answer.is_success:
                return answer.json()["items"]
        return []

    def replay(self, letter: dict[str, Any]) -> None:
        self._settle(letter, "POST", "/replay")

    def drop(self, letter: dict[str, Any]) -> None:
        self._settle(letter, "DELETE", "")

    def search(self, query: str, k: int = 10) -> list[dict[str, Any]]:
        for _ in self._until_patience_ends("searching"):
            answer = self._send("POST", "/search", json={"query": query, "k": k})
            if answer is not None and answer.is_success:
                return answer.json()
        return []

    def _settle(self, letter: dict[str, Any], method: str, verb: str) -> None:
        path = f"/dead-letters/{letter['queue']}/{letter['dead_letter_id']}{verb}"
        for _ in self._until_patience_ends(f"{method} {path}"):
            answer = self._send(method, path)
            if answer is not None and (answer.is_success or answer.status_code == HTTPStatus.NOT_FOUND):
                return

    def _until_patience_ends(self, what: str) -> Iterator[int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in itertools.count(1):
            if time.monotonic() > deadline:
                raise Refused(f"{what}: no success in {PATIENCE_SECONDS:.0f} s; answers so far: {dict(self.answers)}")
            yield attempt

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """The answer; None where the connection broke. Waits as long as the API asks for, or a moment."""
        wait = 0.2
        answer = None
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            self._count(type(error).__name__)
        if answer is not None:
            if answer.is_success:
                return answer
            self._count(str(answer.status_code))
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code not in FORESEEN:
                self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code != HTTPStatus.NOT_FOUND:
                raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return answer
            with suppress(ValueError):
                wait = float(answer.headers.get("Retry-After", wait))
        time.sleep(wait)
        return answer

    def _count(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1


def _pieces(content: bytes, pause: float) -> bytes | Iterator[bytes]:
    if not pause:
        return content
    return _slowly(content, pause)


def _slowly(content: bytes, pause: float) -> Iterator[bytes]:
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
        time.sleep(pause)
