"""A real HTTP server that speaks OpenAI's embeddings API, well or, where a test says so, badly."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DIMENSIONS = 8
POISON = "POISON"
"""A text with this word is refused with 400."""


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        return self.body["input"]


@dataclass(frozen=True)
class Reply:
    body: Any = None
    """Sent as JSON, unless it is bytes."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""


Behaviour = Callable[[Request], Reply | None]
"""What to answer; None: nothing, ever."""


def numbers_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of a text; not of length 1, as few services promise that."""
    return [float(byte) - 100 for byte in hashlib.shake_256(text.encode()).digest(dimensions)]


def behave(request: Request) -> Reply:
    """As a good service does."""
    for text in request.texts:
        if POISON in text:
            return Reply({"error": {"message": f"input refused: {POISON}", "type": "invalid_request_error"}}, 400)
    rows = [numbers_of(text, request.body.get("dimensions", DIMENSIONS)) for text in request.texts]
    return Reply({"object": "list", "model": request.body["model"], "data": rows_of(rows, request)})


def rows_of(vectors: list[list[float]], request: Request | None = None) -> list[dict[str, Any]]:
    encode = _base64 if request and request.body.get("encoding_format") == "base64" else list[float]
    return [{"object": "embedding", "index": n, "embedding": encode(vector)} for n, vector in enumerate(vectors)]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.array(vector, "<f4").tobytes()).decode()


class EmbeddingService:
    """Answers with the behaviours of `script`, one request each, and then well."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: deque[Behaviour] = deque()
        self.always: Behaviour = behave
        self.port = 0
        self.answering = asyncio.Event()
        """Cleared, requests are taken and wait."""
        self.answering.set()
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def until_clients_left(self) -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(*self._conversations)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._talk(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                await self.answering.wait()
                reply = (self.script.popleft() if self.script else self.always)(request)
                if reply is None:
                    await reader.read()  # until the client gives up
                elif await _write(writer, reply):
                    continue
                break
        except ConnectionError:
            pass  # the client gave up
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Request(head[0].split()[1], headers, json.loads(body))


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Whether the connection is still good."""
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    lines = [f"HTTP/1.1 {reply.status} Status", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body[: reply.cut_at])
    await writer.drain()
    return reply.cut_at is None


@asynccontextmanager
async def embedding_service() -> AsyncGenerator[EmbeddingService]:
    service = EmbeddingService()
    server = await asyncio.start_server(service._serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
        await service.until_clients_left()
    finally:
        server.close()
