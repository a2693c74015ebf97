"""The Core API: takes files in, tells how far they are, searches. It never does heavy work itself.

`run(settings)` serves it in the foreground. Each resource is a module with a router; `app.py` puts
them together, `opening.py` opens what they stand on, in the background.
"""

from __future__ import annotations

from penstock.api.server import run

__all__ = ["run"]
