"""The Embedder's engine alone: beside sentence-transformers, and beside what the processor can multiply at most.

    .venv/bin/python benchmarks/peers/install.py
    .venv/bin/python benchmarks/engine.py [--rounds 5] [--texts 640] [--precision auto|bf16|f32] [--quick]

Both sides turn the same texts into vectors, tokenising included, on all processors: our engine behind a Batcher as
an Embedder has it, sentence-transformers in torch float32 by batches of 32. They and the multiplication take turns,
round after round; a figure is the ratio of medians by the clock. Beside it stands that of processor time, which grows
less where other programs run; torch's grows a little, as its threads spin while they wait for each other.

The texts are prose cut to mixed lengths; the Markdown documentation of the test corpora is looked for in
`../shared/corpora/docs`, PENSTOCK_CORPORA names another place.

The arithmetic that counts is that of the texts' tokens, from the model's shape: padding is no useful work, nor are
sums, norms and activations. Ends with 1 where a vector's cosine to the reference is below 0.9999.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from engine_sides import Multiplication, SentenceTransformers, Taken, Text, embed_in_messages, sentence_transformers
from folders import CORPORA
from measured import Figure, keep
from numpy.typing import NDArray

from penstock.embedding import EmbeddingEngine, open_engine
from penstock.embedding.model import LocalModel, load_tokenizer, locate_model
from penstock.models import MAX_CHUNKS_PER_MESSAGE
from penstock.processors import available_processors, multiply_bf16
from penstock.settings import EmbeddingSettings

WANTED_RATIO, WANTED_SHARE, WANTED_COSINE = 6.0, 0.70, 0.9999
FULL_WINDOWS = 0.4
"""Share of the texts that fill the model's window, or nearly: a chunker that fills its windows leaves shorter
pieces at the end of sections, of any length."""


@dataclass
class Rounds:
    """What each side took, round by round."""

    ours: list[Taken] = field(default_factory=list[Taken])
    """For all texts, in messages of many texts."""
    ours_one_by_one: list[Taken] = field(default_factory=list[Taken])
    """The same in messages of a single text."""
    peer: list[Taken] = field(default_factory=list[Taken])
    peak: list[Taken] = field(default_factory=list[Taken])
    """For 10^9 operations of the fastest multiplication."""


def seconds(rounds: Sequence[Taken]) -> float:
    return median(taken.seconds for taken in rounds)


def processor_seconds(rounds: Sequence[Taken]) -> float:
    return median(taken.processor_seconds for taken in rounds)


def cut_texts(model: LocalModel, count: int) -> list[Text]:
    """Pieces of the corpus, the same in every run."""
    tokenizer = load_tokenizer(model.tokenizer_file)
    files = sorted((CORPORA / "docs").rglob("*.md"))
    if not files:
        raise SystemExit(f"There is no Markdown in {CORPORA / 'docs'}; PENSTOCK_CORPORA names another place.")
    prose = "\n".join(file.read_text(encoding="utf-8") for file in files)
    offsets = tokenizer.encode(prose, add_special_tokens=False).offsets
    choose, longest, position = random.Random(1), model.max_tokens, 0
    texts: list[Text] = []
    while len(texts) < count:
        full = choose.random() < FULL_WINDOWS
        length = choose.randint(longest * 9 // 10 if full else 8, longest)
        if position + length > len(offsets):
            position = choose.randrange(100)  # around again, cut elsewhere
        text = prose[offsets[position][0] : offsets[position + length - 1][1]]
        tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
        position += length
        if 0 < tokens <= longest:  # a word cut in two can have another number of tokens than within the whole
            texts.append(Text(text, tokens))
    return texts


def useful_flops(model: LocalModel, texts: Sequence[Text]) -> float:
    """Of the matrix multiplications for the texts' own tokens: two for each weight of a linear layer and token, and
    the attention's two products."""
    config = model.config()
    hidden, layers, wide = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    lengths = [one.tokens + model.special_tokens for one in texts]
    linear = 2 * (4 * hidden**2 + 2 * hidden * wide) * sum(lengths)
    attention = 4 * hidden * sum(length**2 for length in lengths)
    return float(layers * (linear + attention))


