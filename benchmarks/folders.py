"""Where the benchmarks find things."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Of the project."""
CORPORA = Path(os.environ.get("PENSTOCK_CORPORA", ROOT.parent / "shared" / "corpora")).absolute()
"""The test documents, which are not part of the project."""
