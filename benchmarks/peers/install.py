"""Install the peers into an environment of their own: `python benchmarks/peers/install.py [FOLDER]`.

FOLDER is `.bench-venv` in the project's root unless given. By pip, not uv: pip finds the CPU build of torch
where its settings name one. Does nothing where the environment already holds these requirements.
The retrieval and chunking benchmarks install their text splitter into another, `.splitter-venv`, which takes seconds.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DEFAULT_FOLDER = ROOT / ".bench-venv"
SPLITTER_REQUIREMENTS = Path(__file__).with_name("splitter-requirements.txt")
SPLITTER_FOLDER = ROOT / ".splitter-venv"


def install(folder: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Returns the environment's Python."""
    python = folder / "bin" / "python"
    installed = folder / "installed-requirements.txt"
    wanted = requirements.read_text()
    if not installed.is_file() or installed.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", requirements], check=True)
        # Written last, so that an install that was interrupted starts again.
        installed.write_text(wanted)
    return python


if __name__ == "__main__":
    print(install(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER))
