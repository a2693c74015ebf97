"""What one `penstock add` has come to: its rows, its counts, and which stage was its bottleneck."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from penstock.cli.client import BatchSums
from penstock.errors import PenstockError
from penstock.models import Failure, File, FileStatus

Stage = Literal["upload", "ingestion", "embedding"]
HARDLY_ANY = 8
"""Files behind the uploads: with fewer than that the Workers take what comes at once, and wait for more."""


class Row(BaseModel):
    """One line of `add --json`: a file that was given, and what became of it."""

    file_id: UUID | None
    """None if it could not be handed in."""
    name: str
    status: FileStatus
    chunk_count: int
    unread_pages: list[int] = Field(default_factory=list[int])
    error: Failure | None

    @classmethod
    def of_file(cls, file: File) -> Self:
        """A File as it is now."""
        return cls(
            file_id=file.file_id,
            name=file.name,
            status=file.status,
            chunk_count=file.chunk_count,
            unread_pages=file.unread_pages,
            error=file.error,
        )

    @classmethod
    def of_error(cls, name: str, error: PenstockError, file_id: UUID | None = None) -> Self:
        """A file that did not become a File, or is one no more."""
        failure = Failure(code=error.code, message=error.message)
        return cls(file_id=file_id, name=name, status=FileStatus.FAILED, chunk_count=0, error=failure)


@dataclass
class StageClock:
    """Shares the time out among the stages: each moment belongs to the one that most Files wait for.

    What waits is what the server counts, each time that the sums of the batch are asked for, up to once a second;
    shorter waits are not seen. A moment at which nothing waits belongs to no stage.
    """

    seconds: dict[Stage, float] = field(default_factory=lambda: {"upload": 0.0, "ingestion": 0.0, "embedding": 0.0})
    _last: float | None = None

    def sample(self, now: float, sums: BatchSums, *, uploading: bool) -> None:
        """Give the time since the last sample to the stage that `sums` show as the narrow one."""
        if self._last is not None and (stage := narrowest(sums, uploading=uploading)):
            self.seconds[stage] += now - self._last
        self._last = now

    @property
    def bottleneck(self) -> Stage | None:
        """The stage with most of the time: more of it makes the whole faster. None if nothing was seen to wait."""
        stage = max(self.seconds, key=lambda stage: self.seconds[stage])
        return stage if self.seconds[stage] > 0 else None


def narrowest(sums: BatchSums, *, uploading: bool) -> Stage | None:
    """The stage with the longest line of Files before it; None where no File is unfinished.

    For `ingestion` wait those that are queued or being parsed, for `embedding` those whose Chunks are recorded and lack
    vectors; where the lines are equal it is `embedding`, which is the longer work. It is the `upload` while
    that goes on and fewer than `HARDLY_ANY` Files are unfinished behind it.
    """
    ingestion = sums.files.get(FileStatus.QUEUED, 0) + sums.files.get(FileStatus.INGESTING, 0)
    embedding = sums.files.get(FileStatus.EMBEDDING, 0)
    if uploading and ingestion + embedding < HARDLY_ANY:
        return "upload"
    if not ingestion and not embedding:
        return None
    return "ingestion" if ingestion > embedding else "embedding"


@dataclass
class Tally:
    """Counts of one `add`, kept up to date while it runs; the displays read it."""

    found: int = 0
    """Files seen so far under the paths given."""
    total: int | None = None
    """Files to come in all; None until they are counted."""
    handed_in: int = 0
    already_there: int = 0
    failed: int = 0
    settled: int = 0
    """Files with a final row: complete, failed, or not handed in."""
    sent_bytes: int = 0
    pages: int = 0
    chunks: int = 0
    unread_pages: int = 0
    sums: BatchSums | None = None
    all_handed_in: bool = False
    clock: StageClock = field(default_factory=StageClock)

    @property
    def progress(self) -> tuple[object, ...]:
        """Equal to an earlier one as long as nothing moves."""
        return (self.found, self.sent_bytes, self.handed_in, self.settled, self.sums)

    def settle(self, row: Row) -> None:
        """Count a final row."""
        self.settled += 1
        self.failed += row.status is FileStatus.FAILED

    def count(self, file: File) -> None:
        """Count what is in a File that this `add` handed in."""
        self.pages += file.page_count or 0
        self.chunks += file.chunk_count
        self.unread_pages += len(file.unread_pages)


def summary(tally: Tally, seconds: float, *, waited: bool) -> str:
    """The last line: what came of it, how fast, and what to widen to make it faster."""
    parts = [counted(tally.found, "file")]
    if waited and tally.handed_in:
        parts += [counted(tally.pages, "page")] if tally.pages else []
        parts += [counted(tally.chunks, "chunk")]
    line = f"{', '.join(parts)} in {seconds:.1f} s"
    if waited and tally.chunks:
        rate = f"{tally.chunks / seconds:,.0f} chunks/s"
        line += f" ({rate}; {_bottleneck(tally.clock)})"
    if not waited and tally.handed_in:
        line += f"; {tally.handed_in:,} handed in, the work goes on (`penstock queues`)"
    if tally.already_there:
        line += f"; {tally.already_there:,} already there"
    if tally.unread_pages:
        line += f"; {counted(tally.unread_pages, 'page')} not read (`penstock status ID`)"
    return f"{line}; {tally.failed:,} failed" if tally.failed else line


def _bottleneck(clock: StageClock) -> str:
    stage = clock.bottleneck
    return f"{stage} was the bottleneck, for {clock.seconds[stage]:.1f} s" if stage else "nothing was seen to wait"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
