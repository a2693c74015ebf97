"""`penstock up --detach` and `penstock down`: a supervisor without a terminal, found again by its data folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import BinaryIO

from penstock.errors import AlreadyRunning
from penstock.local.data_folder import DataFolder, explain, is_locked
from penstock.local.run_state import RunState, read_state
from penstock.local.supervisor import ORPHAN_SECONDS, end_orphans

POLL_SECONDS = 0.05
STATE_SECONDS = 2.0
"""A supervisor writes its state right after it took the lock."""
MARGIN_SECONDS = 10.0
READY = b"Penstock is ready at "


def start_in_background(command: list[str], folder: DataFolder) -> int:
    """Run `command`, a `penstock up`, in a session of its own until it is ready, and show what it says.

    Returns 0 when it is ready, else what it exited with. Ctrl-C ends it too.
    """
    log = folder.logs / "up.log"
    with log.open("ab") as writing, log.open("rb") as reading:
        reading.seek(0, 2)
        child = subprocess.Popen(  # noqa: S603  # ourselves
            command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, start_new_session=True
        )
        try:
            return _follow(child, reading)
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            _forward(reading)
            return 128 + signal.SIGINT


def _follow(child: subprocess.Popen[bytes], reading: BinaryIO) -> int:
    while True:
        status = child.poll()
        # After the question: what was said before the answer is then shown whole. It is ready when it has said so: its
        # state says it a moment earlier, and on a busy machine the caller was left without the address.
        is_ready = _forward(reading)
        if status is not None:
            return status
        if is_ready:
            return 0
        time.sleep(POLL_SECONDS)


def _forward(reading: BinaryIO) -> bool:
    """Show the new lines; returns whether the ready line was among them."""
    is_ready = False
    for line in reading:
        stream = sys.stdout if line.startswith(READY) else sys.stderr
        is_ready = is_ready or line.startswith(READY)
        stream.write(line.decode(errors="replace"))
        stream.flush()
    return is_ready


def stop_everything(folder: DataFolder) -> bool:
    """Stop the Penstock of this data folder and wait until the last of its processes has ended.

    Returns False where none runs. Raises `AlreadyRunning` when it does not stop within its own limits.
    """
    try:
        if not is_locked(folder):
            return False
    except OSError as error:
        raise explain(error, folder.path) from error
    state = _await_state(folder)
    if state is None:
        return False
    if state.supervisor.lives():
        state.supervisor.send(signal.SIGTERM)
    elif not _await_unlocked(folder, ORPHAN_SECONDS):
        end_orphans(state)
    if not _await_unlocked(folder, state.stop_seconds + MARGIN_SECONDS):
        raise AlreadyRunning(
            f"Penstock on {folder.path} (pid {state.supervisor.pid}) does not stop; {folder.logs} may say why."
        )
    return True


def _await_state(folder: DataFolder) -> RunState | None:
    """The state of whoever has the lock; None where the lock is free before there is one."""
    deadline = time.monotonic() + STATE_SECONDS
    while (state := read_state(folder)) is None and is_locked(folder):
        if time.monotonic() > deadline:
            raise AlreadyRunning(f"Something that left no {folder.state.name} uses {folder.path}; end it by hand.")
        time.sleep(POLL_SECONDS)
    return state


def _await_unlocked(folder: DataFolder, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_locked(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
