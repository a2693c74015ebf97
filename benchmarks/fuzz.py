"""Damage thousands of files by chance and read them: the outcome is Chunks or an error of the tree, always.

    python benchmarks/fuzz.py --rounds 200              through the parser pool, with its limits
    python benchmarks/fuzz.py --rounds 5000 --plain     readers only, without chunking: faster
    python benchmarks/fuzz.py --case text/html/17       one case again, written to the folder `--keep`

A case is named by its media type and number; with the seed, which is printed, it says what is damaged and how.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from random import Random

import structlog
from folders import CORPORA, ROOT
from fuzz_seeds import Seed, seeds
from mutations import mutated

from penstock.chunking.recipe import ChunkRecipe
from penstock.embedding.model import locate_model
from penstock.errors import PenstockError
from penstock.parsing.media_type import READABLE
from penstock.parsing.pool import ParserPool
from penstock.parsing.process import CHILD_COMMAND
from penstock.settings import EmbeddingSettings, ParsingSettings

MEMORY_MB = 768
"""A file of at most 4 MiB has no honest way to need more."""
MAX_TOKENS = 254
NEVER = ("parser_crashed", "parser_timeout", "parser_memory", "broken_law")


@dataclass(frozen=True, slots=True)
class Case:
    """One damaged file."""

    media_type: str
    number: int
    name: str
    content: bytes

    @property
    def id(self) -> str:
        return f"{self.media_type}/{self.number}"


@dataclass
class Tally:
    """How the cases of each media type ended, and what should not have been."""

    counts: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    findings: list[str] = field(default_factory=list[str])
    slowest: tuple[float, str] = (0.0, "none")

    def add(self, case: Case, code: str, seconds: float, detail: str, keep: Path) -> None:
        self.counts.setdefault(case.media_type, Counter())[code] += 1
        self.slowest = max(self.slowest, (seconds, case.id))
        if code in NEVER:
            self.findings.append(f"{case.id} ({case.name}): {code} after {seconds:.1f} s: {detail}")
            print(self.findings[-1], flush=True)
            written(case, keep)


def make_case(seed: str, media_type: str, number: int, files: list[Seed]) -> Case:
    """The same for the same seed, media type, number and files, on any machine."""
    random = Random(f"{seed}/{media_type}/{number}")
    name, content = random.choice(files)
    return Case(media_type, number, name, mutated(content, random))


def cases(seed: str, found: dict[str, list[Seed]], numbers: range) -> Iterator[Case]:
    """Round by round over all media types, so that a run that is stopped has seen each of them."""
    return (make_case(seed, each, number, files) for number in numbers for each, files in found.items())


def until(end: float, every: Iterator[Case]) -> Iterator[Case]:
    """The cases, up to a moment of `time.monotonic`."""
    return takewhile(lambda _: time.monotonic() < end, every)


def written(case: Case, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.id.replace('/', '-')}-{case.name}"
    path.write_bytes(case.content)
    return path


async def run_in_pool(every: Iterator[Case], tally: Tally, arguments: argparse.Namespace) -> None:
    """As an Ingester does it: detect, read, chunk in contained children; with `--plain` nothing is chunked."""
    settings = ParsingSettings(timeout_seconds=arguments.seconds, memory_mb=MEMORY_MB, children=arguments.jobs)
    tokenizer_file = locate_model(EmbeddingSettings()).tokenizer_file
    command = (sys.executable, str(ROOT / "benchmarks/fuzz_child.py")) if arguments.plain else CHILD_COMMAND
    pool = ParserPool(settings, ChunkRecipe(tokenizer_file, MAX_TOKENS), command=command)
    await pool.start()
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-fuzz-") as folder:
            async with asyncio.TaskGroup() as group:
                for number in range(arguments.jobs):
                    group.create_task(_draw(every, pool, Path(folder) / str(number), tally, arguments.keep))
    finally:
        await pool.close()


async def _draw(every: Iterator[Case], pool: ParserPool, path: Path, tally: Tally, keep: Path) -> None:
    for case in every:
        await asyncio.to_thread(path.write_bytes, case.content)
        began = time.monotonic()
        code, detail = await _outcome(pool, path, case.name)
        tally.add(case, code, time.monotonic() - began, detail, keep)


async def _outcome(pool: ParserPool, path: Path, name: str) -> tuple[str, str]:
    text_path = path.with_suffix(".text")
    spans: list[tuple[str, tuple[int, int]]] = []
    try:
        async with pool.parse(path, name=name, text_path=text_path) as parse:
            async for chunks in parse.batches():
                spans += [(chunk.text, chunk.char_span) for chunk in chunks]
    except PenstockError as error:
        return error.code, error.message
    text = text_path.read_bytes().decode()
    wrong = [span for chunk, span in spans if chunk != text[slice(*span)]]
    return ("broken_law", f"the text at {wrong[0]} is not the Chunk's") if wrong else ("complete", "")


def table(tally: Tally) -> str:
    """Markdown: a row for each format, a column for each outcome."""
    codes = sorted({code for counts in tally.counts.values() for code in counts} - {"complete"})
    rows = [["format", "mutations", "complete", *codes], ["---", *["---:"] * (len(codes) + 2)]]
    for media_type, counts in sorted(tally.counts.items(), key=lambda item: READABLE.get(item[0], item[0]).lower()):
        numbers = [counts.total(), counts["complete"], *(counts[code] for code in codes)]
        rows.append([READABLE.get(media_type, media_type), *(f"{number:,}" for number in numbers)])
    total = sum((counts for counts in tally.counts.values()), Counter[str]())
    rows.append(["**all**", *(f"**{n:,}**" for n in (total.total(), total["complete"], *(total[c] for c in codes)))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=str(int(time.time())), help="any text; the time if none is given")
    parser.add_argument("--rounds", type=int, default=100, help="mutations of each format")
    parser.add_argument("--minutes", type=float, default=600, help="stop then, whatever the rounds")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--files", type=int, default=40, help="most files of a format to start from")
    parser.add_argument("--jobs", type=int, default=2, help="files read at once")
    parser.add_argument("--seconds", type=float, default=20, help="time limit for one file")
    parser.add_argument("--only", default="", help="media types that contain this")
    parser.add_argument("--plain", action="store_true", help="read only, chunk nothing: more rounds in the same time")
    parser.add_argument("--case", help="write and read this one case")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "penstock-fuzz-found")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    found = {each: files for each, files in seeds(CORPORA, most=given.files).items() if given.only in each}
    if given.case:
        media_type, _, number = given.case.rpartition("/")
        every = iter([make_case(given.seed, media_type, int(number), found[media_type])])
    else:
        every = cases(given.seed, found, range(given.first, given.first + given.rounds))
    print(f"seed {given.seed}; {sum(map(len, found.values()))} files of {len(found)} formats", flush=True)
    tally, began = Tally(), time.monotonic()
    asyncio.run(run_in_pool(until(began + 60 * given.minutes, every), tally, given))
    print(f"\n{table(tally)}\n")
    slowest, its_id = tally.slowest
    print(f"{time.monotonic() - began:.0f} s; slowest file {slowest:.1f} s ({its_id}); {len(tally.findings)} findings")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
