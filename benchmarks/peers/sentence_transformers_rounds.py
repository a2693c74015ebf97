"""sentence-transformers encodes the same texts again and again, each time when it is told to.

    .bench-venv/bin/python benchmarks/peers/sentence_transformers_rounds.py MODEL VECTORS.npy TEXTS.json

TEXTS.json has a list of strings. Prints one JSON object once it is loaded and warm and has written VECTORS.npy, a
float32 array of shape (texts, dimensions) with rows of length 1; then one for each line of standard input: the seconds
of one `encode`, by the clock and of the processors. In float32 on all processors, in its own batches of 32, which it
sorts by length itself.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

BATCH = 32
PACKAGES = ("sentence-transformers", "transformers", "torch")


def main() -> None:
    model, vectors, texts = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
    engine = SentenceTransformer(model, device="cpu", model_kwargs={"dtype": torch.float32})

    def encode() -> np.ndarray:
        return engine.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)

    np.save(vectors, encode())
    versions = {package: version(package) for package in PACKAGES}
    print(json.dumps({"threads": torch.get_num_threads(), "batch": BATCH, "versions": versions}), flush=True)
    for _ in sys.stdin:
        began, processor_began = time.perf_counter(), time.process_time()
        encode()
        taken = {
            "seconds": time.perf_counter() - began,
            "processor_seconds": time.process_time() - processor_began,
        }
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
