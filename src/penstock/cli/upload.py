"""One file as the body of an upload: constant memory, known length, readable again from its start."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from penstock.errors import Unreadable

PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on this machine, about to be handed in under `name`."""

    path: Path
    name: str
    size: int
    """Bytes when it was hashed; exactly so many are sent."""
    sha256: str

    @property
    def headers(self) -> dict[str, str]:
        # Without a length the body would go in chunked encoding, which some proxies buffer whole.
        length = len(self._head) + self.size + len(self._tail)
        return {"Content-Type": f"multipart/form-data; boundary={self._mark}", "Content-Length": str(length)}

    async def body(self, on_progress: Callable[[int], None]) -> AsyncIterator[bytes]:
        """The multipart body, from the start of the file; `on_progress` hears how many of its bytes are sent by now.

        Raises `Unreadable` if the file is shorter than it was when it was hashed.
        """
        on_progress(0)
        yield self._head
        left = self.size
        try:
            with self.path.open("rb") as file:
                while left and (piece := await self._read(file, min(left, PIECE_BYTES))):
                    yield piece
                    left -= len(piece)
                    on_progress(self.size - left)
        except OSError as error:
            raise unreadable(error) from error
        if left:
            raise Unreadable("the file became shorter while it was read; hand it in again when it is finished")
        yield self._tail

    async def _read(self, file: BinaryIO, size: int) -> bytes:
        if self.size <= PIECE_BYTES:
            return file.read(size)  # hashed a moment ago, and so in memory: a thread would cost more than the reading
        return await asyncio.to_thread(file.read, size)

    @property
    def _mark(self) -> str:
        # From the content's own hash: a file cannot contain the boundary of its own upload by accident or on purpose.
        return f"penstock-{self.sha256[:32]}"

    @property
    def _head(self) -> bytes:
        # The query carries the name; this one is only there because a file part must have one.
        return (
            f"--{self._mark}\r\n"
            'Content-Disposition: form-data; name="file"; filename="upload"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{self._mark}--\r\n".encode()


def hash_file(path: Path) -> tuple[int, str]:
    """Size in bytes and hex SHA-256 of a file. Raises `Unreadable`."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> Unreadable:
    return Unreadable(f"the file cannot be read: {error.strerror or error}")
