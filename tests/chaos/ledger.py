"""What was handed in, what must have become of it, and what did: compared row by row with a run without faults."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from chaos.site import Row, Site
from penstock.errors import ParserCrashed, ParserMemory, ParserTimeout

CLOSE_ENOUGH = 1e-3
"""In cosine distance, between two vectors of one text: bf16 sums depend a little on the batch that the text is in."""
PARSER_CODES = {kind.code for kind in (ParserTimeout, ParserMemory, ParserCrashed)}
"""Of a file that always ends its parser: which of them it gets depends on whether a fault was quicker."""
STILL_SECONDS = 75.0
"""Without any change for so long, what is unfinished is stuck."""
CHUNKS = """
select f.name, c.index, c.text, encode(c.text_hash, 'hex') as text_hash, c.token_count, c.first_page, c.last_page,
       c.char_start, c.char_end, c.headings, c.context, c.metadata, c.language, e.embedding::text as vector
from chunks c join files f on f.file_id = c.file_id and f.active_generation = c.generation
left join embeddings e on e.chunk_id = c.chunk_id
where f.name = any(%s) order by f.name, c.index
"""
MOVING = """
select count(*) as files, coalesce(sum(generation), 0) as generations, coalesce(sum(embedded_count), 0) as embedded,
       count(*) filter (where status = 'ingesting') as ingesting,
       count(*) filter (where status = 'embedding') as embedding,
       count(*) filter (where status not in ('complete', 'failed')) as unfinished
from files
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a file: its code, or `complete`, and the rows of its Chunks."""

    code: str
    chunks: list[Row]


@dataclass
class Wanted:
    """One file that was handed in."""

    file_id: UUID
    is_deleted: bool = False


@dataclass
class Findings:
    """What is wrong with the files of a phase. All zeros is what the suite wants to see."""

    lost: int = 0
    """Not there, or failed for a reason that the run without faults does not know."""
    stuck: int = 0
    """Neither complete nor failed when nothing moves any more."""
    duplicated: int = 0
    """Twice in the rows, or Chunks of two generations, or there although deleted."""
    different: int = 0
    """Complete with other Chunks or vectors than in the run without faults."""
    largest_distance: float = 0.0
    """In cosine distance, of two vectors of the same text."""
    problems: list[str] = field(default_factory=list[str])

    def add(self, kind: str, problem: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.problems.append(f"{kind}: {problem}")


class Ledger:
    """The files of one run: written by the drivers, read by `check`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.wanted: dict[str, Wanted] = {}

    def arrived(self, name: str, file_id: UUID) -> None:
        with self._lock:
            self.wanted[name] = Wanted(file_id)

    def deleted(self, name: str) -> None:
        with self._lock:
            self.wanted[name].is_deleted = True

    def alive(self, names: Iterable[str] | None = None) -> list[tuple[str, UUID]]:
        """The files that were handed in and not deleted."""
        with self._lock:
            chosen = (
                self.wanted if names is None else {name: self.wanted[name] for name in names if name in self.wanted}
            )
            return [(name, wanted.file_id) for name, wanted in chosen.items() if not wanted.is_deleted]


def outcomes(site: Site, names: list[str]) -> dict[str, list[Outcome]]:
    """By name, what became of each File that has it."""
    chunks: dict[str, list[Row]] = {}
    for row in site.rows(CHUNKS, names):
        chunks.setdefault(row["name"], []).append(row)
    found: dict[str, list[Outcome]] = {}
    for file in site.rows("select name, status, error_code from files where name = any(%s)", names):
        code = file["error_code"] if file["status"] == "failed" else file["status"]
        found.setdefault(file["name"], []).append(Outcome(code, chunks.get(file["name"], [])))
    return found


