"""Settings: read, refused with their names, and never shown with their secrets."""

from __future__ import annotations

import pytest

from penstock.errors import InvalidSettings
from penstock.settings import Settings, describe, environment_of, load_settings


def test_each_setting_is_read_from_its_variable() -> None:
    settings = load_settings(
        {
            "PENSTOCK_DATABASE_URL": "postgresql://user:pass@db/penstock",
            "PENSTOCK_OBJECT_STORE_URL": "s3://bucket/prefix",
            "PENSTOCK_EMBEDDING_MODEL": "/models/mine",
            "PENSTOCK_QUEUE_LEASE_SECONDS": "30",
            "HOME": "/root",
        }
    )
    assert settings.database.url.get_secret_value() == "postgresql://user:pass@db/penstock"
    assert settings.object_store.url == "s3://bucket/prefix"
    assert settings.embedding.model == "/models/mine"
    assert settings.queue.lease_seconds == 30


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PENSTOCK_QUEU_URL", "x", "did you mean PENSTOCK_QUEUE_URL?"),
        ("PENSTOCK_QUEUE_MAX_ATTEMPTS", "zero", "PENSTOCK_QUEUE_MAX_ATTEMPTS is 'zero'"),
        ("PENSTOCK_QUEUE_MAX_ATTEMPTS", "0", "greater than or equal to 1"),
        ("PENSTOCK_LOG_FORMAT", "xml", "'text' or 'json'"),
        ("PENSTOCK_DATABASE_URL", "foo", "allowed are postgresql://…"),
        ("PENSTOCK_QUEUE_URL", "http://host", "allowed are redis://…"),
        ("PENSTOCK_OBJECT_STORE_URL", "ftp://host", "allowed are file://…, s3://…, gs://…, az://…"),
    ],
)
def test_a_wrong_setting_names_itself_and_what_is_allowed(variable: str, value: str, says: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings({variable: value})
    assert variable in caught.value.message
    assert says in caught.value.message


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings({"PENSTOCK_API_PORT": "99999", "PENSTOCK_LOG_LEVEL": "loud", "PENSTOCK_NONSENSE": "1"})
    assert len(caught.value.message.splitlines()) == 3


def test_secrets_are_not_shown() -> None:
    settings = load_settings(
        {
            "PENSTOCK_DATABASE_URL": "postgresql://user:hunter2@db:5432/penstock?sslmode=require&password=hunter2",
            "PENSTOCK_QUEUE_URL": "redis://:hunter2@redis/0",
            "PENSTOCK_EMBEDDING_API_KEY": "sk-hunter2",
        }
    )
    shown = " ".join(value for _, value, _ in describe(settings))
    assert "hunter2" not in shown + repr(settings)
    assert "postgresql://user:********@db:5432/penstock" in shown


def test_another_process_gets_the_same_settings() -> None:
    settings = load_settings({"PENSTOCK_QUEUE_URL": "redis://:s3cret@r/1", "PENSTOCK_CHUNKING_OVERLAP_TOKENS": "20"})
    assert load_settings(environment_of(settings)) == settings
    assert load_settings({}) == Settings()


def test_every_setting_is_described() -> None:
    names = {variable for variable, _, _ in describe(Settings())}
    assert {
        "PENSTOCK_DATABASE_URL",
        "PENSTOCK_QUEUE_URL",
        "PENSTOCK_OBJECT_STORE_URL",
        "PENSTOCK_EMBEDDING_MODEL",
    } <= names
    undescribed = {variable for variable, _, description in describe(Settings()) if not description}
    assert undescribed == set()
