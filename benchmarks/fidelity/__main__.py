"""`PYTHONPATH=benchmarks python -m fidelity`: measure, and write `docs/fidelity.md` and the figures beside it.

Ends with exit status 1 where a miss has no explanation.
"""

from __future__ import annotations

import json
import sys

from folders import CORPORA, ROOT

from fidelity.figures import measure_all
from fidelity.misses import explanations, unexplained
from fidelity.tables import page


def main() -> int:
    if not CORPORA.is_dir():
        print(f"There are no corpora in {CORPORA}; PENSTOCK_CORPORA names another place")
        return 1
    figures = measure_all()
    (ROOT / "docs/fidelity.md").write_text(page(figures, explanations()), encoding="utf-8")
    results = json.dumps(figures.as_json(), indent=2) + "\n"
    (ROOT / "benchmarks/results/fidelity.json").write_text(results, encoding="utf-8")
    for each in figures.measured:
        print(f"{each.measure.name}: recall {each.total.recall:.5f}, precision {each.total.precision:.5f}")
    open_misses = [
        (each.measure.name, miss) for each in figures.measured for miss in unexplained(each.measure, each.counts)
    ]
    for name, miss in open_misses:
        print(f"not explained: {name} {miss}")
    for explanation in explanations():
        if not any(explanation.is_needed(each.measure, each.counts) for each in figures.measured):
            print(f"explains nothing any more: {explanation.measure}, {explanation.file}")
    return 1 if open_misses else 0


if __name__ == "__main__":
    sys.exit(main())
