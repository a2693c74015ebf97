"""What Office wraps an embedded file in: OLE objects ([MS-OLEDS]), which are compound files."""

from __future__ import annotations

import struct
from pathlib import PureWindowsPath

from penstock.errors import CorruptFile
from penstock.parsing.compound import MAGIC, CompoundFile
from penstock.parsing.encoding import decoded
from penstock.parsing.formats.cleaning import one_line

NATIVE = "\x01OLE10NATIVE"
_PAYLOADS = ("PACKAGE", "EMBEDDEDODF", "PACKAGE_STREAM", "CONTENTS")
"""Streams that are a file as it is: Office Open XML, OpenDocument, and what other programs put there, such as PDF."""
_NO_FILES = ("EQUATION NATIVE", "OCXNAME", "\x03OCXNAME", "\x01OLE10FMTPROGID")
"""Streams of objects that no program saves as a file: equations, and buttons and fields of forms."""
_PACKAGED = 2
"""The kind of native data that is a file with its name; other kinds are pictures of old programs."""


def unpacked(name: str, data: bytes) -> tuple[str, bytes] | None:
    """Name and bytes of the file inside an OLE object; what is no OLE object is the file itself.

    None for objects that are no files. What cannot be unpacked is left to whoever reads it to refuse.
    """
    if not data.startswith(MAGIC):
        return name, data
    try:
        container = CompoundFile(data)
        if any(stream in container for stream in _NO_FILES) or not _has_content(container):
            return None
        if NATIVE in container:
            return _native(name, container.read(NATIVE))
        payload = next((container.read(stream) for stream in _PAYLOADS if stream in container), b"")
    except CorruptFile:
        return name, data
    # A stream of that name may also belong to the object's own format, such as Publisher's
    return (name, payload) if payload else (name, data)


def _has_content(container: CompoundFile) -> bool:
    """Whether there is more than what OLE itself writes: pictures of the object, the name of its program."""
    return NATIVE in container or any(path[-1][:1] > "\x1f" for path in container.streams)


def _native(name: str, data: bytes) -> tuple[str, bytes] | None:
    """The file that was dropped as an icon: its name, its places on the disk it came from, its bytes."""
    try:
        size, kind = struct.unpack_from("<IH", data)
        if kind != _PACKAGED:
            return None
        label, at = _string(data, 6)
        path, at = _string(data, at)
        _, length = struct.unpack_from("<II", data, at)
        at += 8 + length
        size = struct.unpack_from("<I", data, at)[0]
    except (struct.error, ValueError):
        return name, data
    shown = one_line(decoded(label)) or PureWindowsPath(decoded(path)).name or name
    return shown, data[at + 4 : at + 4 + size]


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.index(0, at)
    return data[at:end], end + 1
