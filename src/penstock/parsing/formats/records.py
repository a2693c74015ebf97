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
from penstock.parsing.encoding import decoded, lines
from penstock.parsing.formats.markup import markdown_blocks

LONGEST_RECORD = 8 * 1024
"""Characters of `path: value` lines in one Block."""
MAX_DEPTH = 64
"""Deeper containers count as one level: no document of words is so deep, and paths would grow without measure."""

_TOKEN = re.compile(r'\s*(?:(")|([{}\[\]:,])|([^\s{}\[\]:,"]+))')
_STRING = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)


def read_json(path: Path) -> Iterator[Block]:
    """Lines of `path: value`, one Block for each object of a list, for each line of JSON Lines."""
    return _Walker().read(_marks(lines(path)))


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


def _marks(pieces: Iterable[str]) -> Iterator[str]:
    """JSON marks of text that comes in pieces; a string mark keeps its opening quote and its escapes."""
    string: list[str] = []
    rest = ""
    for piece in pieces:
        text, at = rest + piece, 0
        rest = ""
        while at < len(text):
            if string:
                found = _STRING.match(text, at)
                string.append(text[at : found.end(1) - len(found[1])] if found else "")
                at = found.end() if found else len(text)
                if found and found[1]:
                    yield "".join(string)
                    string = []
                elif at < len(text):  # a backslash, whose escaped character comes with the next piece
                    rest, at = text[at:], len(text)
            elif found := _TOKEN.match(text, at):
                at = found.end()
                if found[1]:
                    string.append('"')
                elif found[3] and at == len(text) and not text.endswith("\n"):
                    rest = found[3]  # a number or a name that may go on in the next piece
                else:
                    yield found[2] or found[3]
            else:
                break
    if string or rest:
        yield "".join(string) or rest


@dataclass
class _Container:
    """An object or array that is open; `key` is where we are in an object."""

    is_object: bool
    key: str | None = None
    empty: bool = True


@dataclass
class _Walker:
    """Follows the marks and writes down each value with its path."""

    stack: list[_Container] = field(default_factory=list[_Container])
    held: list[str] = field(default_factory=list[str])
    size: int = 0
    last_path: str | None = None
    too_deep: int = 0

    def read(self, marks: Iterable[str]) -> Iterator[Block]:
        for mark in marks:
            self._take(mark)
            if self.held and (self.size > LONGEST_RECORD or self._at_record_end(mark)):
                yield self._flush()
        yield self._flush()

    def _take(self, mark: str) -> None:
        if mark in "{[":
            self._open(is_object=mark == "{")
        elif mark in "}]":
            self._close()
        elif mark == ",":
            self._forget_key()
        elif mark != ":":
            self._scalar(mark)

    def _open(self, *, is_object: bool) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self.too_deep += 1
            return
        if self.stack:
            self.stack[-1].empty = False
        self.stack.append(_Container(is_object))

    def _close(self) -> None:
        if self.too_deep:
            self.too_deep -= 1
            return
        if self.stack and self.stack.pop().empty:
            self._write("")
        self._forget_key()

    def _forget_key(self) -> None:
        if self.stack and self.stack[-1].is_object:
            self.stack[-1].key = None

    def _scalar(self, mark: str) -> None:
        value = _unescaped(mark) if mark[0] == '"' else mark
        top = self.stack[-1] if self.stack else None
        if top and top.is_object and top.key is None:
            top.key = value
            return
        self._write(value)
        if top:
            top.empty = False

    def _write(self, value: str) -> None:
        path = ".".join(container.key for container in self.stack if container.key)
        if path == self.last_path and self.stack and not self.stack[-1].is_object:
            line = f", {value}"
        else:
            line = "\n" + (f"{path}: {value}" if path else value)
        self.held.append(line)
        self.size += len(line)
        self.last_path = path

    def _at_record_end(self, mark: str) -> bool:
        return not self.stack or (mark == "}" and not self.stack[-1].is_object)

    def _flush(self) -> Block:
        block = Block("".join(self.held))
        self.held, self.size, self.last_path = [], 0, None
        return block


def _unescaped(mark: str) -> str:
    try:
        return str(json.loads(f'{mark}"', strict=False))
    except ValueError:
        return mark[1:]
