"""Runs a program that must not outlive its parent: `tether.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT…]`.

A script of its own, started by path and without site-packages (25 ms), because this has to happen between fork
and exec: a `preexec_fn` in a process with threads can deadlock, and the kernel forgets the death signal when the
user changes, so that it has to be asked for after that.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
KEEP_USER = -1


def become(uid: int, gid: int) -> None:
    if uid != KEEP_USER:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def die_with(parent: int, signal_number: int) -> None:
    """Have the kernel signal us when `parent` dies, even of kill -9. Elsewhere than on Linux there is no such call."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before its child began")


def main(arguments: list[str]) -> None:
    parent, signal_number, uid, gid = (int(argument) for argument in arguments[:4])
    program = arguments[4:]
    become(uid, gid)
    die_with(parent, signal_number)
    os.umask(0o077)
    os.execv(program[0], program)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
