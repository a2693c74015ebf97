"""A part's log: bounded, and read for what matters at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.local import part_log
from penstock.local.part_log import OUR_READY, OUR_WARNING, PartLog


def test_log_turns_over_when_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_log, "MAX_BYTES", 20)
    log = PartLog(tmp_path / "api.log")
    for number in range(5):
        log.write(b"line %d" % number)
    log.close()
    assert log.last_lines(10) == ["line 3", "line 4"]
    assert (tmp_path / "api.log.1").read_text() == "line 0\nline 1\nline 2\n"


def test_log_that_cannot_be_written_loses_the_line_only(tmp_path: Path) -> None:
    log = PartLog(tmp_path / "missing" / "api.log")
    log.write(b"lost")
    (tmp_path / "missing").mkdir()
    log.write(b"kept")
    log.close()
    assert log.last_lines(10) == ["kept"]


@pytest.mark.parametrize(
    ("line", "is_ready", "is_warning"),
    [
        (b"12:00:01.250 info  ingester  ready                              queue=ingest-queue", True, False),
        (b'{"event": "ready", "level": "info", "role": "ingester"}', True, False),
        (b"12:00:01.250 info  ingester  not ready yet", False, False),
        (b"12:00:01.250 warn  ingester  waiting for a service", False, True),
        (b"12:00:01.250 error ingester  gave up", False, True),
        (b'{"event":"gave up","level":"error"}', False, True),
        (b"  File ready.py, line 1", False, False),
    ],
)
def test_lines_are_told_apart(line: bytes, is_ready: bool, is_warning: bool) -> None:
    assert (bool(OUR_READY.search(line)), bool(OUR_WARNING.search(line))) == (is_ready, is_warning)
