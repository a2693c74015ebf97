"""The Core API's HTTP contract, in memory, over real HTTP: what the command line is tested against.

Files "work" by the clock: each is ingested, then embedded, one after another. It misbehaves on
request: refuses, drops answers, forgets what has settled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

CHUNKS_PER_FILE = 3
MAX_NAME_CHARACTERS = 1024


@dataclass
class StoredFile:
    """A File and when the clock makes it something else."""

    name: str
    sha256: str
    size: int
    batch: str | None
    metadata: dict[str, Any]
    created_at: datetime
    ingested_at: datetime
    settled_at: datetime
    error: dict[str, str] | None = None
    file_id: UUID = field(default_factory=uuid4)
    generation: int = 1
    unread_pages: list[int] = field(default_factory=list[int])

    def status(self, now: datetime) -> str:
        if now >= self.settled_at:
            return "failed" if self.error else "complete"
        return "embedding" if now >= self.ingested_at else "ingesting"

    def json(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        status = self.status(now)
        settled = status in ("complete", "failed")
        chunks = CHUNKS_PER_FILE if status in ("embedding", "complete") else 0
        return {
            "file_id": str(self.file_id),
            "owner": "default",
            "name": self.name,
            "object_key": f"files/{self.file_id}",
            "media_type": "text/plain",
            "size": self.size,
            "sha256": self.sha256,
            "status": status,
            "generation": self.generation,
            "active_generation": self.generation if status == "complete" else None,
            "page_count": 1 if chunks else None,
            "chunk_count": chunks,
            "embedded_count": chunks if status == "complete" else 0,
            "token_count": chunks * 10,
            "coverage": 0.9993 if chunks else None,
            "unread_pages": self.unread_pages,
            "error": self.error if status == "failed" else None,
            "metadata": self.metadata,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.created_at.isoformat(),
            "settled_at": self.settled_at.isoformat() if settled else None,
            "only_a_newer_server_knows": True,
        }


@dataclass
class ApiInMemory:
    """What the API holds, and how it is to misbehave."""

    ingest_seconds: float = 0.0
    embed_seconds: float = 0.0
    """Of one File; each stage does one File at a time."""
    max_upload_bytes: int | None = None
    busy: int = 0
    """So many requests from now on are answered 503."""
    drop_answers: int = 0
    """So many uploads from now on are carried out, and the connection broken instead of an answer."""
    lose: str = ""
    """A File of this name is deleted as soon as it is there."""
    forget_settled: bool = False
    """The list of what has settled leaves every second File out."""
    files: dict[UUID, StoredFile] = field(default_factory=dict[UUID, StoredFile])
    letters: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict[tuple[str, str], dict[str, Any]])
    replayed: list[str] = field(default_factory=list[str])
    hits: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    requests: list[str] = field(default_factory=list[str])
    """Method and path of each request."""
    searched: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    uploads_at_once: int = 0
    most_uploads_at_once: int = 0
    url: str = ""

    def named(self, name: str) -> list[StoredFile]:
        return [file for file in self.files.values() if file.name == name]

    def add_letter(
        self,
        letter_id: str,
        *,
        queue: str = "ingest-queue",
        code: str = "parser_crashed",
        reason: str = "it crashed",
    ) -> None:
        now = datetime.now(UTC).isoformat()
        self.letters[queue, letter_id] = {
            "dead_letter_id": letter_id,
            "queue": queue,
            "file_id": str(uuid4()),
            "code": code,
            "reason": reason,
            "attempts": 3,
            "worker": "w1",
            "first_at": now,
            "last_at": now,
            "message": {"version": 1},
        }

    # -- Files

    async def add_file(self, request: Request) -> Response:
        if self.max_upload_bytes is not None and int(request.headers["Content-Length"]) > self.max_upload_bytes:
            # As a server should: without reading it all first.
            return problem(413, "too_large", "The file is larger than the limit.")
        if len(request.query_params["name"]) > MAX_NAME_CHARACTERS:
            return problem(422, "invalid_request", "The name is too long.")
        self.uploads_at_once += 1
        self.most_uploads_at_once = max(self.most_uploads_at_once, self.uploads_at_once)
        try:
            file = await self._stored(request)
        finally:
            self.uploads_at_once -= 1
        if self.drop_answers:
            self.drop_answers -= 1
            return BrokenAnswer()
        return JSONResponse(file.json(), status_code=202)

    async def _stored(self, request: Request) -> StoredFile:
        boundary = request.headers["Content-Type"].partition("boundary=")[2]
        size, sha256, start = await read_part(request.stream(), tail=len(f"\r\n--{boundary}--\r\n"))
        query = request.query_params
        now = datetime.now(UTC)
        self.ingester_free = max(now, self.ingester_free) + timedelta(seconds=self.ingest_seconds)
        self.embedder_free = max(self.ingester_free, self.embedder_free) + timedelta(seconds=self.embed_seconds)
        file = StoredFile(
            name=query["name"],
            sha256=sha256,
            size=size,
            batch=query.get("batch"),
            metadata=json.loads(query.get("metadata", "{}")),
            created_at=now,
            ingested_at=self.ingester_free,
            settled_at=self.embedder_free,
            error=error_in(start),
        )
        if file.name != self.lose:
            self.files[file.file_id] = file
        return file

    async def lookup(self, request: Request) -> Response:
        asked = (await request.json())["files"]
        if any(len(item["name"]) > MAX_NAME_CHARACTERS for item in asked):
            return problem(422, "invalid_request", "A name is too long.")
        now = datetime.now(UTC)
        there = {(file.name, file.sha256): file for file in self.files.values() if file.status(now) != "failed"}
        found = [there.get((item["name"], item["sha256"])) for item in asked]
        return JSONResponse([file.json() if file else None for file in found])

    async def list_files(self, request: Request) -> Response:
        query = request.query_params
        now = datetime.now(UTC)
        found = sorted(self.files.values(), key=lambda file: file.created_at, reverse=True)
        for name in ("batch", "name"):
            found = [file for file in found if name not in query or getattr(file, name) == query[name]]
        if "status" in query:
            found = [file for file in found if file.status(now) == query["status"]]
        if "settled_after" in query:
            after = datetime.fromisoformat(query["settled_after"])
            found = [file for file in found if after < file.settled_at <= now]
            found.sort(key=lambda file: file.settled_at)
            found = found[::2] if self.forget_settled else found
        return page([file.json() for file in found], request)

    async def batch(self, request: Request) -> Response:
        files = [file.json() for file in self.files.values() if file.batch == request.path_params["batch"]]
        statuses = ("queued", "ingesting", "embedding", "complete", "failed")
        return JSONResponse(
            {
                "files": {status: sum(file["status"] == status for file in files) for status in statuses},
                "bytes": sum(file["size"] for file in files),
                "pages": sum(file["page_count"] or 0 for file in files),
                "chunks": sum(file["chunk_count"] for file in files),
                "embedded": sum(file["embedded_count"] for file in files),
            }
        )

    async def file(self, request: Request) -> Response:
        try:
            file = self.files[UUID(request.path_params["file_id"])]
        except (KeyError, ValueError):
            return problem(404, "not_found", "There is no such File.")
        if request.method == "DELETE":
            del self.files[file.file_id]
            return Response(status_code=204)
        if request.method == "POST":
            file.generation += 1
        return JSONResponse(file.json(), status_code=202 if request.method == "POST" else 200)

    # -- everything else

    async def search(self, request: Request) -> Response:
        asked = await request.json()
        self.searched.append(asked)
        if not asked["query"]:
            errors = [{"loc": ["body", "query"], "msg": "should have at least 1 character"}]
            return problem(422, "invalid_request", "The request is not valid.", errors=errors)
        return JSONResponse(self.hits[: asked["k"]])

    async def queues(self, _request: Request) -> Response:
        depth = {"waiting": 1200, "in_flight": 2, "dead_letters": len(self.letters), "oldest_seconds": 12.34}
        empty = {"waiting": 0, "in_flight": 0, "dead_letters": 0, "oldest_seconds": None}
        return JSONResponse({"ingest-queue": depth, "embedding-queue": empty})

    async def list_letters(self, request: Request) -> Response:
        queue = request.query_params.get("queue")
        return page([letter for letter in self.letters.values() if queue in (None, letter["queue"])], request)

    async def letter(self, request: Request) -> Response:
        key = (request.path_params["queue"], request.path_params["letter_id"])
        if key not in self.letters:
            return problem(404, "not_found", "There is no such dead letter.")
        if request.method == "POST":
            self.replayed.append(key[1])
            return JSONResponse(self.letters.pop(key), status_code=202)
        if request.method == "DELETE":
            del self.letters[key]
            return Response(status_code=204)
        return JSONResponse(self.letters[key])

    async def ready(self, _request: Request) -> Response:
        checks = {"database": "ok", "queue": "ok", "object_store": "ok"}
        return JSONResponse({"status": "ready", "checks": checks})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        self.requests.append(f"{scope['method']} {scope['path']}")
        if self.busy:
            self.busy -= 1
            refusal = problem(503, "service_unavailable", "The database is away.", headers={"Retry-After": "0"})
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def __post_init__(self) -> None:
        self.ingester_free = self.embedder_free = datetime.now(UTC)
        self.app = Starlette(
            routes=[
                Route("/files", self.add_file, methods=["POST"]),
                Route("/files", self.list_files),
                Route("/files/lookup", self.lookup, methods=["POST"]),
                Route("/files/{file_id}", self.file, methods=["GET", "DELETE"]),
                Route("/files/{file_id}/reingest", self.file, methods=["POST"]),
                Route("/batches/{batch}", self.batch),
                Route("/search", self.search, methods=["POST"]),
                Route("/queues", self.queues),
                Route("/dead-letters", self.list_letters),
                Route("/dead-letters/{queue}/{letter_id}", self.letter, methods=["GET", "DELETE"]),
                Route("/dead-letters/{queue}/{letter_id}/replay", self.letter, methods=["POST"]),
                Route("/health/ready", self.ready),
            ]
        )


class BrokenAnswer(Response):
    """Promises more than it sends, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # Starlette's
        start: Message = {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"1000")]}
        await send(start)
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        # uvicorn closes a connection whose application returns in the middle of an answer.


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    details = {"type": "about:blank", "title": detail, "status": status, "detail": detail, "code": code, **more}
    return JSONResponse(details, status_code=status, headers=headers, media_type="application/problem+json")


