"""How a Worker is, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """How a Worker is; changed by the Worker, read by whoever asks."""

    role: str
    ready: bool = False
    """Connected to everything and taking messages."""
