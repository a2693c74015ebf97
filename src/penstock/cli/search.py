"""`penstock search`: the Chunks nearest to a question, for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from rich.text import Text

from penstock.cli.output import console, harmless, print_json, print_note
from penstock.cli.session import run
from penstock.models import Hit

INDENT = "   "
MOST_COLUMNS = 100
"""Longer lines are hard to read, however wide the terminal."""


def search_passages(
    query: str, *, k: int, mode: str, filters: Mapping[str, Sequence[str] | None], url: str | None, as_json: bool
) -> None:
    """Search and print what is found; filters that are empty do not count."""
    given = {name: values for name, values in filters.items() if values}
    hits = run(url, lambda client: client.search(query, k=k, mode=mode, filters=given))
    if as_json:
        print_json([hit.model_dump(mode="json") for hit in hits])
    elif hits:
        _print_passages(hits)
    else:
        print_note("Nothing found. `penstock files` shows what is searchable.")


def _print_passages(hits: list[Hit]) -> None:
    shown = console()
    width = min(shown.width, MOST_COLUMNS) - len(INDENT)
    for rank, hit in enumerate(hits, start=1):
        shown.print(_title(rank, hit), soft_wrap=True)
        if hit.headings and hit.headings != hit.text.strip().splitlines()[:1]:  # not the same line twice
            shown.print(Text(INDENT + harmless(" > ".join(hit.headings)), style="italic"), soft_wrap=True)
        for line in Text(_readable(hit.text)).wrap(shown, width):
            line.rstrip()
            shown.print(Text(INDENT if line else "").append_text(line), soft_wrap=True)
        shown.print()


def _title(rank: int, hit: Hit) -> Text:
    title = Text.assemble((f"{rank}. ", "bold"), (harmless(hit.name), "bold cyan"))
    return title.append(f"{_pages(hit)}  score {hit.score:.3f}", style="dim")


def _readable(text: str) -> str:
    """The text of a Chunk without the line breaks of its source that would leave every second line half empty.

    A break stays where the next line looks like a list, code or a table, or the line before is short.
    """
    lines = harmless(text.strip().expandtabs(4), keep="\n").split("\n")
    readable = lines[0]
    for before, line in pairwise(lines):
        joins = len(before) > 50 and line[:1].isalpha() and not before.startswith((" ", "|", "#"))
        readable += (" " if joins else "\n") + line
    return readable


def _pages(hit: Hit) -> str:
    if hit.pages is None:
        return ""
    first, last = hit.pages
    return f"  page {first}" if first == last else f"  pages {first}-{last}"
