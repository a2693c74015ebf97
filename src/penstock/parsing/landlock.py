"""Landlock, by which an unprivileged Linux process gives up the file system, network and signals for good.

https://docs.kernel.org/userspace-api/landlock.html; the C library has no functions for it, hence system calls.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System call numbers, the same on every architecture."""
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_CHANGE_FOLDERS = sum(1 << bit for bit in range(4, 13))
"""Remove and make folders, files, links, sockets, pipes and devices."""
_MOVE = 1 << 13
_TRUNCATE = 1 << 14
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def confine_to(folder: Path, libc: ctypes.CDLL) -> list[str]:
    """Let this process write in `folder` only, start no program, and reach no process outside.

    Returns what it no longer can, of "write elsewhere", "start programs", "tcp" and "signal others": how much depends
    on the kernel's version. Needs PR_SET_NO_NEW_PRIVS. Reading stays free, for the libraries are everywhere.
    """
    version: int = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return []
    writing = _WRITE_FILE | _CHANGE_FOLDERS | (_MOVE if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rules = _ruleset(libc, version, writing | _EXECUTE)
    if rules < 0:
        return []
    try:
        _allow(libc, rules, folder, writing)
        _allow(libc, rules, Path(os.devnull), writing & (_WRITE_FILE | _TRUNCATE))
        if libc.syscall(_RESTRICT_SELF, rules, 0) != 0:
            return []
    finally:
        os.close(rules)
    later = [(4, "tcp"), (6, "signal others")]
    return ["write elsewhere", "start programs", *(what for since, what in later if version >= since)]


def _ruleset(libc: ctypes.CDLL, version: int, file_system: int) -> int:
    """A file descriptor; negative where the kernel refuses. What it handles is forbidden unless a rule allows it."""
    fields = [file_system]
    if version >= 4:
        fields.append(_BIND_AND_CONNECT_TCP)
    if version >= 6:
        fields.append(_ABSTRACT_SOCKETS_AND_SIGNALS)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)
