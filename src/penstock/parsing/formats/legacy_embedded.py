"""Files inside Word, Excel and PowerPoint files of before 2007: each is a storage of the same container.

PowerPoint keeps them compressed in its one stream ([MS-PPT] 2.10.34). Which page or slide shows them is not looked for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, TooLarge
from penstock.parsing.archive import MAX_WHOLE_BYTES
from penstock.parsing.compound import CompoundFile, open_compound, packed
from penstock.parsing.formats.embedded import MAX_FILES, EmbeddedFiles

_POOL = "OBJECTPOOL"
"""Word's storage of storages."""
_EXCEL_OBJECT = "MBD"
"""How Excel names a storage."""
_SLIDES = "PowerPoint Document"
_OLE_RECORD, _COMPRESSED = 0x1011, 1


def with_embedded(path: Path, *, reader: Callable[[Path], Iterator[Block]], embedded: EmbeddedFiles) -> Iterator[Block]:
    """What `reader` gives, then the files inside."""
    yield from reader(path)
    container = open_compound(path)
    objects = _from_slides(container.read(_SLIDES)) if _SLIDES in container else _from_storages(container)
    for number, read in enumerate(islice(objects, MAX_FILES), start=1):
        yield from embedded.embedded(f"object {number}", read)


def _from_storages(container: CompoundFile) -> Iterator[Callable[[], bytes]]:
    for folder in dict.fromkeys(_object_of(path) for path in container.streams):
        if folder:
            yield partial(_storage, container, folder)


def _object_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """The storage of the object that a stream belongs to; empty for streams of the document itself."""
    match path:
        case (pool, name, _, *_) if pool == _POOL:
            return (pool, name)
        case (name, _, *_) if name.startswith(_EXCEL_OBJECT):
            return (name,)
        case _:
            return ()


def _storage(container: CompoundFile, folder: tuple[str, ...]) -> bytes:
    depth = len(folder)
    inside = [path for path in container.streams if path[:depth] == folder]
    return packed({path[depth:]: container.read(*path) for path in inside})


def _from_slides(stream: bytes) -> Iterator[Callable[[], bytes]]:
    """The records of OLE objects among those on the outermost level."""
    at = 0
    while at + 8 <= len(stream):
        version, kind, length = struct.unpack_from("<HHI", stream, at)
        if kind == _OLE_RECORD:
            data = stream[at + 8 : at + 8 + length]
            yield partial(_inflated, data) if version >> 4 == _COMPRESSED else partial(bytes, data)
        at += 8 + length


def _inflated(data: bytes) -> bytes:
    """Raises `TooLarge` for what inflates without measure, `CorruptFile`; what was cut gives what is there."""
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(data[4:], MAX_WHOLE_BYTES)
    except zlib.error as error:
        raise CorruptFile("It is damaged.") from error
    if inflating.unconsumed_tail:
        raise TooLarge(f"It would inflate to more than {MAX_WHOLE_BYTES // 1024**2} MiB.")
    return inflated
