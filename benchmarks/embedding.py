"""Chunks a second of the local engine, on prose cut to mixed lengths (mean about 175 tokens).

    python benchmarks/embedding.py [--texts 2000] [--precision auto|bf16|f32]

Reads the Markdown documentation in ../shared/corpora/docs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

from penstock.embedding import Batcher, open_engine
from penstock.embedding.model import load_tokenizer, locate_model
from penstock.settings import EmbeddingSettings

CORPUS = Path(__file__).resolve().parents[1] / "../shared/corpora/docs"
LENGTHS = (25, 60, 120, 160, 210, 240, 254, 254)
"""Tokens; a chunker that fills its windows leaves short pieces at the end of sections."""
TEXTS_OF_A_CALLER = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--precision", choices=["auto", "bf16", "f32"], default="auto")
    arguments = parser.parse_args()
    settings = EmbeddingSettings(precision=arguments.precision)
    print(json.dumps(asyncio.run(measure(settings, arguments.texts))))


async def measure(settings: EmbeddingSettings, count: int) -> dict[str, Any]:
    texts = cut_texts(settings, count)
    began = time.perf_counter()
    engine = await open_engine(settings)
    opened = time.perf_counter()
    batcher = Batcher(engine, batch_tokens=settings.batch_tokens)
    callers = [texts[start : start + TEXTS_OF_A_CALLER] for start in range(0, count, TEXTS_OF_A_CALLER)]
    await asyncio.gather(*(batcher.embed(list(caller), list(caller.values())) for caller in map(dict, callers)))
    seconds = time.perf_counter() - opened
    await engine.close()
    tokens = sum(length for _, length in texts)
    return {
        "texts": count,
        "mean_tokens": round(tokens / count, 1),
        "open_seconds": round(opened - began, 2),
        "seconds": round(seconds, 2),
        "texts_per_second": round(count / seconds, 1),
        "tokens_per_second": round(tokens / seconds),
    }


def cut_texts(settings: EmbeddingSettings, count: int) -> list[tuple[str, int]]:
    """Pieces of the corpus with their token counts, the same in every run."""
    tokenizer = load_tokenizer(locate_model(settings).tokenizer_file)
    prose = "\n".join(file.read_text(encoding="utf-8") for file in sorted(CORPUS.rglob("*.md")))
    offsets = tokenizer.encode(prose, add_special_tokens=False).offsets
    choose = random.Random(1)
    pieces: list[tuple[str, int]] = []
    position = 0
    while len(pieces) < count:
        length = choose.choice(LENGTHS)
        if position + length > len(offsets):
            position = choose.randrange(100)  # around again, cut elsewhere
        window = list(islice(offsets, position, position + length))
        pieces.append((prose[window[0][0] : window[-1][1]], length))
        position += length
    return pieces


if __name__ == "__main__":
    main()
