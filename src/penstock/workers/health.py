"""How a Worker is, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["not_ready", "ready", "draining"]


@dataclass(slots=True)
class Health:
    """How a Worker is; changed by the Worker, read by whoever asks."""

    role: str
    ready: bool = False
    """Connected to everything."""
    draining: bool = False
    """Asked to stop: takes nothing new, and finishes what it has."""

    @property
    def status(self) -> Status:
        """`ready` while it takes messages; `not_ready` while it starts or waits for a service."""
        if self.draining:
            return "draining"
        return "ready" if self.ready else "not_ready"
