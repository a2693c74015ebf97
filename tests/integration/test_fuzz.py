"""The short version of `make fuzz`: a few damaged files of every format, through real parser children."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("way", [[], ["--plain"]])
def test_damaged_files_give_chunks_or_an_error_of_the_tree(way: list[str], tmp_path: Path) -> None:
    """The seed is fixed: chance belongs in `make fuzz`, which prints it."""
    command = [sys.executable, str(ROOT / "benchmarks/fuzz.py"), "--seed", "test", "--rounds", "6", "--seconds", "120"]
    run = subprocess.run([*command, "--keep", str(tmp_path), *way], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 findings" in run.stdout
    assert "| **all** |" in run.stdout
