"""The tree of modules, from the import contract that CI holds and from the modules' own words."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from from_code.drawing import Drawing
from from_code.marks import code, first_paragraph, table

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "src" / "penstock"
CONTRACT = "The tree is the diagram"
WIDTH, ROW, GAP = 720, 34, 14
CHARACTER = 8.2
"""Pixels that a letter of a box's name takes, about."""


def layers() -> list[list[str]]:
    """The modules of each layer, from the top; each imports only what is below it."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [each for each in configured if each["name"] == CONTRACT]
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"] if layer != "__main__"]


def picture() -> str:
    """The layers one above the other, as SVG."""
    drawing = Drawing("layers", WIDTH, len(layers()) * (ROW + GAP) + GAP)
    for number, names in enumerate(layers()):
        top = GAP + number * (ROW + GAP)
        widths = [len(name) * CHARACTER + 24 for name in names]
        left = (WIDTH - sum(widths) - GAP * (len(names) - 1)) / 2
        for name, width in zip(names, widths, strict=True):
            drawing.box(left, top, width, ROW, name)
            left += width + GAP
        if number:
            drawing.arrow([(WIDTH / 2, top - GAP), (WIDTH / 2, top)])
    return drawing.figure("Layers of the source: each imports only what is below it")


def modules(package: str) -> str:
    """The modules of `package`, or of all the tree, and what each says of itself first."""
    rows = [(code(name), told) for name, told in _modules(SOURCE / package)]
    return table(("module", "what it does"), rows)


def _modules(folder: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in sorted(folder.iterdir()):
        file = path / "__init__.py" if path.is_dir() else path
        if path.name == "__init__.py" or file.suffix != ".py" or not file.exists():
            continue
        if told := first_paragraph(ast.get_docstring(ast.parse(file.read_text()))):
            found.append((path.name, told))
    return found
