"""What the API tells of itself."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import SecretStr

from penstock.api import examples, reference
from penstock.api.app import create_app
from penstock.api.opening import Opening
from penstock.models import File, Hit
from penstock.queues import asyncapi
from penstock.settings import QueueSettings, Settings


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return create_app(Opening(Settings())).openapi()


def references(value: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(value)))


def test_every_schema_that_is_referred_to_is_there(openapi: dict[str, Any]) -> None:
    assert references(openapi) <= set(openapi["components"]["schemas"])
    assert "HTTPValidationError" not in openapi["components"]["schemas"], "our errors are problems"


def test_every_operation_is_named_told_and_tagged(openapi: dict[str, Any]) -> None:
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) >= 18
    tags = {tag["name"] for tag in openapi["tags"]}
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags


def test_the_errors_of_every_operation_are_problems(openapi: dict[str, Any]) -> None:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= "4" and path != "/health/ready":
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


def test_the_examples_are_what_they_are_examples_of() -> None:
    File.model_validate_json(json.dumps(examples.FILE))
    File.model_validate_json(json.dumps(examples.COMPLETE_FILE))
    Hit.model_validate_json(json.dumps(examples.HIT))


def test_the_pages_load_nothing_from_anywhere(openapi: dict[str, Any]) -> None:
    messages = json.loads(asyncapi.document(queue_at("redis://localhost")))
    for page in (reference.page(openapi), reference.messages_page(messages)):
        assert "<script" not in page
        assert 'src="' not in page
        assert set(re.findall(r'href="([^"]*)"', page)) <= {"/openapi.json", "/asyncapi.json"} | {
            f"#{name}" for name in openapi["components"]["schemas"]
        }
        for target in re.findall(r'href="#([^"]*)"', page):
            assert f'id="{target}"' in page


def queue_at(url: str, prefix: str = "") -> QueueSettings:
    return QueueSettings(url=SecretStr(url), prefix=prefix)


def test_the_messages_are_documented_without_the_secrets_of_their_broker() -> None:
    document = asyncapi.document(queue_at("redis://someone:topsecret@queue.example:6379/0"))
    assert "topsecret" not in document
    told = json.loads(document)
    assert told["servers"]["development"]["host"] == "queue.example:6379"
    assert set(told["channels"]) == {"ingest-queue", "embedding-queue"}
    assert {"IngestRequest", "EmbedRequest"} <= set(told["components"]["schemas"])


def test_the_queues_of_sentinels_are_told_where_they_are_and_what_they_are_called() -> None:
    url = "rediss+sentinel://someone:topsecret@a:1,b:2/primary/3?sentinel_password=topsecret"
    document = asyncapi.document(queue_at(url, prefix="acme"))
    assert "topsecret" not in document
    told = json.loads(document)
    server = told["servers"]["development"]
    assert (server["host"], server["pathname"], server["protocol"]) == ("a:1,b:2", "/primary/3", "rediss+sentinel")
    channel = told["channels"]["ingest-queue"]
    assert channel["address"] == channel["bindings"]["redis"]["channel"] == "acme:ingest-queue"


def test_the_queues_on_sqs_are_told_where_they_are() -> None:
    document = json.loads(asyncapi.document(queue_at("sqs://eu-central-1/acme")))
    assert document["servers"] == {"development": {"host": "sqs.eu-central-1.amazonaws.com", "protocol": "sqs"}}
    assert document["channels"]["ingest-queue"]["address"] == "acme-ingest-queue"
    assert "redis" not in json.dumps(document)
    elsewhere = json.loads(asyncapi.document(queue_at("sqs:///?endpoint=http://127.0.0.1:5000")))
    assert elsewhere["servers"]["development"]["host"] == "127.0.0.1:5000"
    assert (
        elsewhere["components"]["messages"].keys()
        == json.loads(asyncapi.document(queue_at("redis://h")))["components"]["messages"].keys()
    )


def test_the_queues_on_nats_are_told_where_they_are() -> None:
    document = asyncapi.document(queue_at("tls://me:topsecret@one.example:4222,two.example/acme?tls_ca=/secret"))
    assert "secret" not in document
    told = json.loads(document)
    assert told["servers"] == {
        "server-1": {"host": "one.example:4222", "protocol": "nats"},
        "server-2": {"host": "two.example", "protocol": "nats"},
    }
    channel = told["channels"]["ingest-queue"]
    assert channel["address"] == "acme-ingest-queue.{file_id}"
    assert {server["$ref"].rpartition("/")[2] for server in channel["servers"]} == set(told["servers"])
    assert "redis" not in document
    assert told["components"] == json.loads(asyncapi.document(queue_at("redis://h")))["components"]
