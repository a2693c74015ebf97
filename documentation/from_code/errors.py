"""What the tree in `penstock.errors` says of each code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from from_code.marks import code, table
from penstock.api.problems import STATUSES
from penstock.errors import FileError, PenstockError, SetupError

ENTRY = re.compile(r"^### `(\w+)`", re.MULTILINE)
"""The heading of a code on the page of failures."""


def kinds() -> dict[str, type[PenstockError]]:
    """The error of each code, in the order of the tree."""
    found: dict[str, type[PenstockError]] = {}
    for kind in _below(PenstockError):
        found.setdefault(kind.code, kind)  # what other modules derive shares the code of its kind
    return found


def _below(kind: type[PenstockError]) -> Iterator[type[PenstockError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _below(each)


def without_entry(page: str) -> tuple[list[str], list[str]]:
    """The codes that the page has no entry for, and the entries that no code or a second one has."""
    entries = ENTRY.findall(page)
    known = kinds()
    wrong = [entry for entry in entries if entry not in known or entries.count(entry) > 1]
    return [each for each in known if each not in entries], wrong


def facts(name: str) -> str:
    """What is said where nothing more exact is known, and what becomes of the work and the request."""
    kind = kinds()[name]
    told = [f"> {kind().message}", "", f"*{_becomes(kind)}*"]
    return "\n".join(told)


def _becomes(kind: type[PenstockError]) -> str:
    if issubclass(kind, SetupError):
        return f"The command ends with exit status {kind.exit_status}. Nothing is tried again."
    if not kind.transient:
        tried = "Not tried again."
    elif kind.burns_attempt:
        tried = "Tried again, up to `PENSTOCK_QUEUE_MAX_ATTEMPTS` times."
    else:
        tried = "Tried again until it succeeds; no attempt is counted."
    return f"{tried} {_over_http(kind)}".strip()


def _over_http(kind: type[PenstockError]) -> str:
    if kind is PenstockError:
        return "Over HTTP: 500."
    told = [
        each for each in kind.__mro__ if issubclass(each, PenstockError) and each is not FileError
    ]  # it is the File's
    statuses = [STATUSES[each] for each in told if each in STATUSES]
    return f"Over HTTP: {statuses[0]}." if statuses else ""


def index() -> str:
    """A table of all codes, each with a link to its entry on the same page."""
    rows = [(f"[{code(name)}](#{name})", kind().message) for name, kind in kinds().items()]
    return table(("code", "says, where nothing more exact is known"), rows)
