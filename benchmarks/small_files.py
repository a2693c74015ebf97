"""Ten thousand small Markdown files, by `penstock add` until all are searchable; then the same folder again.

    .venv/bin/python benchmarks/small_files.py [--files 10000] [--sample 1000] [--quick]

The files are pieces of the Markdown documentation in `../shared/corpora/docs`, of one or two chunks, no two alike.
Penstock runs as `penstock up` starts it. LlamaIndex gets a sample of the same files with the same model and chunk
size, in memory, its model warm before the clock starts: all of them would take it several minutes and its seconds grow
with the number of files, so that seconds by file are compared. The second run hands in the same folder, unchanged.
With `--quick`: 60 files, and no LlamaIndex where its environment is not there.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from folders import CORPORA
from measured import Figure, keep
from peer_run import PEER_PYTHON, llama_index
from penstock_run import Added, BenchmarkError, running_penstock

from penstock.embedding.model_files import DEFAULT_MODEL, find_model_folder

DOCS = CORPORA / "docs"
CHUNK_TOKENS = 254
CHARACTERS = (300, 1200)
"""Of a file: with about 4 characters to a token, one or two chunks."""
IN_A_FOLDER = 500
SEED = 13
WANTED_RATIO = 6.0
WANTED_AGAIN = 50.0
QUICK_FILES = 60

Result = dict[str, Any]


def pieces(documents: list[str]) -> Iterator[str]:
    """Pieces of whole paragraphs, no two alike, without end."""
    choose, given = random.Random(SEED), set[str]()
    paragraphs = [part for text in documents for part in text.split("\n\n") if part.strip()]
    while True:
        wanted, at = choose.randint(*CHARACTERS), choose.randrange(len(paragraphs))
        piece = paragraphs[at]
        while len(piece) < wanted and at + 1 < len(paragraphs):
            at += 1
            piece = f"{piece}\n\n{paragraphs[at]}"
        piece = piece[:wanted]
        if piece not in given:
            given.add(piece)
            yield piece


def write_files(folder: Path, count: int) -> None:
    """`count` Markdown files, some hundred to a subfolder."""
    if not DOCS.is_dir():
        raise BenchmarkError(f"There is no documentation in {DOCS}; PENSTOCK_CORPORA names another place.")
    documents = [path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))]
    for number, piece in enumerate(islice(pieces(documents), count)):
        part = folder / f"part-{number // IN_A_FOLDER:02}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"note-{number:05}.md").write_text(piece + "\n", encoding="utf-8")


def sample_of(folder: Path, count: int, target: Path) -> None:
    """Every so many-th of the files, in one folder."""
    paths = sorted(folder.rglob("*.md"))
    target.mkdir()
    for path in paths[:: max(1, len(paths) // count)][:count]:
        shutil.copy(path, target)


def measure(work: Path, *, files: int, sample: int) -> tuple[list[Figure], Result]:
    """Penstock twice over the folder, LlamaIndex over a sample of it, if that is installed."""
    folder = work / "notes"
    write_files(folder, files)
    with running_penstock() as penstock:
        warm = work / "warm.md"
        warm.write_text("# Warm\n\nThe first file of a Penstock.\n")
        penstock.ingest([warm])
        penstock.search("warm")
        first = complete(penstock.add(folder), files)
        chunks = penstock.sums([row["file_id"] for row in first.rows])["chunks"]
        again = complete(penstock.add(folder), files)
    details: Result = {
        "files": files,
        "chunks": chunks,
        "first": facts(first),
        "again": facts(again),
    }
    figures = [figure_again(files, first, again)]
    if sample:
        sample_of(folder, sample, work / "sample")
        peer = llama_index(work / "sample", find_model_folder(DEFAULT_MODEL), CHUNK_TOKENS, suffix=".md")
        details["llama_index"] = peer
        figures.insert(0, figure_first(files, chunks, first, peer))
    return figures, details


def complete(added: Added, files: int) -> Added:
    """The run itself, if every file is complete."""
    statuses = Counter(row["status"] for row in added.rows)
    if statuses != {"complete": files}:
        raise BenchmarkError(f"of {files} files {dict(statuses)}")
    return added


def facts(added: Added) -> Result:
    return {name: value for name, value in asdict(added).items() if name != "rows"}


def figure_first(files: int, chunks: int, first: Added, peer: Result) -> Figure:
    ours, theirs = files / first.seconds, peer["files"] / peer["seconds"]
    used = sum(first.cpu_seconds_by_role.values())
    return Figure(
        row=13,
        measure=f"{files:,} small Markdown files, `penstock add` until all are searchable",
        unit="files/s",
        ours=ours,
        against=theirs,
        other="LlamaIndex in memory",
        value=ours / theirs,
        wanted=WANTED_RATIO,
        note=f"{first.seconds:.0f} s for {chunks:,} chunks, {chunks / first.seconds:.0f} chunks/s. LlamaIndex had "
        f"{peer['files']:,} of the files and made {peer['chunks']:,} chunks of them in {peer['seconds']:.0f} s. "
        f"Processor seconds of {used:.0f}: {by_role(first)}.",
    )


def figure_again(files: int, first: Added, again: Added) -> Figure:
    return Figure(
        row=13,
        measure="the same folder again, unchanged",
        unit="s",
        ours=again.seconds,
        against=first.seconds,
        other="the first time",
        value=first.seconds / again.seconds,
        wanted=WANTED_AGAIN,
        note=f"{files:,} files are read and hashed, and looked up a thousand at a time. Processor seconds: "
        f"{by_role(again)}.",
    )


def by_role(added: Added) -> str:
    roles = sorted(added.cpu_seconds_by_role.items(), key=lambda item: -item[1])
    return ", ".join(f"{role} {seconds:.1f}" for role, seconds in roles if seconds >= 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=1_000, help="files for LlamaIndex; 0: without it")
    parser.add_argument("--quick", action="store_true", help="few files, LlamaIndex only where it is installed")
    arguments = parser.parse_args()
    files, sample = arguments.files, arguments.sample
    if arguments.quick:
        files, sample = QUICK_FILES, QUICK_FILES if PEER_PYTHON.exists() else 0
    try:
        with tempfile.TemporaryDirectory() as work:
            keep("small_files", *measure(Path(work), files=files, sample=sample))
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
