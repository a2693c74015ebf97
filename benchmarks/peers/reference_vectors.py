"""The vectors that sentence-transformers makes of texts, in float32: the reference for ours.

    .bench-venv/bin/python benchmarks/peers/reference_vectors.py MODEL VECTORS.npy < TEXTS.jsonl

Standard input has one JSON string a line. VECTORS.npy is a float32 array of shape (texts, dimensions), in the
same order, rows of length 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer


def main() -> None:
    model, vectors = Path(sys.argv[1]), Path(sys.argv[2])
    texts = [json.loads(line) for line in sys.stdin]
    engine = SentenceTransformer(str(model), device="cpu", model_kwargs={"dtype": torch.float32})
    np.save(vectors, engine.encode(texts, normalize_embeddings=True, show_progress_bar=False))


if __name__ == "__main__":
    main()
