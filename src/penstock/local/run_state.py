"""penstock.json: who runs on a data folder now. What the lock cannot tell: which processes, and where they listen."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from penstock.local.data_folder import DataFolder


class ProcessName(BaseModel):
    """A process, told apart from a later one with the same number by when it began."""

    model_config = ConfigDict(frozen=True)

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> ProcessName:
        """The process with this number. One that has ended already never began."""
        try:
            return cls(pid=pid, began=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid=pid, began=0)

    def lives(self) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.began) < 1 and process.status() != psutil.STATUS_ZOMBIE
        return False

    def send(self, signal_number: int) -> None:
        """Signal the process if it still lives."""
        if self.lives():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)


class RunState(BaseModel):
    """One run of the supervisor."""

    model_config = ConfigDict(frozen=True)

    url: str
    supervisor: ProcessName
    started_at: datetime
    ready: bool = False
    stop_seconds: float
    """It stops within this time after SIGTERM."""
    parts: dict[str, ProcessName] = {}


def read_state(folder: DataFolder) -> RunState | None:
    """The state of the present run, or of the last one where that was killed; None where it ended well."""
    try:
        return RunState.model_validate_json(folder.state.read_text())
    except (FileNotFoundError, ValidationError):
        return None


def write_state(folder: DataFolder, state: RunState) -> None:
    """Replace the file in one step: readers see the old state or the new one, whole."""
    fresh = folder.state.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(state.model_dump_json(indent=2) + "\n")
    fresh.replace(folder.state)


def forget_state(folder: DataFolder) -> None:
    folder.state.unlink(missing_ok=True)
