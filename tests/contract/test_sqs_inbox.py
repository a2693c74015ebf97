"""A queue that somebody else fills, on SQS over HTTP: a message is deleted when it is done, and never before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from real_servers import RunningServer, free_port

from penstock.cli.checks import check_bucket_events
from penstock.errors import EventUnusable, InvalidSettings, ServiceUnavailable
from penstock.queues import sqs_inbox
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_client import connect
from penstock.queues.sqs_inbox import SqsInbox
from penstock.queues.sqs_wire import Wire

pytestmark = pytest.mark.slow


class Sender:
    """Who fills the queue, and looks at it."""

    def __init__(self, url: str) -> None:
        self._sqs: Any = connect(sqs_address(url), connections=1)
        self.queue = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def counts(self) -> tuple[int, int]:
        """Messages that may be taken, and those that are hidden."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=list(names))["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    async def until(self, counts: tuple[int, int]) -> None:
        async with asyncio.timeout(20):
            while self.counts() != counts:
                await asyncio.sleep(0.02)


@pytest.fixture
def sender(sqs_url: str) -> Sender:
    return Sender(sqs_url)


@pytest.fixture
def inbox_url(sqs_url: str) -> str:
    return sqs_url.replace("/test?", "/inbox?")


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[SqsInbox]:
    inbox = SqsInbox(url, poll_seconds=1)
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


async def test_each_message_is_done_then_deleted(sender: Sender, inbox_url: str) -> None:
    bodies = {str(number) for number in range(12)}
    sender.send(*bodies)
    done: list[str] = []
    seen_on_the_queue: list[tuple[int, int]] = []

    async def take(body: str) -> None:
        seen_on_the_queue.append(sender.counts())
        done.append(body)

    async with opened(inbox_url) as inbox, inbox.consumed_by(take):
        await sender.until((0, 0))
    assert set(done) == bodies
    assert all(hidden for _, hidden in seen_on_the_queue), "it is there while it is being done"


async def test_a_message_waits_in_our_hands_for_a_service_that_is_away(
    sender: Sender, inbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_inbox, "FIRST_PAUSE", 0.001)
    sender.send("one")
    tries = 0

    async def take(body: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ServiceUnavailable
        assert sender.counts() == (0, 1)

    with structlog.testing.capture_logs() as logs:
        async with opened(inbox_url) as inbox, inbox.consumed_by(take):
            await sender.until((0, 0))
    assert tries == 4
    assert [line["code"] for line in logs] == ["service_unavailable"], "said once"


@pytest.mark.parametrize(
    ("error", "code"), [(EventUnusable("no event"), "event_unusable"), (ZeroDivisionError(), "internal_error")]
)
async def test_what_cannot_be_followed_is_put_back_and_keeps_nothing_waiting(
    sender: Sender, inbox_url: str, error: Exception, code: str
) -> None:
    sender.send("poison", "good")
    done: list[str] = []

    async def take(body: str) -> None:
        if body == "poison":
            raise error
        done.append(body)

    with structlog.testing.capture_logs() as logs:
        async with opened(inbox_url) as inbox, inbox.consumed_by(take):
            await sender.until((0, 1))
            sender.send("better")
            async with asyncio.timeout(20):
                while len(done) < 2:
                    await asyncio.sleep(0.01)
    assert done == ["good", "better"]
    (told,) = [line for line in logs if line["event"] == "a message about the bucket is put back"]
    assert (told["code"], told["receives"], told["seconds"]) == (code, 1, 60)
    await sender.until((0, 1))


async def test_what_waits_too_long_for_a_service_is_put_back(
    sender: Sender, inbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_inbox, "HELD_SECONDS", 0.0)
    sender.send("one", "two")

    async def take(body: str) -> None:
        if body == "one":
            raise ServiceUnavailable

    async with opened(inbox_url) as inbox, inbox.consumed_by(take):
        await sender.until((0, 1))


async def test_who_stops_gives_back_what_is_not_done(sender: Sender, inbox_url: str) -> None:
    sender.send("one")
    begun = asyncio.Event()

    async def take(body: str) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with opened(inbox_url) as inbox:
        async with inbox.consumed_by(take):
            await begun.wait()
            assert sender.counts() == (0, 1)
        assert sender.counts() == (1, 0)


async def test_what_comes_while_we_stop_is_given_back(sender: Sender, inbox_url: str) -> None:
    """A long poll cannot be called off."""
    taken: list[str] = []

    async def take(body: str) -> None:
        taken.append(body)

    async with opened(inbox_url) as inbox:
        async with inbox.consumed_by(take):
            while inbox._poll is None:
                await asyncio.sleep(0.01)
        sender.send("one")
    assert (taken, sender.counts()) == ([], (1, 0))


async def test_a_lease_is_renewed_while_we_work(
    sender: Sender, inbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_inbox, "LEASE_SECONDS", 1)
    monkeypatch.setattr(sqs_inbox, "RENEW_SECONDS", 0.3)
    sender.send("one")
    taken: list[str] = []
    renew, renewals = Wire.renew, 0

    async def counted(wire: Wire, queue: str, handles: Sequence[str], seconds: int) -> set[str]:
        nonlocal renewals
        renewals += bool(handles)
        return await renew(wire, queue, handles, seconds)

    monkeypatch.setattr(Wire, "renew", counted)

    async def take(body: str) -> None:
        taken.append(body)
        while renewals < 4:  # so the lease would be over
            await asyncio.sleep(0.01)
        assert sender.counts() == (0, 1)

    async with opened(inbox_url) as inbox, inbox.consumed_by(take):
        await sender.until((0, 0))
    assert taken == ["one"]


async def test_a_queue_that_is_not_there_is_not_made(sender: Sender, inbox_url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"PENSTOCK_BUCKET_EVENTS_URL: There is no queue nobody\."):
        async with opened(inbox_url.replace("/inbox", "/nobody")):
            pass


async def test_a_queue_that_is_deleted_and_made_again_is_found(
    sender: Sender, inbox_url: str, aws_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_inbox, "PAUSE_SECONDS", 0.01)
    away = asyncio.Event()

    def say(_inbox: SqsInbox, _error: Exception) -> None:
        away.set()

    monkeypatch.setattr(SqsInbox, "_say", say)
    taken = asyncio.Event()

    async def take(body: str) -> None:
        taken.set()

    async with opened(inbox_url) as inbox, inbox.consumed_by(take):
        sender._sqs.delete_queue(QueueUrl=sender.queue)
        async with asyncio.timeout(20):
            await away.wait()
            sender._sqs.create_queue(QueueName="inbox")
            sender.send("one")
            await taken.wait()


def test_the_doctor_finds_the_queue_and_takes_nothing_from_it(sender: Sender, inbox_url: str) -> None:
    sender.send("1")
    check = check_bucket_events(inbox_url)
    assert (check.state, check.found) == ("ok", f"{inbox_url} is there")
    assert sender.counts() == (1, 0)


def test_the_doctor_says_that_there_is_no_such_queue_or_no_sqs(inbox_url: str) -> None:
    missing = check_bucket_events(inbox_url.replace("/inbox?", "/outbox?"))
    assert missing.state == "error"
    assert "outbox" in missing.found
    assert "let S3 send to it" in (missing.advice or "")
    away = check_bucket_events(f"sqs://eu-central-1/inbox?endpoint=http://127.0.0.1:{free_port()}")
    assert away.state == "error"
    assert "PENSTOCK_BUCKET_EVENTS_URL" in (away.advice or "")
    nameless = check_bucket_events("sqs://eu-central-1")
    assert nameless.state == "error"
    assert "the queue has no name" in nameless.found
