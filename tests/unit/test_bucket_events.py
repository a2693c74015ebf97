"""What S3 says of a bucket, in each shape that it comes in, and which of it is about a File."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.errors import EventUnusable, InvalidSettings
from penstock.pipeline.mirror import Watched
from penstock.queues.bucket_events import ObjectEvent, read_events
from penstock.queues.sqs_address import inbox_address
from penstock.settings import load_settings

WATCHED = Watched("acme", "", "inbox/", 100)


def record(key: str, *, name: str = "ObjectCreated:Put", bucket: str = "acme") -> dict[str, Any]:
    """As S3 puts it, with what else it says."""
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-11-27T12:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "inbox",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A1"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 5, "eTag": "e", "versionId": "v", "sequencer": "0055AED6DCD90281E5"},
        },
    }


def notification(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": list(records)})


def bridged(kind: str, **detail: Any) -> str:
    return json.dumps(
        {
            "version": "0",
            "source": "aws.s3",
            "detail-type": kind,
            "detail": {"bucket": {"name": "acme"}, "object": {"key": "inbox/a b+é.pdf", "size": 5}, **detail},
        }
    )


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("ObjectCreated:Put", False),
        ("ObjectCreated:CompleteMultipartUpload", False),
        ("s3:ObjectCreated:Copy", False),
        ("ObjectRemoved:Delete", True),
        ("ObjectRemoved:DeleteMarkerCreated", True),
    ],
)
def test_an_object_was_made_or_removed(name: str, removed: bool) -> None:
    assert read_events(notification(record("a", name=name))) == [ObjectEvent("acme", "a", removed)]


@pytest.mark.parametrize("name", ["ObjectTagging:Put", "LifecycleExpiration:Delete", "ObjectRestore:Completed"])
def test_what_else_happens_to_an_object_is_nothing_to_us(name: str) -> None:
    assert read_events(notification(record("a", name=name))) == []


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("inbox/annual+report.pdf", "inbox/annual report.pdf"),
        ("inbox/%C3%A9t%C3%A9%2B1%2520.pdf", "inbox/été+1%20.pdf"),
        ("inbox/a%3D%26b.pdf", "inbox/a=&b.pdf"),
    ],
)
def test_keys_are_decoded_as_s3_encodes_them(sent: str, key: str) -> None:
    assert [event.key for event in read_events(notification(record(sent)))] == [key]


def test_a_message_may_tell_of_several_objects() -> None:
    told = notification(record("a"), record("b", name="ObjectRemoved:Delete"), record("c"))
    assert [(event.key, event.removed) for event in read_events(told)] == [("a", False), ("b", True), ("c", False)]


def test_the_test_message_of_s3_tells_of_none() -> None:
    assert read_events(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme"})) == []


def test_in_an_envelope_of_sns_it_is_the_same() -> None:
    envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": notification(record("a+b"))}
    assert read_events(json.dumps(envelope)) == [ObjectEvent("acme", "a b", removed=False)]


def test_event_bridge_does_not_encode_keys() -> None:
    assert read_events(bridged("Object Created")) == [ObjectEvent("acme", "inbox/a b+é.pdf", removed=False)]
    assert read_events(bridged("Object Deleted", reason="DeleteObject"))[0].removed
    assert read_events(bridged("Object Deleted", reason="Lifecycle Expiration")) == []
    assert read_events(bridged("Object Access Tier Changed")) == []


@pytest.mark.parametrize(
    "body",
    ["", "hello", "[1]", "{}", '{"Records": [{}]}', '{"Records": "x"}', '{"TopicArn": "a", "Message": 1}', "\x00"],
)
def test_what_is_no_event_is_said_so_with_its_beginning(body: str) -> None:
    with pytest.raises(EventUnusable) as caught:
        read_events(body)
    assert caught.value.message == f"A message is no event of a bucket: {body}"


@pytest.mark.parametrize(
    ("key", "of_a_file"),
    [
        ("inbox/a.pdf", "inbox/a.pdf"),
        ("inbox/2026/a.pdf", "inbox/2026/a.pdf"),
        ("inbox/2026/", None),  # what consoles make for a folder
        ("elsewhere/a.pdf", None),
        ("files/6f1c2a0e-5d0b-4a43-9c1e-3f2b7d9a8c55", None),
        ("text/x/1", None),
        ("uploads/6f1c2a0e-5d0b-4a43-9c1e-3f2b7d9a8c55", "uploads/6f1c2a0e-5d0b-4a43-9c1e-3f2b7d9a8c55"),
    ],
)
def test_only_what_is_under_the_prefix_is_a_file(key: str, of_a_file: str | None) -> None:
    assert WATCHED.key_of(ObjectEvent("acme", key, removed=False)) == of_a_file


@pytest.mark.parametrize("own", ["files/a", "text/a/1", "checks/a"])
def test_what_penstock_wrote_is_never_one_whatever_the_prefix(own: str) -> None:
    everything = Watched("acme", "", "", 100)
    assert everything.key_of(ObjectEvent("acme", own, removed=False)) is None
    assert everything.key_of(ObjectEvent("acme", "a.pdf", removed=False)) == "a.pdf"


def test_a_store_in_a_folder_of_the_bucket_sees_that_folder_only() -> None:
    settings = load_settings({"PENSTOCK_OBJECT_STORE_URL": "s3://acme/objects", "PENSTOCK_API_MAX_UPLOAD_MB": "1"})
    watched = Watched.of(settings)
    assert watched == Watched("acme", "objects/", "inbox/", 2**20)
    assert watched.key_of(ObjectEvent("acme", "objects/inbox/a", removed=False)) == "inbox/a"
    assert watched.key_of(ObjectEvent("acme", "inbox/a", removed=False)) is None
    assert watched.key_of(ObjectEvent("acme", "objects/files/a", removed=False)) is None


@pytest.mark.parametrize("key", ["inbox/a//b", "inbox/../files/a", "inbox/a\tb", "inbox/\ud800"])
def test_a_key_that_cannot_be_asked_for_is_said_so(key: str) -> None:
    with pytest.raises(EventUnusable, match="cannot be read"):
        WATCHED.key_of(ObjectEvent("acme", key, removed=False))


def test_a_bucket_that_is_not_ours_is_said_so() -> None:
    with pytest.raises(EventUnusable, match="of the bucket 'other'; the object store is 'acme'"):
        WATCHED.key_of(ObjectEvent("other", "inbox/a", removed=False))


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [("inbox/", "inbox/2026/a.pdf", "2026/a.pdf"), ("inbox", "inbox/a.pdf", "a.pdf"), ("", "a/b.pdf", "a/b.pdf")],
)
def test_a_file_is_called_as_its_object_is_under_the_prefix(prefix: str, key: str, name: str) -> None:
    assert Watched("acme", "", prefix, 1).name_of(key) == name


@pytest.mark.parametrize("prefix", ["files/", "files/x", "text/", "uploads/", "checks/"])
def test_our_own_folders_are_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidSettings, match="Penstock's own objects are there"):
        Watched.of(load_settings({"PENSTOCK_OBJECT_STORE_URL": "s3://acme", "PENSTOCK_BUCKET_PREFIX": prefix}))


def test_only_a_bucket_sends_events() -> None:
    with pytest.raises(InvalidSettings, match="only S3 sends events"):
        Watched.of(load_settings({"PENSTOCK_OBJECT_STORE_URL": "gs://acme"}))


def test_the_queue_has_a_name_and_no_prefix() -> None:
    address, queue = inbox_address("sqs://eu-central-1/acme-inbox?endpoint=http://127.0.0.1:5000")
    assert (address.region, address.endpoint, queue) == ("eu-central-1", "http://127.0.0.1:5000", "acme-inbox")
    assert address.name_of(queue) == "acme-inbox"


@pytest.mark.parametrize("url", ["sqs://eu-central-1", "sqs://eu-central-1/a/b", "sqs://key@x/a", "sqs://x/a?b=c"])
def test_a_wrong_queue_names_its_setting(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^PENSTOCK_BUCKET_EVENTS_URL: "):
        inbox_address(url)
    with pytest.raises(InvalidSettings, match="PENSTOCK_BUCKET_EVENTS_URL"):
        load_settings({"PENSTOCK_BUCKET_EVENTS_URL": "https://sqs.eu-central-1.amazonaws.com/1/a"})
