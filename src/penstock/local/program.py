"""What to run, as whom, and how to ask it to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.local import tether
from penstock.local.account import Account


@dataclass(frozen=True, slots=True)
class Program:
    """A child process to be."""

    argv: tuple[str, ...]
    """The program by its full path, then its arguments."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks for a clean stop; the kernel sends it too when our own process dies."""
    account: Account | None = None
    """Runs as this user; None: as ours."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """Holds secrets, and is therefore not shown."""

    def tethered(self) -> list[str]:
        """The command line that runs the program so that it dies with us.

        The death signal belongs to the *thread* that starts the child: start it from one that lives on.
        """
        uid, gid = (self.account.uid, self.account.gid) if self.account else (tether.KEEP_USER, tether.KEEP_USER)
        numbers = [str(number) for number in (os.getpid(), int(self.stop_signal), uid, gid)]
        return [sys.executable, "-I", "-S", str(Path(tether.__file__)), *numbers, *self.argv]
