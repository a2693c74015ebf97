"""A remote embedding service to measure against: OpenAI's embeddings API over HTTP, and a fixed time for each request.

Takes any number of requests at once, and answers each after the latency: what a service does that has more processors
than anybody asks for. In a process of its own: python benchmarks/remote_engine.py PORT LATENCY_MS
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import zlib

import numpy as np

DIMENSIONS = 384
KNOWN = 4096
"""So many different vectors, made beforehand: answering must cost next to nothing. A text always has the same one."""


def vectors() -> list[str]:
    """As they go over the wire, in base64."""
    rows = np.random.default_rng(9).standard_normal((KNOWN, DIMENSIONS)).astype("<f4")
    return [base64.b64encode(row.tobytes()).decode() for row in rows]


async def talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, known: list[str], latency_seconds: float
) -> None:
    """Answer the requests of one connection, one after the other."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            due = loop.time() + latency_seconds
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            asked = json.loads(await reader.readexactly(length))
            rows = [
                {"index": n, "embedding": known[zlib.crc32(t.encode()) % KNOWN]} for n, t in enumerate(asked["input"])
            ]
            body = json.dumps({"object": "list", "model": asked["model"], "data": rows}).encode()
            await asyncio.sleep(due - loop.time())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client left
    finally:
        writer.close()


async def serve(port: int, latency_seconds: float) -> None:
    known = vectors()

    async def talk_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer, known=known, latency_seconds=latency_seconds)

    async with await asyncio.start_server(talk_to, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