def page(items: list[dict[str, Any]], request: Request) -> JSONResponse:
    start, limit = int(request.query_params.get("cursor", 0)), int(request.query_params.get("limit", 100))
    more = str(start + limit) if len(items) > start + limit else None
    return JSONResponse({"items": items[start : start + limit], "next": more})


async def read_part(stream: AsyncIterator[bytes], *, tail: int) -> tuple[int, str, bytes]:
    """Size, SHA-256 and first bytes of the one part in a multipart body, in constant memory."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += await anext(stream)
    held = held.partition(b"\r\n\r\n")[2]
    digest, size, start = hashlib.sha256(), 0, b""
    async for piece in stream:
        held += piece
        whole, held = held[:-tail], held[-tail:]
        digest.update(whole)
        size += len(whole)
        start = start or whole[:200]
    whole = held[:-tail]
    digest.update(whole)
    return size + len(whole), digest.hexdigest(), start or whole[:200]


def error_in(start: bytes) -> dict[str, str] | None:
    """A file that begins with `FAIL code message` fails with that."""
    if not start.startswith(b"FAIL "):
        return None
    _, code, message = start.decode().split(" ", 2)
    return {"code": code, "message": message.strip()}


class Server:
    """Serves one `ApiInMemory` after another at the same address."""

    def __init__(self, port: int = 0) -> None:
        self.api = ApiInMemory()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def fresh(self) -> ApiInMemory:
        """Serve an empty API from now on."""
        self.api = ApiInMemory(url=self.url)
        return self.api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await self.api(scope, receive, send)

    @contextlib.contextmanager
    def running(self) -> Generator[Server]:
        """Run in a thread of its own."""
        config = uvicorn.Config(self, log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [self._listener]}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(10)
            self._listener.close()
