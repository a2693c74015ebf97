"""Where the queues are on SQS: `sqs://REGION/PREFIX?endpoint=URL`, of which every part may be left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from penstock.errors import InvalidSettings

FORM = "sqs://REGION/PREFIX?endpoint=URL, such as sqs://eu-central-1/acme or sqs:///?endpoint=http://127.0.0.1:5000"
INBOX_FORM = "sqs://REGION/QUEUE?endpoint=URL, such as sqs://eu-central-1/acme-inbox"
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
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


def sqs_address(url: str, prefix: str = "") -> SqsAddress:
    """Read PENSTOCK_QUEUE_URL; its path says the same as PENSTOCK_QUEUE_PREFIX.

    Raises `InvalidSettings`, without showing what may be a secret.
    """
    address = _address(url, "PENSTOCK_QUEUE_URL", FORM)
    if prefix and address.prefix not in ("", prefix):
        raise _wrong("PENSTOCK_QUEUE_URL", "it names another prefix than PENSTOCK_QUEUE_PREFIX", FORM)
    address = replace(address, prefix=address.prefix or prefix)
    if not PREFIX.fullmatch(address.prefix):
        problem = "the prefix has more than 48 characters, or others than letters, digits, hyphens and underscores"
        raise _wrong("PENSTOCK_QUEUE_URL", problem, FORM)
    return address


def inbox_address(url: str) -> tuple[SqsAddress, str]:
    """Read PENSTOCK_BUCKET_EVENTS_URL: where SQS is, and what the one queue is called. Raises `InvalidSettings`."""
    address = _address(url, "PENSTOCK_BUCKET_EVENTS_URL", INBOX_FORM)
    if not NAME.fullmatch(address.prefix):
        problem = "the queue has no name of 1 to 80 letters, digits, hyphens and underscores"
        raise _wrong("PENSTOCK_BUCKET_EVENTS_URL", problem, INBOX_FORM)
    return SqsAddress(address.region, "", address.endpoint), address.prefix


def _address(url: str, variable: str, form: str) -> SqsAddress:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path, endpoint = parts.path.strip("/"), options.pop("endpoint", None)
    if "@" in parts.netloc:
        problem = "credentials do not belong there: they come from AWS_ACCESS_KEY_ID, a profile or a role"
        raise _wrong(variable, problem, form)
    if options:
        raise _wrong(variable, f"the only option is endpoint, not {', '.join(sorted(options))}", form)
    if not REGION.fullmatch(parts.netloc):
        raise _wrong(variable, "the region has other characters than a-z, 0-9 and hyphens", form)
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise _wrong(variable, "endpoint is no http:// or https:// URL", form)
    return SqsAddress(parts.netloc or None, path, endpoint)


def _wrong(variable: str, problem: str, form: str) -> InvalidSettings:
    return InvalidSettings(f"{variable}: {problem}. Its form is {form}.")
