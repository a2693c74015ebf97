"""Chunks a second of our chunker, beside semantic-text-splitter on the same texts with the same tokenizer, one core.

    .venv/bin/python benchmarks/chunking.py [--quick]

The texts are the Markdown documentation and the documents of `ir/chroma` in the corpora, as plain text to both sides,
in chunks of at most 254 tokens. Each round our chunker is a fresh one that knows no word yet, and the other is a
process of its own, in turns. Seconds are those of the processor; loading the tokenizer is counted on neither side.
Every Chunk of ours is counted once more by the tokenizer: none may have more tokens than it may.
With `--quick`: a few texts, once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folders import CORPORA
from measured import Figure, keep
from peers.install import SPLITTER_FOLDER, SPLITTER_REQUIREMENTS, install
from penstock_run import BenchmarkError
from tokenizers import Tokenizer

from penstock.chunking.chunker import Chunker
from penstock.chunking.document import Block
from penstock.chunking.recipe import ChunkRecipe
from penstock.embedding.model_files import DEFAULT_MODEL, find_model_folder
from penstock.models import NewChunk
from penstock.parsing.formats import read
from penstock.parsing.media_type import PLAIN

SPLITTER = Path(__file__).with_name("peers") / "semantic_splitter.py"
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
CHUNK_TOKENS = 254
ROUNDS = 3
QUICK_TEXTS = 5
SHORTEST = 50
"""Bytes of a file that is worth cutting."""
WANTED = 5.0


@dataclass(frozen=True, slots=True)
class Cut:
    """One side's round."""

    chunks: int
    seconds: float

    @property
    def speed(self) -> float:
        return self.chunks / self.seconds


def texts() -> list[Path]:
    paths = [*(CORPORA / "ir" / "chroma").rglob("*.md"), *(CORPORA / "docs").rglob("*.md")]
    return sorted(path for path in paths if path.stat().st_size >= SHORTEST)


def tokenizer() -> Tokenizer:
    """That of the default model, without the truncation and padding that its file switches on."""
    loaded = Tokenizer.from_file(str(find_model_folder(DEFAULT_MODEL) / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


def ours(documents: Sequence[list[Block]]) -> tuple[Cut, list[NewChunk]]:
    chunker = Chunker(ChunkRecipe(find_model_folder(DEFAULT_MODEL) / "tokenizer.json", CHUNK_TOKENS))
    written: list[str] = []
    began = time.process_time()
    chunks = [chunk for blocks in documents for chunk in chunker.chunk(blocks, write=written.append)]
    return Cut(len(chunks), time.process_time() - began), chunks


def theirs(python: Path, paths: Sequence[Path]) -> Cut:
    request = {
        "tokenizer": tokenizer().to_str(),
        "texts": [path.read_text(encoding="utf-8") for path in paths],
        "capacity": CHUNK_TOKENS,
        "markdown": False,
    }
    done = subprocess.run(
        [python, SPLITTER],
        env=os.environ | ONE_THREAD,
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    return Cut(sum(map(len, answer["ranges"])), answer["cpu_seconds"])


def check(chunks: Sequence[NewChunk]) -> None:
    """Raises `BenchmarkError` for a Chunk that is longer than it may be: speed must not come from counting less."""
    counted = tokenizer().encode_batch_fast([chunk.text for chunk in chunks], add_special_tokens=False)
    longest = max(map(len, counted))
    if longest > CHUNK_TOKENS:
        raise BenchmarkError(f"A Chunk has {longest} tokens.")


def measure(paths: Sequence[Path], *, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """The median round's ratio."""
    python = install(SPLITTER_FOLDER, SPLITTER_REQUIREMENTS)
    documents = [list(read(path, PLAIN)) for path in paths]
    cuts: list[tuple[Cut, Cut]] = []
    for _ in range(rounds):
        other = theirs(python, paths)
        cut, chunks = ours(documents)
        check(chunks)
        cuts.append((cut, other))
    ratio = statistics.median(cut.speed / other.speed for cut, other in cuts)
    by_text = statistics.median(other.seconds / cut.seconds for cut, other in cuts)
    cut, other = cuts[-1]
    figure = Figure(
        row=7,
        measure=f"chunks of at most {CHUNK_TOKENS} tokens from {len(paths)} texts, one core",
        unit="chunks/s",
        ours=statistics.median(cut.speed for cut, _ in cuts),
        against=statistics.median(other.speed for _, other in cuts),
        other="semantic-text-splitter",
        value=ratio,
        wanted=WANTED,
        note=f"{cut.chunks:,} Chunks of ours and {other.chunks:,} of the other from the same texts, which take ours "
        f"1/{by_text:.1f} of the time. Our chunker is cold: it asks the tokenizer about each new word once.",
    )
    return [figure], {"texts": len(paths), "seconds_ratio": by_text, "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few texts, once")
    arguments = parser.parse_args()
    paths = texts()
    try:
        if not paths:
            raise BenchmarkError(f"There are no texts in {CORPORA}; PENSTOCK_CORPORA names another place.")
        if arguments.quick:
            keep("chunking", *measure(paths[:QUICK_TEXTS], rounds=1))
        else:
            keep("chunking", *measure(paths, rounds=ROUNDS))
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