def await_stillness(site: Site, *, still_seconds: float = STILL_SECONDS) -> float:
    """Until every File is settled and the queues are empty, or nothing moves any more; the seconds it took."""
    began = changed = time.monotonic()
    before: object = None
    while time.monotonic() - changed < still_seconds:
        (rows,), messages = site.rows(MOVING), site.broker.messages()
        if rows["unfinished"] == 0 and messages == 0:
            break
        if (rows, messages) != before:
            before, changed = (rows, messages), time.monotonic()
        time.sleep(0.1)
    return time.monotonic() - began


def check(site: Site, ledger: Ledger, names: Iterable[str], reference: Mapping[str, Outcome]) -> Findings:
    """Compare the files of these names with the run without faults. Nothing moves any more."""
    findings = Findings()
    names = [name for name in names if name in ledger.wanted]
    found = outcomes(site, names)
    for name in names:
        _check_file(findings, name, ledger.wanted[name], found.get(name, []), reference[name])
    doubles = site.rows(
        "select f.name, c.generation, c.index from chunks c join files f using (file_id)"
        " where f.name = any(%s) and f.status = 'complete' and c.generation <> f.active_generation",
        names,
    )
    for row in doubles:
        findings.add(
            "duplicated", f"{row['name']}: Chunk {row['index']} of generation {row['generation']} is left over"
        )
    return findings


def _check_file(findings: Findings, name: str, wanted: Wanted, found: list[Outcome], expected: Outcome) -> None:
    if wanted.is_deleted:
        if found:
            findings.add("duplicated", f"{name} is there although it was deleted")
        return
    if not found:
        findings.add("lost", f"{name} is not there")
        return
    if len(found) > 1:
        findings.add("duplicated", f"{name} is there {len(found)} times")
    (outcome, *_) = found
    if outcome.code in ("queued", "ingesting", "embedding"):
        findings.add("stuck", f"{name} is {outcome.code}")
    elif outcome.code != expected.code and not {outcome.code, expected.code} <= PARSER_CODES:
        findings.add("lost", f"{name} is {outcome.code}, and {expected.code} without faults")
    elif difference := _difference(findings, outcome.chunks, expected.chunks):
        findings.add("different", f"{name}: {difference}")


def _difference(findings: Findings, found: list[Row], expected: list[Row]) -> str | None:
    if len(found) != len(expected):
        return f"{len(found)} Chunks, and {len(expected)} without faults"
    for one, other in zip(found, expected, strict=True):
        for column in expected[0].keys() - {"vector"}:
            if one[column] != other[column]:
                return f"Chunk {one['index']}: {column} is {one[column]!r}, and {other[column]!r} without faults"
        distance = _distance(one["vector"], other["vector"])
        findings.largest_distance = max(findings.largest_distance, distance)
        if not distance <= CLOSE_ENOUGH:
            return f"Chunk {one['index']}: its vector is {distance:.4f} away"
    return None


def _distance(one: str | None, other: str | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    if one == other:
        return 0.0
    first, second = _vector(one), _vector(other)
    return 1 - float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def _vector(text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(text.strip("[]").split(","), dtype=np.float64)


def orphans(site: Site) -> list[str]:
    """Objects that no row knows, neither a File's nor one of those that are still to be claimed or swept."""
    known = site.rows(
        "select object_key from files union select text_key from files union select active_text_key from files"
        " union select object_key from unclaimed_objects"
    )
    named = {row["object_key"] for row in known}
    return sorted(key for key in site.objects() if key.partition("#")[0] not in named)


def unclaimed(site: Site) -> list[str]:
    """What is named but belongs to no File. Its hour is over at once: the next sweep has to take it away."""
    due = (
        "update unclaimed_objects set due_at = clock_timestamp() where due_at > clock_timestamp() returning object_key"
    )
    site.rows(due)
    return [row["object_key"] for row in site.rows("select object_key from unclaimed_objects order by object_key")]


def codes(found: Mapping[str, Outcome]) -> Counter[str]:
    return Counter(outcome.code for outcome in found.values())
