"""The heartbeat of a Worker whose queue is on SQS: `python -m penstock.queues.sqs_heartbeat`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from penstock.queues.heartbeat import Renew, beat
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_client import Errors, connect
from penstock.queues.sqs_messages import MOST_ENTRIES


def open_renewal(order: dict[str, Any]) -> Renew:
    """Told the `url` and `prefix` of the installation, which `queue` it is, and the `lease` in whole seconds.

    Its messages go by their receipt handles. SQS refuses those that are no longer ours one by one.
    """
    address = sqs_address(order["url"], order["prefix"])
    client = connect(address, connections=1)

    @cache
    def queue_url() -> str:
        return client.get_queue_url(QueueName=address.name_of(order["queue"]))["QueueUrl"]

    def renew(ids: Sequence[str]) -> None:
        for start in range(0, len(ids), MOST_ENTRIES):
            entries = [
                {"Id": str(at), "ReceiptHandle": handle, "VisibilityTimeout": order["lease"]}
                for at, handle in enumerate(ids[start : start + MOST_ENTRIES])
            ]
            try:
                client.change_message_visibility_batch(QueueUrl=queue_url(), Entries=entries)
            except Errors:
                return  # the Worker has said that SQS is away; it is tried again with the next beat

    return renew


if __name__ == "__main__":
    beat(open_renewal)
