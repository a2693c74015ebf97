"""The statements of queries.sql, by name."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_STATEMENT = re.compile(r"^-- name: (\w+)\n((?:--[^\n]*\n)+)(.*?);\s*$", re.MULTILINE | re.DOTALL)


@cache
def _statements() -> dict[str, bytes]:
    source = files("penstock.database").joinpath("queries.sql").read_text()
    return {name: text.encode() for name, _sentence, text in _STATEMENT.findall(source)}


def statement(name: str) -> bytes:
    """The SQL of the statement called `name`."""
    return _statements()[name]
