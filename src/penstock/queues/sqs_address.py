"""Where the queues are on SQS: `sqs://REGION/PREFIX?endpoint=URL`, of which every part may be left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from penstock.errors import InvalidSettings

FORM = "sqs://REGION/PREFIX?endpoint=URL, such as sqs://eu-central-1/acme or sqs:///?endpoint=http://127.0.0.1:5000"
PREFIX = re.compile(r"[A-Za-z0-9_-]{0,48}")
"""SQS allows 80 characters in the name of a queue; the longest of ours is `embedding-queue-dead-letters`."""
REGION = re.compile(r"[a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class SqsAddress:
    """The region, what the names of the queues begin with, and the server if it is not AWS' own."""

    region: str | None
    """None: what AWS_REGION, AWS_DEFAULT_REGION or the profile say."""
    prefix: str
    endpoint: str | None

    def name_of(self, queue: str) -> str:
        """What one of our queues is called on SQS."""
        return f"{self.prefix}-{queue}" if self.prefix else queue


def sqs_address(url: str) -> SqsAddress:
    """Read PENSTOCK_QUEUE_URL. Raises `InvalidSettings`, without showing what may be a secret."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix, endpoint = parts.path.strip("/"), options.pop("endpoint", None)
    if "@" in parts.netloc:
        raise _wrong("credentials do not belong there: they come from AWS_ACCESS_KEY_ID, a profile or a role")
    if options:
        raise _wrong(f"the only option is endpoint, not {', '.join(sorted(options))}")
    if not REGION.fullmatch(parts.netloc):
        raise _wrong("the region has other characters than a-z, 0-9 and hyphens")
    if not PREFIX.fullmatch(prefix):
        raise _wrong("the prefix has more than 48 characters, or others than letters, digits, hyphens and underscores")
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise _wrong("endpoint is no http:// or https:// URL")
    return SqsAddress(parts.netloc or None, prefix, endpoint)


def _wrong(problem: str) -> InvalidSettings:
    return InvalidSettings(f"PENSTOCK_QUEUE_URL: {problem}. Its form is {FORM}.")
