"""`penstock search`: the Chunks nearest to a question, for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from penstock.cli.output import console, harmless, print_json, print_note
from penstock.cli.session import run
from penstock.models import Hit

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
    terminal = console()
    width = min(terminal.width, MOST_COLUMNS)
    for rank, hit in enumerate(hits, start=1):
        for part in _passage(rank, hit):
            terminal.print(part, width=width)


def _passage(rank: int, hit: Hit) -> list[RenderableType]:
    """A hit for reading: where it is from, then its text indented under it."""
    title = Text.assemble((f"{rank}. ", "bold"), (harmless(hit.name), "bold cyan"), overflow="fold")
    title.append(f"{_pages(hit)}  score {hit.score:.3f}", style="dim")
    parts: list[RenderableType] = [title]
    if hit.headings:
        parts.append(Padding(Text(harmless(" > ".join(hit.headings)), style="italic"), (0, 0, 0, 3)))
    text = harmless(hit.text.strip().expandtabs(4), keep="\n")
    return [*parts, Padding(Text(text, overflow="fold"), (0, 0, 1, 3))]


def _pages(hit: Hit) -> str:
    if hit.pages is None:
        return ""
    first, last = hit.pages
    return f"  page {first}" if first == last else f"  pages {first}-{last}"
