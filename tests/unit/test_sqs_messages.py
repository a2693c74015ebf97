"""What is sent to SQS and read from it, without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidSettings
from penstock.queues.sqs_address import SqsAddress, sqs_address
from penstock.queues.sqs_messages import MOST_BYTES, MOST_ENTRIES, Entry, Received, batches, harmless

NOW = datetime(2026, 11, 27, tzinfo=UTC)
FRESH = Received("id", "handle", "{}", {}, NOW, receives=1)


def sent_again(received: Received, **copy: Any) -> Received:
    """The copy, in the hands of the first who is handed it."""
    return replace(received, attributes=received.copy(**copy).attributes, sent_at=datetime.now(UTC), receives=1)


def test_an_attempt_that_ended_counts_and_one_that_is_free_does_not() -> None:
    tried = sent_again(FRESH, counts=True, delay=2)
    assert (tried.attempt, tried.suspect) == (2, False)
    free = sent_again(tried, counts=False)
    assert (free.attempt, free.suspect) == (2, False)
    assert free.published_at == NOW, "it is as old as the first of its copies"


def test_who_was_handed_a_message_and_said_nothing_makes_it_a_suspect() -> None:
    suspect = replace(FRESH, receives=2)
    assert (suspect.attempt, suspect.suspect) == (2, True)
    put_back = sent_again(suspect, counts=False)
    assert (put_back.attempt, put_back.suspect) == (2, True), "as it was: it has still to be tried alone"
    died_again = replace(put_back, receives=3)
    assert (died_again.attempt, died_again.suspect) == (4, True)
    came_to_an_end = sent_again(died_again, counts=True)
    assert (came_to_an_end.attempt, came_to_an_end.suspect) == (5, False)


@pytest.mark.parametrize(
    "attributes",
    [
        {"attempts": "many"},
        {"attempts": "9" * 5_000},
        {"published_at": "yesterday"},
        {"published_at": "2026-11-27T00:00:00"},
    ],
)
def test_attributes_that_are_not_ours_change_nothing(attributes: dict[str, str]) -> None:
    strange = replace(FRESH, attributes=attributes)
    assert (strange.attempt, strange.suspect, strange.published_at) == (1, False, NOW)


@given(sizes=st.lists(st.integers(1, MOST_BYTES), max_size=40))
def test_a_request_is_as_full_as_it_may_be(sizes: list[int]) -> None:
    entries = [Entry("x" * size) for size in sizes]
    made = list(batches(entries))
    assert [entry for batch in made for entry in batch] == entries
    for batch, following in zip(made, [*made[1:], None], strict=False):
        size = sum(entry.size for entry in batch)
        assert 1 <= len(batch) <= MOST_ENTRIES
        assert size <= MOST_BYTES
        assert following is None or len(batch) == MOST_ENTRIES or size + following[0].size > MOST_BYTES


def test_the_size_of_a_message_is_in_bytes_and_with_its_attributes() -> None:
    assert Entry("ü", {"reason": "é"}).size == 2 + len("reason") + len("String") + 2


@given(text=st.text(st.characters(codec=None)))
def test_whatever_a_reason_says_sqs_takes_it(text: str) -> None:
    kept = harmless(text)
    assert kept
    kept.encode()
    assert all(character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff") for character in kept)
    assert harmless(kept) == kept


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqs://eu-central-1/acme", SqsAddress("eu-central-1", "acme", None)),
        ("sqs://eu-central-1", SqsAddress("eu-central-1", "", None)),
        ("sqs:///", SqsAddress(None, "", None)),
        (
            "sqs://eu-central-1/acme?endpoint=http://127.0.0.1:5000",
            SqsAddress("eu-central-1", "acme", "http://127.0.0.1:5000"),
        ),
    ],
)
def test_where_the_queues_are(url: str, address: SqsAddress) -> None:
    assert sqs_address(url) == address


def test_the_names_of_queues_begin_with_the_prefix() -> None:
    assert sqs_address("sqs:///acme").name_of("ingest-queue") == "acme-ingest-queue"
    assert sqs_address("sqs:///").name_of("ingest-queue") == "ingest-queue"
    assert len(sqs_address("sqs:///" + "a" * 48).name_of("embedding-queue-dead-letters")) <= 80


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqs://key:s3cret@eu-central-1/acme", "credentials do not belong there"),
        ("sqs://eu-central-1/acme?endpoints=x", "only option is endpoint, not endpoints"),
        ("sqs://eu-central-1/acme?endpoint=127.0.0.1:5000", "no http:// or https:// URL"),
        ("sqs://eu-central-1/a.b", "the prefix"),
        ("sqs://eu-central-1/a/b", "the prefix"),
        ("sqs://eu_central/", "the region"),
    ],
)
def test_what_is_no_address_is_said_so(url: str, problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem) as error:
        sqs_address(url)
    assert "s3cret" not in error.value.message
