"""The peers, each in a process of the environment that `peers/install.py` makes for them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penstock_run import BenchmarkError

PEERS = Path(__file__).with_name("peers")
PEER_PYTHON = PEERS.parents[1] / ".bench-venv" / "bin" / "python"
"""Of the environment that `peers/install.py` makes."""
QUIET_AND_OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TQDM_DISABLE": "1"}


def llama_index(folder: Path, model: Path, chunk_tokens: int, *, suffix: str = ".pdf") -> dict[str, Any]:
    """Seconds, stages and counts of one ingestion by LlamaIndex."""
    options = ["--chunk-tokens", str(chunk_tokens), "--suffix", suffix]
    return json.loads(_run([PEERS / "llama_index_folder.py", folder, model, *options]))


def reference_vectors(model: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """What sentence-transformers makes of the texts in float32: shape (texts, dimensions), rows of length 1."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        vectors = Path(folder) / "vectors.npy"
        _run([PEERS / "reference_vectors.py", model, vectors], lines)
        return np.load(vectors)


def _run(command: Sequence[Path | str], standard_input: str = "") -> str:
    if not PEER_PYTHON.exists():
        raise BenchmarkError("The peers are not installed: run `python benchmarks/peers/install.py`.")
    environment = dict(os.environ) | QUIET_AND_OFFLINE
    return subprocess.run(
        [PEER_PYTHON, *command], env=environment, input=standard_input, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
