"""Log lines: one an event, aligned or JSON, no secret in them, the standard library's among them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from penstock.logs import configure, mask_secrets, render_text
from penstock.settings import LogSettings


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest finds it
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def masked(**event: Any) -> dict[str, Any]:
    return dict(mask_secrets(None, "info", event))


def test_passwords_in_urls_are_masked_wherever_they_stand() -> None:
    found = masked(
        event="connecting to postgresql://ada:s3cret@db:5432/penstock",
        urls=["redis://:s3cret@queue", {"deep": "https://u:s3c@ret@h/p"}],
        error=ValueError("no answer from redis://:s3cret@queue"),
        dsn="host=db password=s3cret user=ada",
    )
    assert "s3c" not in json.dumps(found)
    assert "postgresql://ada:********@db:5432/penstock" in found["event"]
    assert "user=ada" in found["dsn"]


@pytest.mark.parametrize("key", ["password", "api_key", "database_password", "Authorization", "token"])
def test_secret_keys_are_masked(key: str) -> None:
    assert masked(**{key: "s3cret"}) == {key: "********"}


def test_counts_of_tokens_are_no_secrets() -> None:
    assert masked(token_count=12, tokens=3, url="http://api:8321/files") == {
        "token_count": 12,
        "tokens": 3,
        "url": "http://api:8321/files",
    }


def test_a_text_line_is_aligned_and_cannot_be_forged() -> None:
    line = render_text(
        None,
        "info",
        {
            "timestamp": "2026-01-02T12:00:01.250000Z",
            "level": "warning",
            "role": "api",
            "event": "file\nrecorded",
            "name": "a b\nerror api",
            "seconds": 1.25,
        },
    )
    assert line == r"12:00:01.250 warn  api       file\nrecorded                     name='a b\nerror api' seconds=1.25"


def test_json_lines_hold_ours_and_the_standard_librarys_events(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"), role="ingester")
    structlog.get_logger().info("file complete", file_id="f1", seconds=1.5)
    logging.getLogger("uvicorn.error").warning("slow %s at redis://:s3cret@queue", "client", extra={"bytes": 7})
    logging.getLogger("httpx").info("HTTP Request: nobody wants to read this")
    structlog.get_logger().debug("below the level")
    ours, theirs = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    assert ours["event"] == "file complete"
    assert ours | {"role": "ingester", "level": "info", "file_id": "f1", "seconds": 1.5} == ours
    assert theirs["event"] == "slow client at redis://:********@queue"
    assert theirs["bytes"] == 7


def test_an_exception_is_told_with_its_traceback_but_not_its_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"), role="api")
    try:
        raise ConnectionError("redis://:s3cret@queue is away")  # the traceback is the point
    except ConnectionError:
        structlog.get_logger().exception("queue lost")
    event = json.loads(capfd.readouterr().err)
    assert "ConnectionError: redis://:********@queue is away" in event["exception"]
    assert "s3cret" not in event["exception"]


def test_text_without_a_terminal_has_no_colour(capfd: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(), role="api")
    structlog.get_logger().error("no such luck", code="gave_up")
    line = capfd.readouterr().err
    assert "\x1b" not in line
    assert line.rstrip().endswith("code=gave_up")
    assert " error api       no such luck" in line
