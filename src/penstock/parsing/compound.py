"""OLE2 compound files ([MS-CFB]): the container of Office before 2007, of Outlook messages and of encrypted Office."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import CorruptFile

MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
MAX_BYTES = 512 * 1024**2
"""Compound files are read at once; a larger one is refused by what calls here."""

_END = 0xFFFFFFFA
"""Sector numbers from here on are marks: end of chain, free, table sectors."""
_STORAGE, _STREAM, _ROOT = 1, 2, 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A storage (folder) or a stream of the directory."""

    name: str
    kind: int
    left: int
    right: int
    child: int
    start: int
    size: int


class CompoundFile:
    """The streams of a compound file, by path in capitals: names differ in case between programs, and do not by rule.

    `streams[("__ATTACH_VERSION1.0_#00000000", "__SUBSTG1.0_37010102")]`
    """

    def __init__(self, data: bytes) -> None:
        """Raises `CorruptFile` where the container's tables make no sense."""
        self._data = data
        try:
            self._read_tables()
            self.streams: dict[tuple[str, ...], Entry] = dict(self._walk())
        except (struct.error, IndexError, ValueError) as error:
            raise CorruptFile("The file is a damaged or incomplete Office container; save it again.") from error

    def __contains__(self, name: str) -> bool:
        """Whether there is a stream of this name at the top."""
        return (name.upper(),) in self.streams

    def read(self, *path: str) -> bytes:
        """All of a stream; shorter than declared where the file was cut. Raises `CorruptFile` if there is none."""
        entry = self.streams.get(tuple(name.upper() for name in path))
        if entry is None:
            raise CorruptFile(f"The file is incomplete: its stream {'/'.join(path)} is missing.")
        try:
            if entry.size < self._mini_cutoff:
                return b"".join(self._mini_sectors(entry.start))[: entry.size]
            return b"".join(self._sectors(entry.start))[: entry.size]
        except (struct.error, IndexError, ValueError) as error:
            raise CorruptFile(f"The file is damaged in its stream {'/'.join(path)}.") from error

    def _read_tables(self) -> None:
        header = struct.unpack_from("<8s16s5H6x9I", self._data)
        self._sector_size = 1 << min(header[5], 16)
        self._mini_size = 1 << min(header[6], 16)
        directory, self._mini_cutoff, mini_fat, difat = header[9], header[11], header[12], header[14]
        fat_sectors = [at for at in struct.unpack_from("<109I", self._data, 76) if at < _END]
        fat_sectors += self._more_fat_sectors(difat)
        self._fat = self._table(self._sector(at) for at in fat_sectors)
        entries = b"".join(self._sectors(directory))
        self._entries = [_entry(entries, at) for at in range(0, len(entries) - 127, 128)]
        self._mini_fat = self._table(self._sectors(mini_fat))
        self._mini = b"".join(self._sectors(self._entries[0].start))

    def _more_fat_sectors(self, sector: int) -> list[int]:
        found: list[int] = []
        seen: set[int] = set()
        while sector < _END and sector not in seen:
            seen.add(sector)
            numbers = struct.unpack(f"<{self._sector_size // 4}I", self._sector(sector))
            found += [at for at in numbers[:-1] if at < _END]
            sector = numbers[-1]
        return found

    def _table(self, sectors: Iterator[bytes]) -> tuple[int, ...]:
        table = b"".join(sectors)
        return struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])

    def _sector(self, number: int) -> bytes:
        at = (number + 1) * self._sector_size
        return self._data[at : at + self._sector_size]

    def _sectors(self, sector: int) -> Iterator[bytes]:
        return (self._sector(number) for number in _chain(self._fat, sector))

    def _mini_sectors(self, sector: int) -> Iterator[bytes]:
        size = self._mini_size
        return (self._mini[number * size : (number + 1) * size] for number in _chain(self._mini_fat, sector))

    def _walk(self) -> Iterator[tuple[tuple[str, ...], Entry]]:
        """Every stream with its path. The directory is a tree of trees, damaged ones may be a ring."""
        pending: list[tuple[tuple[str, ...], int]] = [((), self._entries[0].child)]
        seen: set[int] = set()
        while pending:
            folder, number = pending.pop()
            if number in seen or number >= len(self._entries):
                continue
            seen.add(number)
            entry = self._entries[number]
            pending += [(folder, entry.left), (folder, entry.right)]
            if entry.kind == _STREAM:
                yield (*folder, entry.name.upper()), entry
            else:
                pending.append(((*folder, entry.name.upper()), entry.child))


def open_compound(path: Path) -> CompoundFile:
    """Raises `CorruptFile` where `path` is not a sound compound file."""
    return CompoundFile(path.read_bytes())


def _entry(table: bytes, at: int) -> Entry:
    name, length, kind, _, left, right, child = struct.unpack_from("<64sHBBIII", table, at)
    start, size = struct.unpack_from("<II", table, at + 116)
    return Entry(name[: max(length - 2, 0)].decode("utf-16-le", "replace"), kind, left, right, child, start, size)


def _chain(table: tuple[int, ...], sector: int) -> Iterator[int]:
    """The sectors of a chain; a ring or a wrong number ends it, since damaged files are still worth reading."""
    seen: set[int] = set()
    while sector < _END and sector not in seen and sector < len(table):
        seen.add(sector)
        yield sector
        sector = table[sector]
