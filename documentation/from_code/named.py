"""Tests and source files that a page names in backticks: they have to be there."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path

NAMED = re.compile(r"`((?:src/penstock|tests|benchmarks|docs|deploy|examples)/[\w./-]*)((?:::\w+)*)`")


def check(markdown: str, root: Path, *, to_come: Container[str] = ()) -> None:
    """Raise `LookupError` for the first file, or test as `path::name`, that neither exists nor is `to_come`."""
    for path, names in NAMED.findall(markdown):
        if path not in to_come and not (root / path).exists():
            raise LookupError(f"{path} is named and not there")
        for name in filter(None, names.split("::")):
            if name not in _defined(root / path):
                raise LookupError(f"{path} has no {name}")


@cache
def _defined(path: Path) -> frozenset[str]:
    return frozenset(_names(ast.parse(path.read_text())))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
