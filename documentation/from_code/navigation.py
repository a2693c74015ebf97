"""The pages in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from from_code import decisions


def complete(nav: Sequence[Any], docs: Path) -> list[Any]:
    """`nav` with folders as their pages, and a section for the pages that are in no other."""
    told = [_with_folder(entry, docs) for entry in nav]
    known = set(_paths(told))
    found = (path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md")))
    if rest := [path for path in found if path not in known]:
        told.append({"More": rest})
    return told


def _with_folder(entry: Any, docs: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    [(name, target)] = cast("dict[str, Any]", entry).items()
    if target != "decisions/":
        return {name: target}
    pages = sorted((docs / "decisions").glob("[0-9]*.md"))
    each = [{f"{decisions.number(path)}. {decisions.title(path)}": f"decisions/{path.name}"} for path in pages]
    return {name: [decisions.INDEX, *each]}


def _paths(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for below in cast("dict[str, Any]", nav).values():
            yield from _paths(below)
    else:
        for below in nav:
            yield from _paths(below)
