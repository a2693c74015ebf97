"""OLE2 compound files ([MS-CFB]): the container of Office before 2007, of Outlook messages and of encrypted Office."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import CorruptFile, TooLarge

MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
MAX_BYTES = 512 * 1024**2
"""Compound files are read at once; a larger one is refused by what calls here."""

_END = 0xFFFFFFFA
"""Sector numbers from here on are marks: end of chain, free, table sectors."""
_END_OF_CHAIN, _NONE, _TABLE_MARK = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_PACKED_SECTOR = 4096
_TABLE_SECTORS = 109
"""Those that the header has room for."""


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


def packed(streams: Mapping[tuple[str, ...], bytes]) -> bytes:
    """A compound file of its own of streams that were inside another one, by path.

    For our own reading: it has no small sectors, and siblings are a list where other programs make a tree of them.
    """
    paths = [(), *sorted({path[:depth] for path in streams for depth in range(1, len(path) + 1)})]
    writer = _Writer()
    starts = {path: writer.put(data) for path, data in streams.items()}
    nodes = {path: number for number, path in enumerate(paths)}
    elder: dict[tuple[str, ...], tuple[str, ...]] = {}
    right, child = dict.fromkeys(paths, _NONE), dict.fromkeys(paths, _NONE)
    for path in paths[1:]:
        links, owner = (right, elder[path[:-1]]) if path[:-1] in elder else (child, path[:-1])
        links[owner] = nodes[path]
        elder[path[:-1]] = path
    directory = writer.put(
        b"".join(
            _packed_entry(
                path[-1] if path else "Root Entry",
                (_ROOT if not path else _STREAM if path in streams else _STORAGE, right[path], child[path]),
                (starts.get(path, _END_OF_CHAIN), len(streams.get(path, b""))),
            )
            for path in paths
        )
    )
    return writer.finished(directory)


class _Writer:
    """Sectors one after the other, and the table of which follows which."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._table: list[int] = []

    def put(self, data: bytes) -> int:
        """The first of the sectors that hold `data`."""
        if not data:
            return _END_OF_CHAIN
        start = len(self._table)
        count = -(-len(data) // _PACKED_SECTOR)
        self._table += [*range(start + 1, start + count), _END_OF_CHAIN]
        self._body += data.ljust(count * _PACKED_SECTOR, b"\0")
        return start

    def finished(self, directory: int) -> bytes:
        """The file. Raises `TooLarge` for more than its header has room for: 446 MB."""
        places = _PACKED_SECTOR // 4
        count = -(-len(self._table) // (places - 1))
        if count > _TABLE_SECTORS:
            raise TooLarge("An embedded object is larger than 446 MB.")
        first = len(self._table)
        table = struct.pack(f"<{first + count}I", *self._table, *[_TABLE_MARK] * count)
        table = table.ljust(count * _PACKED_SECTOR, b"\xff")
        header = struct.pack(
            "<8s16s5H6x9I", MAGIC, bytes(16), 62, 4, 0xFFFE, _PACKED_SECTOR.bit_length() - 1, 6,
            0, count, directory, 0, 0, _END_OF_CHAIN, 0, _END_OF_CHAIN, 0,
        )  # fmt: skip
        sectors = [*range(first, first + count), *[_NONE] * (_TABLE_SECTORS - count)]
        header += struct.pack(f"<{_TABLE_SECTORS}I", *sectors)
        return header.ljust(_PACKED_SECTOR, b"\0") + bytes(self._body) + table


def _packed_entry(name: str, node: tuple[int, int, int], place: tuple[int, int]) -> bytes:
    encoded = name.encode("utf-16-le", "replace")[:62] + b"\0\0"
    kind, right, child = node
    head = struct.pack("<64sHBBIII", encoded, len(encoded), kind, 1, _NONE, right, child)
    return head.ljust(116, b"\0") + struct.pack("<IQ", *place)


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
