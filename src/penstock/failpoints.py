"""Fail points: places between two durable operations where a process can be made to die, to prove that it may.

A step calls `reach("step.what_is_durable_now")` right after each durable operation. That does nothing unless
PENSTOCK_FAIL_POINTS names a folder when the process starts. Then the first process that reaches a point whose name
is a file in that folder removes the file and kills itself with SIGKILL, as the kernel would: nothing is cleaned up,
nothing is given back. `make chaos` lays the files there. Never switch it on where the files matter.

`tests/unit/test_failpoints.py` reads the steps: a durable operation without its point fails there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

VARIABLE = "PENSTOCK_FAIL_POINTS"
"""Names the folder. It is no setting: nobody who runs Penstock needs it, and it is read before the settings are."""

FAIL_POINTS: Mapping[str, str] = MappingProxyType(
    {
        "submit.key_reserved": "the name of an object, of which no byte is stored yet",
        "submit.object_stored": "the bytes, of which no row tells yet",
        "submit.file_recorded": "the File, whose client has no answer yet",
        "upload.begun": "that a client may write an object, which does not know it yet",
        "upload.completed": "the File of what a client wrote, which has no answer yet",
        "upload.refused": "that nobody will claim what a client wrote, which is still there",
        "mirror.object_recorded": "what is in the bucket, whose event is not deleted yet",
        "mirror.object_forgotten": "that an object is gone and its File with it, whose event is not deleted yet",
        "dispatch.files_taken": "that Files are announced, of which no message is sent yet",
        "dispatch.files_published": "their messages",
        "dispatch.chunks_taken": "that Chunks are announced, of which no message is sent yet",
        "dispatch.chunks_published": "their messages",
        "ingest.begun": "that the File is being read",
        "ingest.early_chunks_recorded": "the first Chunks of a long File, the rest of which is not read yet",
        "ingest.text_stored": "its text, of which no row tells yet",
        "ingest.chunks_recorded": "its Chunks, whose message is not acknowledged yet",
        "embed.vectors_reused": "the vectors that equal texts had",
        "embed.vectors_recorded": "the vectors, whose message is not acknowledged yet",
        "give_up.file_failed": "why the File failed, before its message is a dead letter",
        "delete.file_deleted": "that the File is gone, and its object not yet",
        "reingest.generation_started": "that the File is to be read again",
        "queue.message_acknowledged": "that a message is done",
        "queue.message_given_back": "that a message is to be tried again",
        "queue.message_buried": "the dead letter",
        "queue.all_given_back": "one of the messages that a Worker gives back when it stops",
        "recover.files_wait_again": "that lost Files wait for their turn",
        "replay.file_waits_again": "that a failed File waits again, before its dead letter is dropped",
        "replay.letter_dropped": "that the dead letter is gone",
        "claim.reservation_extended": "that the writer of an object is alive",
        "claim.object_released": "that nobody will claim an object, which is still there",
        "sweep.object_deleted": "that an object is gone, of which the row still tells",
        "sweep.objects_forgotten": "that objects and their rows are gone",
    }
)
"""Every point, and what is durable at that moment."""


def reach(name: str) -> None:
    """Die here if somebody asked for it."""
    if at_point is not None:
        at_point(name)


def dies_if_asked(folder: Path) -> Callable[[str], None]:
    """What `reach` does while fail points are on: obeys the files in `folder`."""

    def die_if_asked(name: str) -> None:
        if name not in FAIL_POINTS:
            raise LookupError(f"{name} is no fail point: declare it in penstock.failpoints.FAIL_POINTS.")
        try:
            (folder / name).unlink()  # of two processes at the same point, one succeeds
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return die_if_asked


at_point: Callable[[str], None] | None = dies_if_asked(Path(os.environ[VARIABLE])) if VARIABLE in os.environ else None
"""Called with each name that is reached; None: fail points are off. A test may put a function of its own here."""
