"""JSON, JSON Lines and notebooks.

JSON is read as a stream of marks with a stack of our own: a file of any size or depth fits in memory, and one
that was cut short gives what is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.chunking.document import Block, BlockKind
from penstock.errors import CorruptFile
from penstock.parsing.encoding import decoded, pieces
from penstock.parsing.formats.markup import markdown_blocks

LONGEST_RECORD = 8 * 1024
"""Characters of `path: value` lines in one Block."""
MAX_DEPTH = 64
"""Deeper containers count as one level: no document of words is so deep, and paths would grow without measure."""

# Commas are passed over and colons are taken with their key: half as many matches, twice as fast.
_MARK = re.compile(
    r"""[\s,:]*+(?:
        (?P<bracket>[{}\[\]])
      | "(?P<string>[^"\\]*+(?:\\.[^"\\]*+)*+)"(?P<colon>\s*:)?
      | (?P<bare>[^\s,:{}\[\]"]+)
      | (?P<cut>")
    )""",
    re.VERBOSE | re.DOTALL,
)
_REST_OF_STRING = re.compile(r'([^"\\]*+(?:\\.[^"\\]*+)*+)("(\s*:)?)?', re.DOTALL)


def read_json(path: Path) -> Iterator[Block]:
    """Lines of `path: value`, one Block for each object of a list, for each line of JSON Lines."""
    return _Walker().read(_marks(pieces(path)))


def read_notebook(path: Path) -> Iterator[Block]:
    """A Jupyter notebook: its Markdown, its code, and what the code printed."""
    try:
        notebook: Any = json.loads(decoded(path.read_bytes()))
        cells: list[Any] = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise CorruptFile(f"The file is a damaged notebook ({error}).") from error
    for cell in cells:
        source = _joined(cell.get("source", cell.get("input", "")))
        if cell.get("cell_type") == "code":
            yield Block(source, BlockKind.CODE)
            for output in cell.get("outputs", []):
                yield Block(_printed(output))
        else:
            yield from markdown_blocks(source.splitlines(keepends=True))


def _printed(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    return _joined(output.get("text") or data.get("text/markdown") or data.get("text/plain") or output.get("evalue"))


def _joined(text: str | list[str] | None) -> str:
    return "".join(text or ())


@dataclass(frozen=True, slots=True)
class _Mark:
    """A bracket, a key, a string without its quotes, or a bare word: a number, `true`, `null`."""

    text: str
    is_bracket: bool = False
    is_key: bool = False


def _marks(source: Iterable[str]) -> Iterator[_Mark]:
    """The marks of JSON text that comes in pieces. The last word of a piece may go on in the next, and waits for it."""
    rest = ""
    cut: list[str] = []
    """A string that is longer than a piece, as far as it is known."""
    for piece in source:
        text, at = rest + piece, 0
        if cut:
            found = _REST_OF_STRING.match(text)
            at = found.end() if found else 0
            cut.append(found[1] if found else "")
            if not found or not found[2]:
                rest = text[at:]
                continue
            yield _Mark("".join(cut), is_key=bool(found[3]))
            cut = []
        marks, rest, cut = _whole_marks(text, at)
        yield from marks
    if cut:
        yield _Mark("".join(cut))
    yield from map(_mark, _MARK.finditer(rest))


def _whole_marks(text: str, at: int) -> tuple[list[_Mark], str, list[str]]:
    """The marks from `at` that certainly end in `text`; what is left over of it; the string that is cut by its end."""
    found: list[re.Match[str]] = []
    for each in _MARK.finditer(text, at):
        found.append(each)
        if each.lastgroup == "cut":
            break
    if not found:
        return [], text[at:], []
    last = found[-1]
    if last.lastgroup == "cut":
        start = _REST_OF_STRING.match(text, last.end())
        known = start[1] if start else ""
        return list(map(_mark, found[:-1])), text[last.end() + len(known) :], [known]
    if last.lastgroup in ("string", "bare"):
        return list(map(_mark, found[:-1])), text[last.start() :], []
    return list(map(_mark, found)), "", []


def _mark(found: re.Match[str]) -> _Mark:
    kind = found.lastgroup
    text = found["string"] if kind == "colon" else found[kind or 0]
    return _Mark(text, is_bracket=kind == "bracket", is_key=kind == "colon")


@dataclass(slots=True)
class _Container:
    """An object or array that is open, at `prefix`; `key` is where we are in an object."""

    is_object: bool
    prefix: str
    key: str = ""
    is_empty: bool = True

    @property
    def path(self) -> str:
        return f"{self.prefix}.{self.key}" if self.prefix and self.key else self.prefix or self.key


@dataclass
class _Walker:
    """Follows the marks and writes down each value with its path."""

    stack: list[_Container] = field(default_factory=list[_Container])
    held: list[str] = field(default_factory=list[str])
    size: int = 0
    last_path: str | None = None
    too_deep: int = 0

    def read(self, marks: Iterable[_Mark]) -> Iterator[Block]:
        for mark in marks:
            if not mark.is_bracket:
                self._word(mark)
            elif mark.text in "{[":
                self._open(is_object=mark.text == "{")
            else:
                self._close()
            if self.held and (self.size > LONGEST_RECORD or self._is_record_end(mark)):
                yield self._flush()
        yield self._flush()

    def _open(self, *, is_object: bool) -> None:
        top = self.stack[-1] if self.stack else None
        if len(self.stack) >= MAX_DEPTH:
            self.too_deep += 1
            return
        if top:
            top.is_empty = False
        self.stack.append(_Container(is_object, top.path if top else ""))

    def _close(self) -> None:
        if self.too_deep:
            self.too_deep -= 1
        elif self.stack and self.stack.pop().is_empty:
            self._write("")

    def _word(self, mark: _Mark) -> None:
        text = _unescaped(mark.text) if "\\" in mark.text else mark.text
        top = self.stack[-1] if self.stack else None
        if mark.is_key and top and top.is_object:
            top.key = text
            return
        self._write(text)
        if top:
            top.is_empty = False

    def _write(self, value: str) -> None:
        top = self.stack[-1] if self.stack else None
        path = top.path if top else ""
        if top and path == self.last_path and not top.is_object:
            line = f", {value}"
        else:
            line = f"\n{path}: {value}" if path else f"\n{value}"
        self.held.append(line)
        self.size += len(line)
        self.last_path = path

    def _is_record_end(self, mark: _Mark) -> bool:
        return not self.stack or (mark.is_bracket and mark.text == "}" and not self.stack[-1].is_object)

    def _flush(self) -> Block:
        block = Block("".join(self.held))
        self.held, self.size, self.last_path = [], 0, None
        return block


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text
