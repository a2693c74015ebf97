"""Counting an `add`: rates, the bottleneck, the last line."""

from __future__ import annotations

import pytest

from penstock.cli.client import BatchSums
from penstock.cli.display import counts, expected_chunks, told
from penstock.cli.tally import Row, StageClock, Tally, narrowest, summary
from penstock.models import FileStatus


def sums(*, queued: int = 0, ingesting: int = 0, embedding: int = 0, complete: int = 0, chunks: int = 0) -> BatchSums:
    files = {
        FileStatus.QUEUED: queued,
        FileStatus.INGESTING: ingesting,
        FileStatus.EMBEDDING: embedding,
        FileStatus.COMPLETE: complete,
    }
    return BatchSums(files=files, bytes=0, pages=0, chunks=chunks, embedded=0)


@pytest.mark.parametrize(
    ("found", "uploading", "stage"),
    [
        (sums(queued=50, embedding=3), True, "ingestion"),
        (sums(queued=2, ingesting=1, embedding=30), True, "embedding"),
        (sums(ingesting=2, complete=90), True, "upload"),  # hardly anything waits: the uploads do not keep up
        (sums(ingesting=2, complete=90), False, "ingestion"),
        (sums(ingesting=1, embedding=1), False, "embedding"),
        (sums(complete=5), False, None),
    ],
)
def test_the_narrowest_stage_has_the_longest_line_before_it(
    found: BatchSums, uploading: bool, stage: str | None
) -> None:
    assert narrowest(found, uploading=uploading) == stage


def test_the_bottleneck_had_most_of_the_time() -> None:
    clock = StageClock()
    assert clock.bottleneck is None
    for now, found in [(0, sums(queued=9)), (2, sums(queued=5)), (3, sums(embedding=9)), (9, sums(embedding=1))]:
        clock.sample(now, found, uploading=False)
    assert clock.bottleneck == "embedding"
    assert clock.seconds == {"upload": 0, "ingestion": 2, "embedding": 7}


def test_a_moment_at_which_nothing_waits_belongs_to_no_stage() -> None:
    clock = StageClock()
    for now, found in [(0, sums(complete=3)), (5, sums(complete=3)), (6, sums(embedding=1)), (8, sums(complete=4))]:
        clock.sample(now, found, uploading=False)
    assert clock.seconds == {"upload": 0, "ingestion": 0, "embedding": 1}


def finished(**counted: int) -> Tally:
    tally = Tally(**counted)  # pyright: ignore[reportArgumentType]  # all of these are numbers
    tally.clock.sample(0, sums(embedding=1), uploading=False)
    tally.clock.sample(1, sums(embedding=1), uploading=False)
    return tally


@pytest.mark.parametrize(
    ("tally", "line"),
    [
        (
            finished(found=10, handed_in=10, pages=41, chunks=123, failed=1),
            "10 files, 41 pages, 123 chunks in 3.2 s (38 chunks/s; embedding was the bottleneck, for 1.0 s); 1 failed",
        ),
        (finished(found=1, handed_in=1, pages=1, chunks=1), "1 file, 1 page, 1 chunk in 3.2 s (0 chunks/s; embedding"),
        (
            finished(found=1, handed_in=1, pages=9, chunks=1, unread_pages=4),
            "1 file, 9 pages, 1 chunk in 3.2 s (0 chunks/s; embedding was the bottleneck, for 1.0 s); 4 pages not read",
        ),
        (
            Tally(found=1, handed_in=1, pages=1, chunks=2),  # settled before anybody looked
            "1 file, 1 page, 2 chunks in 3.2 s (1 chunks/s; nothing was seen to wait)",
        ),
        (finished(found=2, already_there=2), "2 files in 3.2 s; 2 already there"),
        (finished(found=1, failed=1), "1 file in 3.2 s; 1 failed"),
        (Tally(), "0 files in 3.2 s"),
    ],
)
def test_the_last_line(tally: Tally, line: str) -> None:
    assert summary(tally, 3.2, waited=True).startswith(line)


def test_chunks_to_come_are_guessed_from_those_that_came() -> None:
    tally = Tally(sums=sums(queued=75, complete=25, chunks=50))
    assert expected_chunks(tally, ingested=25, files=100) == 200
    assert expected_chunks(tally, ingested=0, files=100) is None
    assert expected_chunks(tally, ingested=25, files=None) is None


def test_the_counts_so_far() -> None:
    tally = Tally(found=2000, handed_in=1500, settled=7, failed=2, sums=sums(chunks=1234))
    assert counts(tally) == "7 of 2,000 files settled, 1,500 uploaded, 0 of 1,234 chunks embedded, 2 failed"


def test_the_line_of_a_file_says_which_pages_were_not_read() -> None:
    row = Row(file_id=None, name="a.pdf", status=FileStatus.COMPLETE, chunk_count=3, unread_pages=[3, 7, 8], error=None)
    assert told(row) == "complete  a.pdf  3 chunks  pages not read: 3, 7-8"
