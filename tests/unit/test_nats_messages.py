"""What is read from NATS' addresses and subjects, and the rules of the ledger, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from penstock.errors import InvalidSettings
from penstock.queues.nats_address import NatsAddress, nats_address
from penstock.queues.nats_messages import Entry, Handout, entry_from, handout_of
from penstock.settings import BROKERS, Broker, broker_of, load_settings, mask

STORED = 1_795_792_253_482_926_374
FIRST, SECOND = Handout(5, 1, 10, STORED), Handout(5, 2, 17, STORED)


def test_the_subject_of_an_acknowledgement_says_which_handout_it_is() -> None:
    old = f"$JS.ACK.acme-ingest-queue.penstock.2.5.17.{STORED}.3"
    new = f"$JS.ACK.hub.ACCHASH.acme-ingest-queue.penstock.2.5.17.{STORED}.3.random"
    assert handout_of(old) == handout_of(new) == SECOND
    assert handout_of(new.removesuffix(".random")) == SECOND
    assert SECOND.stored_at.isoformat().startswith("2026-11-27T15:10:53.482926")


def test_an_attempt_that_ended_counts_and_one_that_is_free_does_not() -> None:
    begun = Entry(STORED).begun(FIRST)
    assert (begun.began, begun.suspect, begun.held, begun.handout) == (1, True, True, 10)
    counted = begun.given_back(began=True, counts=True)
    assert (counted.began, counted.suspect, counted.held) == (1, False, False)
    free = begun.given_back(began=True, counts=False)
    assert (free.began, free.suspect, free.held) == (0, False, False)


def test_who_ended_without_a_word_makes_a_suspect_until_one_comes_to_its_end() -> None:
    suspect = Entry(STORED).begun(FIRST).claimed(SECOND)
    assert (suspect.began, suspect.suspect, suspect.handout) == (1, True, 17)
    put_back = suspect.given_back(began=False, counts=False)
    assert (put_back.began, put_back.suspect) == (1, True), "as it was: it has still to be tried alone"
    alone = suspect.begun(SECOND)
    assert alone.given_back(began=True, counts=False).suspect, "a free one proves nothing"
    ended = alone.given_back(began=True, counts=True)
    assert (ended.began, ended.suspect) == (2, False)


def test_an_entry_is_read_as_it_was_written() -> None:
    entry = Entry(STORED).begun(SECOND)
    assert entry_from(entry.to_json(), 9) == replace(entry, revision=9)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://h", NatsAddress(("nats://h",), secure=False, prefix="", replicas=1)),
        (
            "tls://a%40b:p%3Aw@one:4222,[::1]:4333/acme/?replicas=3&tls_ca=/ca.pem",
            NatsAddress(
                *(("tls://one:4222", "tls://[::1]:4333"), True, "acme", 3, "a@b", "p:w"),
                tls_ca="/ca.pem",
            ),
        ),
        ("nats://t%20k@h", NatsAddress(("nats://h",), secure=False, prefix="", replicas=1, token="t k")),
        (
            "nats://h?credentials=/run/secrets/acme.creds",
            NatsAddress(("nats://h",), secure=False, prefix="", replicas=1, credentials="/run/secrets/acme.creds"),
        ),
    ],
)
def test_an_address_is_read(url: str, expected: NatsAddress) -> None:
    assert nats_address(url) == expected


def test_the_prefix_stands_in_the_url_or_in_the_setting_of_its_own() -> None:
    assert nats_address("nats://h", "acme") == nats_address("nats://h/acme") == nats_address("nats://h/acme", "acme")
    with pytest.raises(InvalidSettings, match="another prefix than PENSTOCK_QUEUE_PREFIX"):
        nats_address("nats://h/acme", "other")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nats://", "its hosts are no HOST:PORT"),
        ("nats://s3cret@a,,b", "its hosts are no HOST:PORT"),
        ("nats://h/a.b", "the prefix has more than 48 characters, or others"),
        ("nats://h/a/b", "the prefix has more than 48 characters, or others"),
        ("nats://h?replica=3", "not replica"),
        ("nats://h?replicas=6", "replicas is no number from 1 to 5"),
        ("nats://h?replicas=x", "replicas is no number from 1 to 5"),
        ("nats://h?tls_cert=/c", "tls_cert and tls_key belong together"),
        ("nats://s3cret@h?nkey=/n", "exclude each other"),
        ("nats://h?nkey=/n&credentials=/c", "exclude each other"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(url: str, problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem) as raised:
        nats_address(url)
    assert "s3cret" not in raised.value.message


def test_the_secrets_of_an_address_are_not_shown() -> None:
    assert "s3cret" not in repr(nats_address("nats://s3cret@h"))
    assert "s3cret" not in repr(nats_address("nats://me:s3cret@h"))
    assert mask(SecretStr("nats://s3cret@h,i/acme?nkey=/n")) == "nats://********@h,i/acme"
    assert mask(SecretStr("tls://me:s3cret@h")) == "tls://me:********@h"


def test_the_scheme_decides_the_broker() -> None:
    for scheme, broker in BROKERS.items():
        url = load_settings({"PENSTOCK_QUEUE_URL": f"{scheme}://h"}).queue.url.get_secret_value()
        assert broker_of(url) is broker
    assert set(BROKERS.values()) == set(Broker)
    with pytest.raises(InvalidSettings, match="allowed are redis://"):
        load_settings({"PENSTOCK_QUEUE_URL": "amqp://h"})
