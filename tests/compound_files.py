"""OLE2 compound files, made by hand."""

from __future__ import annotations

import struct

from penstock.parsing.compound import MAGIC


def compound_file(streams: dict[str, bytes]) -> bytes:
    """The smallest sound compound file: one FAT sector, then the directory, then the streams in whole sectors."""
    names = list(streams)
    directory_sectors = (len(names) + 1 + 3) // 4
    fat = [0xFFFFFFFD]
    fat += [at + 1 for at in range(1, directory_sectors)] + [0xFFFFFFFE]
    starts: dict[str, int] = {}
    body = b""
    for name, content in streams.items():
        starts[name] = len(fat)
        fat += [starts[name] + at + 1 for at in range(7)] + [0xFFFFFFFE]
        body += content.ljust(4096, b"\0")  # below 4,096 bytes a stream would be in the small sectors
    none = 0xFFFFFFFF
    entries = [entry("Root Entry", 5, right=none, child=1, start=0xFFFFFFFE, size=0)]
    for at, name in enumerate(names, start=1):
        following = at + 1 if at < len(names) else none
        entries.append(entry(name, 2, right=following, child=none, start=starts[name], size=4096))
    directory = b"".join(entries).ljust(directory_sectors * 512, b"\0")
    fat_sector = struct.pack("<128I", *fat, *[none] * (128 - len(fat)))
    header = struct.pack(
        "<8s16s5H6x9I", MAGIC, bytes(16), 62, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0
    )
    return (header + struct.pack("<109I", 0, *[none] * 108)).ljust(512, b"\0") + fat_sector + directory + body


def entry(name: str, kind: int, *, right: int, child: int, start: int, size: int) -> bytes:
    encoded = name.encode("utf-16-le") + b"\0\0"
    head = struct.pack("<64sHBBIII", encoded, len(encoded), kind, 1, 0xFFFFFFFF, right, child)
    return head.ljust(116, b"\0") + struct.pack("<IQ", start, size)
