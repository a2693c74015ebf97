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

PEERS = Path(__file__).with_name("peers")
QUIET_AND_OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "TQDM_DISABLE": "1"}


def llama_index(python: Path, folder: Path, model: Path, chunk_tokens: int) -> dict[str, Any]:
    """Seconds, stages and counts of one ingestion by LlamaIndex."""
    command = [python, PEERS / "llama_index_filings.py", folder, model, "--chunk-tokens", str(chunk_tokens)]
    return json.loads(_run(command))


def reference_vectors(python: Path, model: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """What sentence-transformers makes of the texts in float32: shape (texts, dimensions), rows of length 1."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        vectors = Path(folder) / "vectors.npy"
        _run([python, PEERS / "reference_vectors.py", model, vectors], lines)
        return np.load(vectors)


def _run(command: Sequence[Path | str], standard_input: str = "") -> str:
    environment = dict(os.environ) | QUIET_AND_OFFLINE
    return subprocess.run(
        command, env=environment, input=standard_input, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
