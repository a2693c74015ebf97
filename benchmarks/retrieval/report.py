"""`docs/retrieval.md`, from the figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

HEAD = """\
# Does search find the answer?

Made by `make retrieval` from `benchmarks/results/retrieval.json`; not written by hand. Every figure of Penstock is
that of the running product: `penstock up` on an empty folder, files handed in and questions asked over HTTP,
{k} hits each. Measured at {measured_at}, commit {commit}.
"""

CHROMA = """
## {questions} questions with the exact spans of their answers

Chroma's questions on three documents ("Evaluating Chunking Strategies for Retrieval", 2024), which are searched
together. In characters: *recall* is how much of the answer was found, *precision* how much of what was found is
answer, *IoU* what is in both over what is in either. All {k} hits count in the denominators, those of a wrong
document too, as in Chroma's own code; means over the questions.

To compare places, the extracted text is laid beside its source character by character: {aligned:.2%} of it, or
more, stands in the source in every document.

{ways}

"Nothing else" are the texts of our Chunks as they are cited, embedded alone, to compare how texts are cut: all
rows below it have the same model, and all vectors are compared. *Equal mean size*: the capacity
of semantic-text-splitter is the one whose passages have the mean size of ours; of its longest passages
the model takes the first {longest} tokens. *Equal budget*: passages of at most {longest} tokens, as ours.

Differences with the 95 % interval of a paired bootstrap over the questions (10,000 resamples, seeded):

{differences}

By document, recall and IoU:

{by_document}
"""


HELD_OUT = """
## {questions} held-out questions

Ours, on the documentation of two projects, an npm manual page and two licences, written before anybody looked at
what search returns (`benchmarks/retrieval/heldout.jsonl`). The ranking was chosen with a look at
all three sets of questions (decision 11), so that these are no longer untouched. Scores as above.

{ways}

{differences}
"""

FILINGS = """
## {questions} questions on company filings

Ours, on three filings of 256 PDF pages (`benchmarks/retrieval/filings.jsonl`). Every page that answers a question was
looked at as a picture. The share of the questions with such a page among the first hits:

{shares}

Among the first {k}, by what makes the question hard:

{kinds}

Hybrid search does not find among the first {k}:

{missed}
"""


def page(result: dict[str, Any]) -> str:
    chroma, held_out, filings, k = result["chroma"], result["held_out"], result["filings"], result["k"]
    return (
        HEAD.format(**result)
        + CHROMA.format(
            questions=chroma["questions"],
            k=k,
            longest=chroma["longest"],
            aligned=min(chroma["aligned"].values()),
            ways=_ways(chroma["ways"]),
            differences=_differences(chroma["differences"]),
            by_document=_by_document(chroma["ways"]),
        )
        + HELD_OUT.format(
            questions=held_out["questions"],
            ways=_ways(held_out["ways"]),
            differences=_differences(held_out["differences"]),
        )
        + _filings(filings, k)
    )


def _ways(ways: list[dict[str, Any]]) -> str:
    return _table(
        ("", "passages", "mean tokens", "recall", "precision", "IoU"),
        (
            (way["name"], way["passages"], f"{way['mean_tokens']:.0f}", *_figures(way, "recall", "precision", "iou"))
            for way in ways
        ),
    )


def _differences(differences: list[dict[str, Any]]) -> str:
    return _table(
        ("", "over", "recall", "IoU"),
        ((pair["of"], pair["over"], _interval(pair["recall"], 3), _interval(pair["iou"], 4)) for pair in differences),
    )


def _filings(part: dict[str, Any], k: int) -> str:
    modes = list(part["shares"])
    return FILINGS.format(
        questions=part["questions"],
        k=k,
        shares=_table(
            ("", *(f"first {first}" for first in part["shares"][modes[0]])),
            ((mode, *(f"{share:.2f}" for share in part["shares"][mode].values())) for mode in modes),
        ),
        kinds=_table(
            ("", "questions", *modes),
            (
                (kind, of_kind["questions"], *(f"{of_kind['shares'][mode]:.2f}" for mode in modes))
                for kind, of_kind in part["kinds"].items()
            ),
        ),
        missed="\n".join(f"- {miss['question']} ({miss['id']}; {_place(miss['rank'])})" for miss in part["missed"])
        or "- nothing",
    )


def _place(rank: int | None) -> str:
    return f"place {rank}" if rank else "not among ten"


def _by_document(ways: list[dict[str, Any]]) -> str:
    names = list(ways[0]["by_document"])
    return _table(
        ("", *names),
        (
            (way["name"], *(" / ".join(_figures(way["by_document"][name], "recall", "iou")) for name in names))
            for way in ways
        ),
    )


def _figures(scores: dict[str, float], *names: str) -> list[str]:
    return [f"{scores[name]:.4f}" if name == "iou" else f"{scores[name]:.3f}" for name in names]


def _interval(values: list[float], digits: int) -> str:
    mean, low, high = values
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(columns)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
