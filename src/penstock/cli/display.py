"""The looks of `penstock add`: bars on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from penstock.cli.output import harmless, print_note
from penstock.cli.tally import Row, Tally, counted, summary
from penstock.models import FileStatus, page_ranges

MOST_PLAIN_ROWS = 100
"""So many files get a line of their own where there is no terminal; then a line every few seconds tells the counts."""
PLAIN_SUMMARY_SECONDS = 5.0


class Display:
    """Shows an `add` while it runs: entered before the first row and left after the last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def tell(self, row: Row) -> None:
        """A file is settled, or handed in when nobody waits."""

    def refresh(self, tally: Tally) -> None:
        """Called a few times a second."""

    def note(self, text: str) -> None:
        """Tell the person who waits."""
        print_note(text)

    def end(self, tally: Tally, seconds: float, *, waited: bool) -> None:
        """Called last, unless something stopped it: all is settled, or handed in when nobody `waited`."""


class JsonLines(Display):
    """One JSON object a row on stdout."""

    def tell(self, row: Row) -> None:
        write_json_line(row)


class PlainLines(Display):
    """A line a row, or one every few seconds once there are many; failures always."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows = 0
        self._next_summary = time.monotonic() + PLAIN_SUMMARY_SECONDS

    def tell(self, row: Row) -> None:
        self._rows += 1
        if self._rows <= MOST_PLAIN_ROWS or row.status is FileStatus.FAILED:
            self._out.write(told(row) + "\n")
            self._out.flush()

    def refresh(self, tally: Tally) -> None:
        now = time.monotonic()
        if now >= self._next_summary and tally.found > MOST_PLAIN_ROWS:
            self._next_summary = now + PLAIN_SUMMARY_SECONDS
            self._out.write(counts(tally) + "\n")
            self._out.flush()

    def end(self, tally: Tally, seconds: float, *, waited: bool) -> None:
        self._out.write(summary(tally, seconds, waited=waited) + "\n")
        self._out.flush()


class Bars(Display):
    """A bar for each stage, and each failure above them as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Amount(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # else JSON lines for stdout end up among the bars
            redirect_stderr=False,
            speed_estimate_period=10,
            expand=True,
        )
        self._uploaded = self._bar("uploaded", "files")
        self._ingested = self._bar("ingested", "files")
        self._embedded = self._bar("embedded", "chunks")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tell(self, row: Row) -> None:
        if row.status is FileStatus.FAILED:
            self._console.print(Text(told(row), style="red"))

    def note(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"))

    def refresh(self, tally: Tally) -> None:
        new = None if tally.total is None else tally.total - tally.already_there
        self._progress.update(
            self._uploaded, completed=tally.handed_in, total=new, remark=f", {tally.sent_bytes / 1e6:,.1f} MB"
        )
        if sums := tally.sums:
            ingested = sum(sums.files.values()) - _before_embedding(tally)
            self._progress.update(self._ingested, completed=ingested, total=new)
            self._progress.update(self._embedded, completed=sums.embedded, total=expected_chunks(tally, ingested, new))
        self._progress.refresh()

    def end(self, tally: Tally, seconds: float, *, waited: bool) -> None:
        self._console.print(Text(summary(tally, seconds, waited=waited)))

    def _bar(self, description: str, unit: str) -> TaskID:
        return self._progress.add_task(description, total=None, unit=unit, remark="")


class JsonAndBars(Bars):
    """JSON lines on stdout for a program, while a person watches the bars on stderr."""

    def tell(self, row: Row) -> None:
        write_json_line(row)


class _Amount(ProgressColumn):
    """As in `120/1,000 files`."""

    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total} {task.fields['unit']}{task.fields['remark']}", justify="right")


class _Rate(ProgressColumn):
    """As in `38 chunks/s`, over the last ten seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {task.fields['unit']}/s", justify="right")


def write_json_line(row: Row) -> None:
    """A row as one JSON object on stdout, at once: the reader may act on it."""
    sys.stdout.write(row.model_dump_json() + "\n")
    sys.stdout.flush()


def told(row: Row) -> str:
    """A row as one line."""
    name = harmless(row.name)
    if row.error is not None:
        return f"{row.status:<9} {name}  {row.error.code}: {harmless(row.error.message)}"
    chunks = f"  {counted(row.chunk_count, 'chunk')}" if row.status is FileStatus.COMPLETE else ""
    unread = f"  pages not read: {page_ranges(row.unread_pages)}" if row.unread_pages else ""
    return f"{row.status:<9} {name}{chunks}{unread}"


def counts(tally: Tally) -> str:
    """The counts so far as one line."""
    line = f"{tally.settled:,} of {tally.found:,} files settled, {tally.handed_in:,} uploaded"
    if sums := tally.sums:
        line += f", {sums.embedded:,} of {sums.chunks:,} chunks embedded"
    return f"{line}, {tally.failed:,} failed" if tally.failed else line


def expected_chunks(tally: Tally, ingested: int, files: int | None) -> int | None:
    """How many Chunks there will be if the Files to come are like those already ingested."""
    if tally.sums is None or not ingested or files is None:
        return None
    return max(round(tally.sums.chunks * files / ingested), tally.sums.chunks)


def _before_embedding(tally: Tally) -> int:
    files = tally.sums.files if tally.sums else {}
    return files.get(FileStatus.QUEUED, 0) + files.get(FileStatus.INGESTING, 0)
