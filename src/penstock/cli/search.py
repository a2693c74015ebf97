"""`penstock search`: the Chunks nearest to a question, for reading."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, takewhile

import typer
from rich.console import Console
from rich.text import Text

from penstock.cli.output import console, harmless, print_json, print_note
from penstock.cli.session import run
from penstock.models import Hit, Neighbour

INDENT = "   "
MOST_COLUMNS = 100
"""Longer lines are hard to read, however wide the terminal."""
MOST_LINES = 12
"""Of a passage; of a longer one those with most of the query's words. With context, all is shown."""


def search_passages(
    query: str,
    *,
    k: int,
    mode: str,
    filters: Mapping[str, object],
    context: int,
    url: str | None,
    as_json: bool,
) -> None:
    """Search and print what is found; filters that are empty do not count."""
    given = {name: value for name, value in filters.items() if value}
    hits = run(url, lambda client: client.search(query, k=k, mode=mode, filters=given, context=context))
    if as_json:
        print_json([hit.model_dump(mode="json", exclude_unset=True) for hit in hits])
    elif hits:
        _print_passages(hits, whole=context > 0)
    else:
        print_note("Nothing found. `penstock files` shows what is searchable.")


def page_range(pages: str | None) -> tuple[int, int] | None:
    """`7` or `3-7` as first and last page; what is neither is wrong usage."""
    if pages is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", pages)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise typer.BadParameter(f"{pages!r} is neither a page, as 7, nor some, as 3-7", param_hint="--pages")
    return first, last


def _print_passages(hits: list[Hit], *, whole: bool) -> None:
    shown = console()
    width = min(shown.width, MOST_COLUMNS) - len(INDENT)
    for rank, hit in enumerate(hits, start=1):
        shown.print(_title(rank, hit), soft_wrap=True)
        if hit.headings and hit.headings != hit.text.strip().splitlines()[:1]:  # not the same line twice
            shown.print(Text(INDENT + harmless(" > ".join(hit.headings)), style="italic"), soft_wrap=True)
        lines = list(_lines(shown, readable(hit.text, hit.highlights), width))
        _print_beside(shown, hit.before, width)
        _print_lines(shown, lines if whole else around_the_best(lines))
        _print_beside(shown, hit.after, width)
        shown.print()


def _print_beside(shown: Console, neighbours: Sequence[Neighbour], width: int) -> None:
    for neighbour in neighbours:
        text = readable(neighbour.text)
        text.stylize("dim")
        _print_lines(shown, _lines(shown, text, width))


def _lines(shown: Console, text: Text, width: int) -> Iterator[Text]:
    for line in text.wrap(shown, width):
        line.rstrip()
        yield line


def _print_lines(shown: Console, lines: Sequence[Text] | Iterator[Text]) -> None:
    for line in lines:
        shown.print(Text(INDENT if line else "").append_text(line), soft_wrap=True)


def around_the_best(lines: Sequence[Text]) -> list[Text]:
    """As many lines as are shown, those with most highlights; `…` stands for what is left out before and behind."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    counts = [len(line.spans) for line in lines]
    windows = [sum(counts[start : start + MOST_LINES]) for start in range(len(lines) - MOST_LINES + 1)]
    best = windows.index(max(windows))
    ties = sum(1 for _ in takewhile(lambda count: count == windows[best], windows[best:]))
    start = best + (ties - 1) // 2 if any(counts) else 0  # as much before the words as behind them
    end = start + MOST_LINES
    return [*([Text("…")] if start else []), *lines[start:end], *([Text("…")] if end < len(lines) else [])]


def _title(rank: int, hit: Hit) -> Text:
    title = Text.assemble((f"{rank}. ", "bold"), (harmless(hit.name), "bold cyan"))
    return title.append(f"{_pages(hit)}  score {hit.score:.3f}", style="dim")


def readable(text: str, highlights: Sequence[tuple[int, int]] = ()) -> Text:
    """The text of a Chunk, highlights in bold, without the line breaks that would leave every second line half empty.

    A break stays where the next line looks like a list, code or a table, or the line before is short.
    """
    lines = list(_styled_lines(text, highlights))
    while lines and not lines[0].plain.strip():
        lines.pop(0)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    whole = lines[0] if lines else Text()
    for before, line in pairwise([line.copy() for line in lines]):  # `whole` is the first and grows
        joins = len(before) > 50 and line.plain[:1].isalpha() and not before.plain.startswith((" ", "|", "#"))
        whole.append(" " if joins else "\n").append_text(line)
    return whole


def _styled_lines(text: str, highlights: Sequence[tuple[int, int]]) -> Iterator[Text]:
    start = 0
    for source in text.split("\n"):
        line, place = Text(), start
        for span in highlights:
            first, last = max(span[0], start), min(span[1], start + len(source))
            if first < last:
                line.append(harmless(text[place:first], keep="\t"))
                line.append(harmless(text[first:last], keep="\t"), style="bold")
                place = last
        line.append(harmless(text[place : start + len(source)], keep="\t"))
        line.expand_tabs(4)
        yield line
        start += len(source) + 1


def _pages(hit: Hit) -> str:
    if hit.pages is None:
        return ""
    first, last = hit.pages
    return f"  page {first}" if first == last else f"  pages {first}-{last}"
