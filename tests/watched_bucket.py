"""A bucket whose events go to a queue, on an AWS of this machine over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
from real_servers import forget_all

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket `acme`, of which the queue `acme-inbox` is told everything."""

    url: str
    """Of the AWS."""
    s3: Any
    sqs: Any
    queue: str

    @property
    def settings(self) -> dict[str, str]:
        """Of a Penstock whose objects are there, and who listens."""
        return {
            "PENSTOCK_OBJECT_STORE_URL": "s3://acme",
            "PENSTOCK_BUCKET_EVENTS_URL": f"sqs://{REGION}/acme-inbox?endpoint={self.url}",
        }

    @property
    def environment(self) -> dict[str, str]:
        """Where the store is, and credentials."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": REGION}

    def put(self, key: str, content: bytes = b"hello") -> None:
        self.s3.put_object(Bucket="acme", Key=key, Body=content)

    def remove(self, key: str, **which: str) -> None:
        self.s3.delete_object(Bucket="acme", Key=key, **which)

    def objects(self) -> set[str]:
        return {found["Key"] for found in self.s3.list_objects_v2(Bucket="acme").get("Contents", [])}

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def told(self) -> list[str]:
        """The messages on the queue, which are taken off."""
        bodies: list[str] = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies

    def waiting(self) -> tuple[int, int]:
        """How many messages may be taken, and how many are hidden."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=list(names))["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


def bucket_on(aws_url: str) -> Bucket:
    """The bucket and its queue, made anew and empty; whatever else that AWS had is gone."""
    forget_all(aws_url)
    s3, sqs = _client("s3", aws_url), _client("sqs", aws_url)
    s3.create_bucket(Bucket="acme", CreateBucketConfiguration={"LocationConstraint": REGION})
    queue = sqs.create_queue(QueueName="acme-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.put_bucket_notification_configuration(
        Bucket="acme",
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": EVENTS}]},
    )
    return Bucket(aws_url, s3, sqs, queue)


def _client(service: str, url: str) -> Any:
    given = {name.lower(): value for name, value in CREDENTIALS.items() if "KEY" in name}
    make = cast("Any", boto3).client  # its interface is made at run time
    return make(service, endpoint_url=url, region_name=REGION, **given)
