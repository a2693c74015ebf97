"""SQS as the rest of Penstock meets it: chosen by the URL, and looked at by `penstock doctor`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from anyio.to_thread import run_sync as to_thread
from pydantic import SecretStr
from queue_contract import request
from real_servers import free_port

from penstock.cli.checks import check_queue
from penstock.models import INGEST_QUEUE
from penstock.queues.redis import RedisQueues
from penstock.queues.sqs import SqsQueues
from penstock.queues.sqs_address import sqs_address
from penstock.queues.sqs_client import connect
from penstock.services import open_queues
from penstock.settings import QueueSettings, load_settings

pytestmark = pytest.mark.slow


def settings_of(url: str) -> QueueSettings:
    return load_settings({"PENSTOCK_QUEUE_URL": url}).queue


async def test_the_url_chooses_the_broker(sqs_url: str, redis_url: str) -> None:
    for url, kind in ((sqs_url, SqsQueues), (redis_url, RedisQueues)):
        queues = await open_queues(settings_of(url), worker="api", drain_seconds=1)
        assert isinstance(queues, kind)
        await queues.publish(INGEST_QUEUE, [request()])
        assert (await queues.depths())[INGEST_QUEUE].waiting == 1
        await queues.close()


def test_who_has_no_queue_on_sqs_does_not_load_its_client() -> None:
    code = "import sys, penstock.services, penstock.cli; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_doctor_looks_at_the_queues_and_makes_none(sqs_url: str) -> None:
    settings = QueueSettings(url=SecretStr(sqs_url))
    client = connect(sqs_address(sqs_url), connections=1)
    missing = check_queue(settings)
    assert missing.state == "warning"
    assert "without test-ingest-queue, test-ingest-queue-dead-letters, test-embedding-queue" in missing.found
    assert "QueueUrls" not in client.list_queues()


async def test_the_doctor_is_content_with_the_queues_we_make(sqs_url: str) -> None:
    queues = await open_queues(settings_of(sqs_url), worker="api", drain_seconds=1)
    await queues.publish(INGEST_QUEUE, [request()])
    await queues.close()
    check = await to_thread(check_queue, settings_of(sqs_url))
    assert (check.state, check.found) == ("ok", f"SQS at {sqs_url.partition('endpoint=')[2]}, 1 messages")


async def test_the_doctor_tells_of_queues_that_lose_work(sqs_url: str) -> None:
    client = connect(sqs_address(sqs_url), connections=1)
    client.create_queue(
        QueueName="test-ingest-queue", Attributes={"MessageRetentionPeriod": "3600", "DelaySeconds": "60"}
    )
    queues = await open_queues(settings_of(sqs_url), worker="api", drain_seconds=1)
    await queues.close()
    check = await to_thread(check_queue, settings_of(sqs_url))
    assert check.state == "warning"
    for problem in ("keeps messages for 3600 s only", "holds each message back for 60 s", "has no redrive policy"):
        assert f"test-ingest-queue {problem}" in check.found


def test_the_doctor_says_where_sqs_is_away_or_the_url_is_none(aws_credentials: None) -> None:
    away = check_queue(settings_of(f"sqs://eu-central-1?endpoint=http://127.0.0.1:{free_port()}"))
    assert away.state == "error"
    assert "does not answer" in away.found
    wrong = check_queue(settings_of("sqs://eu-central-1?end=x"))
    assert wrong.state == "error"
    assert "the only option is endpoint" in wrong.found
