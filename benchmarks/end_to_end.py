"""Company filings, from upload to searchable: Penstock against LlamaIndex, side by side in one run.

    .venv/bin/python benchmarks/peers/install.py
    .venv/bin/python benchmarks/end_to_end.py [--rounds 2]

Each round runs Penstock on an empty data folder (`penstock up`, warmed by one document, then every filing handed
in over HTTP, until search sees each) and then LlamaIndex in memory, with the same model, the same chunk size
and the machine to itself. The ratio is that of the medians. Then a sample of the vectors that Penstock
stored is compared with those that sentence-transformers makes of the same texts. Writes
`results/end_to_end.json`; ends with 1 where Penstock is less than 4 times as fast, or a cosine is below 0.999.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from circumstances import circumstances
from numpy.typing import NDArray
from peer_run import llama_index, reference_vectors
from penstock_run import BenchmarkError, RunningPenstock, running_penstock
from rich.console import Console
from rich.table import Table

from penstock.embedding.model_files import DEFAULT_MODEL, find_model_folder

ROOT = Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / ".bench-venv" / "bin" / "python"
WARMING = ROOT / "examples" / "documents" / "operations-manual.pdf"
RESULT = ROOT / "benchmarks" / "results" / "end_to_end.json"
CHUNK_TOKENS = 254
"""What the model takes, less its two special tokens: Penstock's default."""
SAMPLED_TEXTS = 300
WANTED_RATIO = 4.0
WANTED_COSINE = 0.999

Result = dict[str, Any]
Sample = tuple[list[str], NDArray[np.float32]]


def filings() -> Path:
    corpora = Path(os.environ.get("PENSTOCK_CORPORA", ROOT.parent / "shared" / "corpora"))
    folder = corpora / "filings"
    if not folder.is_dir():
        raise BenchmarkError(
            f"There are no filings at {folder}: PENSTOCK_CORPORA may name the folder that has a folder `filings`."
        )
    return folder


def penstock_round(folder: Path) -> tuple[Result, Sample]:
    """One measured ingestion, and a sample of the texts and vectors that it stored."""
    with running_penstock() as penstock:
        penstock.ingest([WARMING])
        penstock.search("warm")
        ingestion = penstock.ingest(sorted(folder.glob("*.pdf")))
        prove_searchable(penstock, ingestion.files)
        result: Result = {
            "seconds": ingestion.seconds,
            "cpu_seconds": ingestion.cpu_seconds,
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
    reference = reference_vectors(PEER_PYTHON, model, texts)
    found = np.sum(stored * reference, axis=1) / np.linalg.norm(stored, axis=1) / np.linalg.norm(reference, axis=1)
    return {"texts": len(texts), "least": float(found.min()), "mean": float(found.mean()), "wanted": WANTED_COSINE}


def measure(rounds: int) -> Result:
    if not PEER_PYTHON.exists():
        raise BenchmarkError("The peers are not installed: run `python benchmarks/peers/install.py`.")
    folder, model = filings(), find_model_folder(DEFAULT_MODEL)
    ours: list[Result] = []
    theirs: list[Result] = []
    sample: Sample = ([], np.empty((0, 0), np.float32))
    for number in range(1, rounds + 1):
        result, sample = penstock_round(folder)
        ours.append(result)
        say(f"round {number}: Penstock {result['seconds']:.1f} s")
        theirs.append(llama_index(PEER_PYTHON, folder, model, CHUNK_TOKENS))
        say(f"round {number}: LlamaIndex {theirs[-1]['seconds']:.1f} s")
    penstock, peer = side(ours), side(theirs)
    return {
        "benchmark": "end_to_end",
        **circumstances(),
        "penstock": penstock,
        "llama_index": peer,
        "ratio": peer["median_seconds"] / penstock["median_seconds"],
        "wanted_ratio": WANTED_RATIO,
        "cosine": cosines(model, sample),
    }


def say(sentence: str) -> None:
    Console(stderr=True).print(sentence, highlight=False)


def table(result: Result) -> Table:
    table = Table(title="Company filings, from upload to searchable")
    for column in ("", "median", "fastest", "CPU time", "pages", "chunks", "chunks/s"):
        table.add_column(column, justify="left" if not column else "right")
    for name, key in (("Penstock", "penstock"), ("LlamaIndex", "llama_index")):
        rounds, middle = result[key]["rounds"], result[key]["median_seconds"]
        fastest, last = min(one["seconds"] for one in rounds), rounds[-1]
        used = median(one["cpu_seconds"] for one in rounds)
        figures = [f"{seconds:.1f} s" for seconds in (middle, fastest, used)]
        table.add_row(name, *figures, str(last["pages"]), str(last["chunks"]), f"{last['chunks'] / middle:.0f}")
    return table


def passes(result: Result) -> bool:
    return result["ratio"] >= WANTED_RATIO and result["cosine"]["least"] >= WANTED_COSINE


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side, alternating")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    try:
        result = measure(arguments.rounds)
    except BenchmarkError as error:
        sys.exit(str(error))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    Console().print(table(result))
    cosine = result["cosine"]
    print(f"Penstock is {result['ratio']:.1f} times as fast (at least {WANTED_RATIO:.0f} wanted).")
    print(f"Cosine to sentence-transformers, {cosine['texts']} texts: least {cosine['least']:.5f} (0.999 wanted).")
    sys.exit(not passes(result))


if __name__ == "__main__":
    main()
