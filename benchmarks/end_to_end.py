"""Company filings, from upload to searchable: Penstock against LlamaIndex, and against its own parts alone.

    .venv/bin/python benchmarks/peers/install.py
    .venv/bin/python benchmarks/end_to_end.py [--rounds 2] [--quick]

Each round runs Penstock on an empty data folder (`penstock up`, warmed by one document, then every filing handed
in over HTTP, until search sees each), then its parts alone in this process, and then LlamaIndex in memory, with the
same model, the same chunk size and the machine to itself. Row 3 is the ratio of the medians. Row 4 is what parsing,
chunking and embedding take alone, spread over the cores, of what it took end to end, each by its best round. Then a
sample of the vectors that Penstock stored is compared with those that sentence-transformers makes of the same texts.
With `--quick`: the shortest filing, once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from alone import Alone, measure_alone
from folders import CORPORA, ROOT
from measured import Figure, keep
from numpy.typing import NDArray
from peer_run import llama_index, reference_vectors
from penstock_run import BenchmarkError, RunningPenstock, running_penstock
from rich.console import Console

from penstock.embedding.model_files import DEFAULT_MODEL, find_model_folder

WARMING = ROOT / "examples" / "documents" / "operations-manual.pdf"
CHUNK_TOKENS = 254
"""What the model takes, less its two special tokens: Penstock's default."""
SAMPLED_TEXTS = 300
WANTED_RATIO = 6.0
WANTED_SHARE = 0.9
WANTED_COSINE = 0.9999

Result = dict[str, Any]
Sample = tuple[list[str], NDArray[np.float32]]


def filings() -> Path:
    folder = CORPORA / "filings"
    if not folder.is_dir():
        raise BenchmarkError(
            f"There are no filings at {folder}: PENSTOCK_CORPORA may name the folder that has a folder `filings`."
        )
    return folder


@contextmanager
def the_shortest(folder: Path) -> Generator[Path]:
    """A folder with nothing but the shortest filing."""
    with tempfile.TemporaryDirectory() as other:
        shutil.copy(min(folder.glob("*.pdf"), key=lambda path: path.stat().st_size), other)
        yield Path(other)


def penstock_round(paths: list[Path]) -> tuple[Result, Sample]:
    """One measured ingestion, and a sample of the texts and vectors that it stored."""
    with running_penstock() as penstock:
        penstock.ingest([WARMING])
        penstock.search("warm")
        ingestion = penstock.ingest(paths)
        prove_searchable(penstock, ingestion.files)
        result: Result = {
            "seconds": ingestion.seconds,
            "cpu_seconds": ingestion.cpu_seconds,
            "cpu_seconds_by_role": ingestion.cpu_seconds_by_role,
            "seconds_to_first_vector": ingestion.seconds_to_first_vector,
            "start_seconds": penstock.start_seconds,
            "pages": sum(file["page_count"] for file in ingestion.files),
            "seconds_by_file": {file["name"]: seconds_of(file) for file in ingestion.files},
            **penstock.sums([file["file_id"] for file in ingestion.files]),
        }
        return result, penstock.stored_vectors(SAMPLED_TEXTS)


def prove_searchable(penstock: RunningPenstock, files: list[Result]) -> None:
    for file in files:
        if not penstock.search("net revenue of the fiscal year", file_ids=[file["file_id"]]):
            raise BenchmarkError(f"{file['name']} is complete, but search does not find it")


def seconds_of(file: Result) -> float:
    return (datetime.fromisoformat(file["settled_at"]) - datetime.fromisoformat(file["created_at"])).total_seconds()


def side(rounds: list[Result]) -> Result:
    return {"median_seconds": median(result["seconds"] for result in rounds), "rounds": rounds}


def cosines(model: Path, sample: Sample) -> Result:
    texts, stored = sample
    reference = reference_vectors(model, texts)
    found = np.sum(stored * reference, axis=1) / np.linalg.norm(stored, axis=1) / np.linalg.norm(reference, axis=1)
    return {"texts": len(texts), "least": float(found.min()), "mean": float(found.mean())}


def measure(folder: Path, *, rounds: int) -> tuple[list[Figure], Result]:
    """The figures, and all that they were made of."""
    paths, model = sorted(folder.glob("*.pdf")), find_model_folder(DEFAULT_MODEL)
    ours: list[Result] = []
    theirs: list[Result] = []
    alone: list[Alone] = []
    sample: Sample = ([], np.empty((0, 0), np.float32))
    for number in range(1, rounds + 1):
        result, sample = penstock_round(paths)
        ours.append(result)
        alone.append(measure_alone(paths, rounds=2))
        theirs.append(llama_index(folder, model, CHUNK_TOKENS))
        say(
            f"round {number}: Penstock {ours[-1]['seconds']:.1f} s, its parts alone {alone[-1].seconds:.1f} s, "
            f"LlamaIndex {theirs[-1]['seconds']:.1f} s"
        )
    penstock, peer, best = side(ours), side(theirs), min(alone, key=lambda one: one.seconds)
    details = {
        "penstock": penstock,
        "llama_index": peer,
        "alone": {**asdict(best), "seconds_spread": best.spread},
        "ratio": peer["median_seconds"] / penstock["median_seconds"],
        "cosine": cosines(model, sample),
    }
    return figures(details, best), details


def figures(details: Result, alone: Alone) -> list[Figure]:
    ours, theirs, cosine = details["penstock"], details["llama_index"], details["cosine"]
    fastest = min(ours["rounds"], key=lambda one: one["seconds"])
    measure = "filings, from upload to all searchable, everything durable"
    return [
        Figure(
            row=3,
            measure=measure,
            unit="s",
            ours=ours["median_seconds"],
            against=theirs["median_seconds"],
            other="LlamaIndex in memory",
            value=details["ratio"],
            wanted=WANTED_RATIO,
            note=f"Penstock's vectors cost {alone.embed:.1f} s of both cores alone. {by_role(fastest)}",
        ),
        Figure(
            row=4,
            measure="the same, beside its parts alone, spread over the cores",
            unit="s",
            ours=fastest["seconds"],
            against=alone.seconds,
            other="parse, chunk and embed",
            value=alone.seconds / fastest["seconds"],
            wanted=WANTED_SHARE,
            note=f"Alone: {', '.join(f'{part} {seconds:.1f} s' for part, seconds in alone.spread.items())}. "
            f"The first vector was stored {fastest['seconds_to_first_vector']:.1f} s after the first byte was sent.",
        ),
        Figure(
            row=0,
            measure="stored vectors beside those of sentence-transformers in float32, least cosine",
            unit="",
            ours=cosine["least"],
            against=None,
            other=f"{cosine['texts']} texts",
            value=cosine["least"],
            wanted=WANTED_COSINE,
        ),
    ]


def by_role(one: Result) -> str:
    """Where the processor's time went, as a sentence."""
    roles = sorted(one["cpu_seconds_by_role"].items(), key=lambda item: -item[1])
    parts = ", ".join(f"{role} {seconds:.1f}" for role, seconds in roles if seconds >= 0.1)
    return f"Processor seconds of the fastest round: {parts}."


def say(sentence: str) -> None:
    Console(stderr=True).print(sentence, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side, in turns")
    parser.add_argument("--quick", action="store_true", help="once, with a single short file")
    arguments = parser.parse_args()
    try:
        if arguments.quick:
            with the_shortest(filings()) as folder:
                found = measure(folder, rounds=1)
        else:
            found = measure(filings(), rounds=arguments.rounds)
        keep("end_to_end", *found)
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
