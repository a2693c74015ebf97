"""What a figure was measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openvino as ov
import psutil

ROOT = Path(__file__).resolve().parents[1]


@cache
def circumstances() -> dict[str, Any]:
    git = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git.stdout.strip() or None,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "architecture": platform.machine(),
        "processor": processor(),
        "processor_multiplies_in": ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("penstock", "openvino", "pypdfium2", "tokenizers")},
    }


def processor() -> str:
    """The processor's own name, or the architecture where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
