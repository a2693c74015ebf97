"""Run the benchmarks of `targets.py` one after the other, then write the page and the plots from their results.

    python benchmarks/bench.py [--quick] [--docs FOLDER] [NAME ...]

Each runs in a process of its own and alone on the machine. One that fails leaves no result, or the older one that is
there: that is said at the end, and the exit status is 1. A target that is missed is a finding, not a failure.
With `--quick` each takes seconds, and what it writes is no measurement: it goes to a folder that BENCH_RESULTS names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from measured import RESULTS, RESULTS_VARIABLE
from page import write_page
from targets import BENCHMARKS, FOLDER, Benchmark

DOCS = FOLDER.parent / "docs"


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """All of the list, or those named, in the list's order."""
    known = [benchmark.name for benchmark in BENCHMARKS]
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(known)}.")
    return [benchmark for benchmark in BENCHMARKS if not names or benchmark.name in names]


def run(benchmark: Benchmark, *, quick: bool) -> str | None:
    """Run one; what went wrong, if anything did."""
    if not benchmark.script.is_file():
        return f"{benchmark.name} is not written yet: no benchmarks/{benchmark.script.name}"
    print(f"\n== {benchmark.name}", flush=True)
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, benchmark.script, *(["--quick"] if quick else [])], env=environment(), check=False
    )
    print(f"   {time.perf_counter() - began:.0f} s", flush=True)
    if ended.returncode:
        return f"{benchmark.name} ended with {ended.returncode}; its result is missing, or an older one"
    return None if (RESULTS / f"{benchmark.name}.json").is_file() else f"{benchmark.name} wrote no result"


def environment() -> dict[str, str]:
    """Some run the pipeline on servers of their own, which the tests know how to start."""
    tests = FOLDER.parent / "tests"
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(map(str, (tests, tests / "integration")))}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    parser.add_argument("--quick", action="store_true", help="seconds each; measures nothing")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page and the plots go")
    arguments = parser.parse_args()
    if arguments.quick and RESULTS_VARIABLE not in os.environ:
        sys.exit(f"{RESULTS_VARIABLE} must name a folder for the results of quick runs.")
    benchmarks = chosen(arguments.names)
    if not arguments.quick and any(benchmark.peer for benchmark in benchmarks):
        subprocess.run([sys.executable, FOLDER / "peers" / "install.py"], check=True)
    problems = [said for benchmark in benchmarks if (said := run(benchmark, quick=arguments.quick))]
    print(f"\n{write_page(RESULTS, arguments.docs)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
