"""Zip containers, read with bounds: what a file declares of itself may be a lie."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.errors import CorruptFile, PasswordProtected, TooLarge

MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 4 * 1024**3
"""Most that all members together may inflate to."""
FREE_BYTES = 64 * 1024**2
"""Below this size no ratio is suspicious: 64 MiB of anything fit in a parser child."""
MAX_RATIO = 100
"""Office files stay below 50; a decompression bomb is near 1,000."""
MAX_WHOLE_BYTES = 128 * 1024**2
"""Most of one member that is read at once."""

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)
"""What zipfile raises on damaged containers."""


class Archive:
    """The members of an open zip file, by name without regard to case, slashes or a leading slash."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._members = {_plain_name(info.filename): info for info in file.infolist()}

    @property
    def names(self) -> list[str]:
        """The members' names as the file spells them, in its order."""
        return [info.filename for info in self._members.values()]

    def __contains__(self, name: str) -> bool:
        return _plain_name(name) in self._members

    @contextmanager
    def open(self, name: str) -> Generator[IO[bytes]]:
        """A stream of one member. Raises `CorruptFile` if it is missing, damaged or inflates beyond its bounds."""
        info = self._members.get(_plain_name(name))
        if info is None:
            raise CorruptFile(f"The file is incomplete: its part {name} is missing. Save it again in its own program.")
        if info.flag_bits & 0x1:
            raise PasswordProtected
        try:
            with self._file.open(info) as stream:
                yield io.BufferedReader(_Bounded(stream, info), 64 * 1024)
        except DAMAGE as error:
            raise CorruptFile(f"The file is damaged: its part {name} cannot be read.") from error

    def read(self, name: str, limit: int = MAX_WHOLE_BYTES) -> bytes:
        """All of one member. Raises `TooLarge` beyond `limit` bytes, else as `open` does."""
        with self.open(name) as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise TooLarge(f"The part {name} inside the file is larger than {limit // 1024**2} MiB.")
        return data


@contextmanager
def open_archive(path: Path) -> Generator[Archive]:
    """Opens a zip file for reading; nothing is ever extracted to disk.

    Raises `CorruptFile` for a damaged container and `TooLarge` for one that would inflate without measure.
    """
    try:
        file = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise CorruptFile("The file is damaged or incomplete: its zip container cannot be opened.") from error
    with file:
        _check_bounds(file.infolist())
        yield Archive(file)


def _check_bounds(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise TooLarge(f"The file holds {len(members)} parts; {MAX_MEMBERS} is the most that is read.")
    if sum(info.file_size for info in members) > MAX_TOTAL_BYTES:
        raise TooLarge(f"The file would inflate to more than {MAX_TOTAL_BYTES // 1024**3} GiB.")
    for info in members:
        if info.file_size > FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
            raise _bomb(info)


def _bomb(info: zipfile.ZipInfo) -> TooLarge:
    return TooLarge(
        f"The part {info.filename} inside the file inflates from {info.compress_size} bytes to more than "
        f"{FREE_BYTES // 1024**2} MiB, which is how a decompression bomb looks; it is not read."
    )


def _plain_name(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


class _Bounded(io.RawIOBase):
    """A member's bytes, counted: the sizes that a zip file declares may be wrong on purpose."""

    def __init__(self, stream: IO[bytes], info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._stream = stream
        self._info = info
        self._left = max(FREE_BYTES, MAX_RATIO * info.compress_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's buffer protocol has no len
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise _bomb(self._info)
        buffer[: len(data)] = data
        return len(data)
