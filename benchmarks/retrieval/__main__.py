"""Ask all questions, write `results/retrieval.json` and `docs/retrieval.md`: `make retrieval`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from circumstances import circumstances
from folders import ROOT
from penstock_run import BenchmarkError

from retrieval.corpus import chroma, held_out
from retrieval.filings import measure_filings
from retrieval.report import page
from retrieval.wanted import K
from retrieval.ways import all_cuttings, measure, two_cuttings

RESULT = ROOT / "benchmarks" / "results" / "retrieval.json"
PAGE = ROOT / "docs" / "retrieval.md"


async def main() -> None:
    try:
        result: dict[str, Any] = {
            "benchmark": "retrieval",
            **circumstances(),
            "k": K,
            "chroma": await measure(chroma(), all_cuttings, k=K),
            "held_out": await measure(held_out(), two_cuttings, k=K),
            "filings": measure_filings(),
        }
    except BenchmarkError as error:
        sys.exit(str(error))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    PAGE.write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    asyncio.run(main())