async def measure(
    engine: EmbeddingEngine, texts: Sequence[Text], peer: SentenceTransformers, peak: Multiplication, rounds: int
) -> tuple[Rounds, NDArray[np.float32]]:
    """All sides in turns, after one round of ours that does not count; and our vectors."""
    _, vectors = await embed_in_messages(engine, texts, message=MAX_CHUNKS_PER_MESSAGE)
    taken = Rounds()
    for _ in range(rounds):
        ours, vectors = await embed_in_messages(engine, texts, message=MAX_CHUNKS_PER_MESSAGE)
        taken.ours.append(ours)
        taken.peer.append(await asyncio.to_thread(peer.round))
        taken.peak.append(peak.round(least_seconds=0.5))
        one_by_one, _ = await embed_in_messages(engine, texts, message=1)
        taken.ours_one_by_one.append(one_by_one)
    return taken, vectors


def figures(taken: Rounds, texts: Sequence[Text], flops: float, *, precision: str, cosine: float) -> list[Figure]:
    billions = flops / 1e9
    ours, peer, peak = seconds(taken.ours), seconds(taken.peer), seconds(taken.peak)
    ours_processor, peer_processor, peak_processor = map(processor_seconds, (taken.ours, taken.peer, taken.peak))
    return [
        Figure(
            row=1,
            measure="embedding engine, texts of mixed lengths",
            unit="chunks/s",
            ours=len(texts) / ours,
            against=len(texts) / peer,
            other="sentence-transformers",
            value=peer / ours,
            wanted=WANTED_RATIO,
            note=f"The least cosine to its float32 vectors is {cosine:.6f}. By processor time: "
            f"{peer_processor / ours_processor:.2f}. An engine that did nothing but multiply, at the {precision} peak "
            f"of this processor and without padding, would reach {peer / peak / billions:.2f} by the clock and "
            f"{peer_processor / peak_processor / billions:.2f} by processor time.",
        ),
        Figure(
            row=2,
            measure="embedding engine, arithmetic",
            unit="GFLOP/s",
            ours=billions / ours,
            against=1 / peak,
            other=f"{precision} multiplication",
            value=billions / ours * peak,
            wanted=WANTED_SHARE,
            note="Tokens of the texts only, from text to vector, tokenising included. By processor time: "
            f"{billions / ours_processor * peak_processor:.2f}.",
        ),
    ]


async def run(arguments: argparse.Namespace) -> int:
    settings = EmbeddingSettings(precision=arguments.precision)
    precision = settings.precision if settings.precision != "auto" else "bf16" if multiply_bf16() else "f32"
    model = locate_model(settings)
    texts = cut_texts(model, arguments.texts)
    began = time.perf_counter()
    engine = await open_engine(settings)
    opened = time.perf_counter() - began
    memory = [resident_mb()]
    with sentence_transformers(model.folder, texts) as peer:
        peak = Multiplication(precision=precision, threads=available_processors())
        memory.append(resident_mb())
        taken, vectors = await measure(engine, texts, peer, peak, arguments.rounds)
        memory.append(resident_mb())
    await engine.close()
    cosine = float((vectors.astype(np.float64) * peer.vectors).sum(axis=1).min())
    details: dict[str, Any] = {
        "texts": len(texts),
        "mean_tokens": round(sum(one.tokens for one in texts) / len(texts), 1),
        "precision": precision,
        "open_seconds": round(opened, 2),
        "least_cosine": cosine,
        "chunks_per_second_one_by_one": round(len(texts) / seconds(taken.ours_one_by_one), 1),
        "resident_mb": {"opened": memory[0], "before_rounds": memory[1], "after_rounds": memory[2]},
        "rounds": asdict(taken),
        "peer": peer.about,
    }
    flops = useful_flops(model, texts)
    keep("engine", figures(taken, texts, flops, precision=precision, cosine=cosine), details, output=arguments.output)
    print({name: details[name] for name in ("mean_tokens", "open_seconds", "least_cosine", "resident_mb")})
    print(f"one text a message: {details['chunks_per_second_one_by_one']} chunks/s")
    return 0 if cosine >= WANTED_COSINE else 1


def resident_mb() -> int:
    return round(psutil.Process().memory_info().rss / 2**20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--precision", choices=["auto", "bf16", "f32"], default="auto")
    parser.add_argument("--quick", action="store_true", help="64 texts, one round: measures nothing")
    parser.add_argument("--output", type=Path, help="instead of results/engine.json")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.texts = 1, 64
    return asyncio.run(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
