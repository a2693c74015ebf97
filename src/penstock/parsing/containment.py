"""What a parser child gives up before it touches a file. Each measure where the system has it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from penstock.parsing.landlock import confine_to

MEBIBYTE = 1024 * 1024
OPEN_FILES = 256
ADDRESS_SPACE_ROOM = 4096 * MEBIBYTE
"""Libraries reserve far more addresses than they use; the pool watches what is used."""
FILE_SIZE_ROOM = 64 * MEBIBYTE

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def contain(*, folder: Path, memory_mb: int, max_text_mb: int) -> list[str]:
    """Give up what parsing does not need; return what this system let the process give up.

    Files can be written in `folder` only. Must come before the parsers are imported: a process with threads
    cannot leave its user namespace, and threads that there are already keep what they have.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, max_text_mb * MEBIBYTE + FILE_SIZE_ROOM)
    # A backstop for what grows faster than the pool looks.
    _limit(resource.RLIMIT_AS, 2 * memory_mb * MEBIBYTE + ADDRESS_SPACE_ROOM)
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    network = ["network"] if _leave_network(libc) else []
    _be_first_to_go()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return [*network, *confine_to(folder, libc)]


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(kind, (allowed, allowed))
    except (OSError, ValueError):  # macOS knows RLIMIT_AS but takes no value for it
        return


def _leave_network(libc: ctypes.CDLL) -> bool:
    if libc.unshare(_CLONE_NEWNET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Unmapped we would look like nobody to ourselves, and libraries that ask who they are would be misled.
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        _write(f"/proc/self/{name}", line)
    return True


def _be_first_to_go() -> None:
    """If the machine runs out of memory the kernel should end this process, not the worker or the database."""
    _write("/proc/self/oom_score_adj", "900")


def _write(path: str, line: str) -> bool:
    try:
        Path(path).write_text(line, encoding="ascii")
    except OSError:
        return False
    return True
