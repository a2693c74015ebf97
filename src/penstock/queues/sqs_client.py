"""A client of SQS from botocore, for a Worker and its heartbeat: who we are, how long we wait, what went wrong."""

from __future__ import annotations

from typing import Any

import botocore.session  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from penstock.errors import InvalidSettings
from penstock.queues.sqs_address import SqsAddress

ANSWER_SECONDS = 5.0
"""A server that answers nothing is noticed so soon, beyond the time of a long poll."""
MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
EXISTS = frozenset({"QueueAlreadyExists", "QueueNameExists"})
REFUSED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "InvalidAccessKeyId", "InvalidClientTokenId"),
        *("SignatureDoesNotMatch", "UnrecognizedClientException"),
    }
)

Errors = (BotoCoreError, ClientError)
"""All that a call of the client raises."""


def connect(address: SqsAddress, *, connections: int, poll_seconds: int = 0, worker: str = "") -> Any:
    """A client that many threads may share. It connects when it is first asked. Raises `InvalidSettings`.

    Credentials come by botocore's chain: environment, profiles, web identity, the container's and the machine's role.
    Each request names the `worker` it comes from, for the logs of who runs the queues.
    """
    config = Config(
        connect_timeout=ANSWER_SECONDS,
        read_timeout=poll_seconds + ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1 if poll_seconds else 2},
        max_pool_connections=connections,
        user_agent_extra=f"penstock/{worker}" if worker else "penstock",
    )
    session: Any = botocore.session.Session()
    try:
        return session.create_client("sqs", region_name=address.region, endpoint_url=address.endpoint, config=config)
    except NoRegionError as error:
        raise InvalidSettings(
            "No AWS region is known: name it in PENSTOCK_QUEUE_URL, as sqs://eu-central-1, or in AWS_REGION."
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise InvalidSettings(f"PENSTOCK_QUEUE_URL: {error}") from error


def code_of(error: BaseException | None) -> str:
    """The code of a refusal by SQS, or an empty one."""
    if not isinstance(error, ClientError):
        return ""
    refused: Any = error  # botocore types nothing
    return str(refused.response.get("Error", {}).get("Code", ""))


def is_refusal(error: BaseException | None) -> bool:
    """Whether SQS does not let us in, so that waiting is no use."""
    return isinstance(error, (NoCredentialsError, PartialCredentialsError)) or code_of(error) in REFUSED
