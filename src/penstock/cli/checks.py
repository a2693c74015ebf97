"""What `penstock doctor` looks at: each function tries one thing for real and says what it found."""

from __future__ import annotations

import asyncio
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import psycopg
from PIL import Image, ImageDraw

from penstock.database.migrate import migrations
from penstock.database.outage import unavailable
from penstock.database.statements import statement
from penstock.embedding import open_engine
from penstock.errors import InvalidSettings, PenstockError
from penstock.models import QUEUES
from penstock.objects import ObjectStore
from penstock.parsing.recognition.tesseract import NoRecogniser, open_recogniser
from penstock.processors import available_processors, multiply_bf16
from penstock.queues.durability import look_at
from penstock.queues.redis_address import redis_address
from penstock.queues.redis_client import Errors, connected, node_of
from penstock.queues.redis_leases import GROUP, keys_of
from penstock.queues.redis_refusal import check_rights, explained
from penstock.settings import (
    Broker,
    DatabaseSettings,
    EmbeddingSettings,
    ObjectStoreSettings,
    ParsingSettings,
    QueueSettings,
    broker_of,
)

State = Literal["ok", "warning", "error"]
LEAST_POSTGRESQL = 15
LEAST_PGVECTOR = (0, 8)
LEAST_REDIS = (6, 2)
LEAST_NATS = (2, 9)
LITTLE_DISK_BYTES = 2 * 10**9
LITTLE_MEMORY_BYTES = 3 * 10**9
"""The parser children may take 1 GiB each, PostgreSQL and the model half a GB together."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str | None = None


def check_machine() -> Check:
    """Python, system, processors."""
    processor = f"{available_processors()} processors, {'bf16' if multiply_bf16() else 'no bf16: embeds in float32'}"
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {processor}"
    return Check("machine", "ok", found)


def check_memory() -> Check:
    """What memory is free now."""
    import psutil

    available = psutil.virtual_memory().available
    found = f"{available / 1e9:.1f} GB available"
    if available >= LITTLE_MEMORY_BYTES:
        return Check("memory", "ok", found)
    advice = "large files may fail with parser_memory; lower PENSTOCK_PARSING_CHILDREN, or give the machine more"
    return Check("memory", "warning", found, advice)


def check_model(settings: EmbeddingSettings) -> Check:
    """Load the model, or call the service, and embed a query."""
    try:
        found = asyncio.run(_embed_something(settings))
    except PenstockError as error:
        return Check("model", "error", error.message, "see PENSTOCK_EMBEDDING_MODEL and PENSTOCK_EMBEDDING_URL")
    return Check("model", "ok", found)


async def _embed_something(settings: EmbeddingSettings) -> str:
    engine = await open_engine(settings)
    try:
        vector = await engine.embed_query("penstock doctor")
        where = settings.url or "on this machine"
        return f"{engine.model}, revision {engine.revision}, {vector.shape[0]} dimensions, {where}"
    finally:
        await engine.close()


def check_recognition(settings: ParsingSettings) -> Check:
    """Recognise a word in a picture, as the Ingesters do."""
    name, recognisable = "text in pictures", "Penstock"
    try:
        recogniser = open_recogniser(settings.ocr_data, settings.ocr_languages)
        if isinstance(recogniser, NoRecogniser):
            advice = f"to have their text recognised, {recogniser.advice}"
            return Check(name, "warning", "is not recognised: pictures and scans end as no_text", advice)
        version = recogniser.version
        with recogniser.page(1):
            words = [block.text for block in recogniser.recognise(_written(recognisable), page=1).blocks]
    except InvalidSettings as error:
        return Check(name, "error", error.message, "see PENSTOCK_PARSING_OCR_DATA and PENSTOCK_PARSING_OCR_LANGUAGES")
    data = recogniser.data
    found = f"{version} recognises {'+'.join(data.languages)}, by {data.folder}"
    if "eng" in data.languages and words != [recognisable]:
        return Check(name, "error", f"{found}, but reads {words} for {recognisable!r}", "install its data again")
    others = [language for language in data.installed if language not in data.languages]
    advice = f"PENSTOCK_PARSING_OCR_LANGUAGES may name {', '.join(others)}, too" if others else None
    return Check(name, "ok", found, advice)


def _written(text: str) -> Image.Image:
    picture = Image.new("L", (480, 120), "white")
    ImageDraw.Draw(picture).text((40, 25), text, fill="black", font_size=64)  # pyright: ignore[reportUnknownMemberType] - Pillow types its ink not at all
    return picture


def check_database(settings: DatabaseSettings) -> Check:
    """Connect, and read the versions of PostgreSQL, pgvector and the schema."""
    try:
        with psycopg.connect(settings.url.get_secret_value(), connect_timeout=5, prepare_threshold=None) as connection:
            return _check_versions(connection)
    except psycopg.OperationalError as error:
        advice = "start the database, or set PENSTOCK_DATABASE_URL to where it is"
        return Check("database", "error", unavailable(error).message, advice)
    except psycopg.Error as error:
        return Check("database", "error", _one_line(error), "see what PENSTOCK_DATABASE_URL's user may do there")


def _check_versions(connection: psycopg.Connection) -> Check:
    version = connection.info.server_version // 10_000
    vector = _scalar(connection, "select default_version from pg_available_extensions where name = 'vector'")
    pooled = _scalar(connection, statement("server_process")) != connection.info.backend_pid
    found = f"PostgreSQL {version}{' behind a pooler' if pooled else ''}, pgvector {vector or 'missing'}"
    if version < LEAST_POSTGRESQL:
        return Check("database", "error", found, f"Penstock needs PostgreSQL {LEAST_POSTGRESQL} or newer")
    if vector is None or _version(str(vector)) < LEAST_PGVECTOR:
        return Check("database", "error", found, "install pgvector 0.8 or newer on the database server")
    return _check_schema(connection, found)


def _check_schema(connection: psycopg.Connection, found: str) -> Check:
    newest = migrations()[-1].version
    if _scalar(connection, "select to_regclass('schema_migrations')::text") is None:
        return Check("database", "warning", f"{found}, no schema yet", "run `penstock migrate`")
    current = int(str(_scalar(connection, "select coalesce(max(version), 0) from schema_migrations")))
    found = f"{found}, schema {current}"
    if current < newest:
        return Check("database", "warning", found, f"run `penstock migrate`: this release has schema {newest}")
    if current > newest:
        return Check("database", "error", found, f"this release knows schema {newest}; run the newer release")
    return Check("database", "ok", found)


def _scalar(connection: psycopg.Connection, query: Any) -> object:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def check_queue(settings: QueueSettings) -> Check:
    """Connect, and read whether this broker keeps what it is given."""
    match broker_of(settings.url.get_secret_value()):
        case Broker.REDIS:
            return _check_redis(settings)
        case Broker.SQS:
            return _check_sqs(settings)
        case Broker.NATS:
            return _check_nats(settings)


def _check_redis(settings: QueueSettings) -> Check:
    try:
        return asyncio.run(_look_at_redis(settings))
    except InvalidSettings as error:
        return Check("queue", "error", error.message, "correct PENSTOCK_QUEUE_URL, or what Redis lets its user do")
    except PenstockError as error:
        advice = "start the queue, or set PENSTOCK_QUEUE_URL to where it is"
        return Check("queue", "error", error.message, advice)


async def _look_at_redis(settings: QueueSettings) -> Check:
    address = redis_address(settings.url.get_secret_value(), settings.prefix)
    streams = [address.key_of(queue) for queue in QUEUES]
    async with connected(address) as client:
        try:
            info, weak = await look_at(client, await node_of(client, streams[0]))
            for stream in streams:
                await check_rights(client, address, keys_of(stream), GROUP)
        except Errors as error:
            raise await explained(error, client, address) from error
    version, policy = str(info["redis_version"]), info.get("maxmemory_policy", "unknown")
    found = f"Redis {version}, appendonly {'yes' if info.get('aof_enabled') else 'no'}, maxmemory-policy {policy}"
    if _version(version) < LEAST_REDIS:
        return Check("queue", "error", found, "Penstock needs Redis 6.2 or newer")
    if not weak:
        return Check("queue", "ok", found)
    state = "error" if any(weakness.loses_messages for weakness in weak) else "warning"
    problems = "; ".join(weakness.problem for weakness in weak)
    return Check("queue", state, f"{found}; {problems}", "; ".join(weakness.advice for weakness in weak))


def _check_sqs(settings: QueueSettings) -> Check:
    from penstock.queues.sqs_look import look_at_sqs  # botocore takes 0.5 s

    try:
        look = asyncio.run(look_at_sqs(settings.url.get_secret_value(), settings.prefix))
    except PenstockError as error:
        advice = "see PENSTOCK_QUEUE_URL, and AWS' own variables, profiles or roles for credentials"
        return Check("queue", "error", error.message, advice)
    if look.missing:
        advice = "the first role that starts makes them, if it may; else somebody who may has to"
        return Check("queue", "warning", f"{look.where}, without {', '.join(look.missing)}", advice)
    found = f"{look.where}, {look.messages:,} messages"
    if look.problems:
        advice = "set these queues' attributes as docs/decisions/0027-queues-on-sqs.md says"
        return Check("queue", "warning", f"{found}; {'; '.join(look.problems)}", advice)
    return Check("queue", "ok", found)


def _check_nats(settings: QueueSettings) -> Check:
    from penstock.queues.nats_look import look_at_nats  # nobody else needs its client

    try:
        look = asyncio.run(look_at_nats(settings.url.get_secret_value(), settings.prefix))
    except PenstockError as error:
        return Check("queue", "error", error.message, "start the queue, or set PENSTOCK_QUEUE_URL to where it is")
    found = f"NATS {look.version}, {look.messages:,} messages"
    if _version(look.version) < LEAST_NATS:
        return Check("queue", "error", found, "Penstock needs NATS 2.9 or newer")
    if look.missing:
        found = f"{found}, without {', '.join(look.missing)}"
    if look.weak:
        state = "error" if any(weakness.loses_messages for weakness in look.weak) else "warning"
        problems = "; ".join(weakness.problem for weakness in look.weak)
        return Check("queue", state, f"{found}; {problems}", "; ".join(weakness.advice for weakness in look.weak))
    if look.missing:
        return Check("queue", "warning", found, "the first role that starts makes them")
    return Check("queue", "ok", found)


def check_bucket_events(url: str) -> Check:
    """Find the queue on which S3 tells of changes in the bucket. Nothing is taken from it."""
    from penstock.queues.sqs_inbox import SqsInbox  # botocore takes 0.5 s

    async def find() -> None:
        inbox = SqsInbox(url)
        try:
            await inbox.open()
        finally:
            await inbox.close()

    name = "bucket events"
    try:
        asyncio.run(find())
    except InvalidSettings as error:
        advice = "make the queue, let S3 send to it and the API read it: docs/operations/index.md, Files from a bucket"
        return Check(name, "error", error.message, advice)
    except PenstockError as error:
        advice = "see PENSTOCK_BUCKET_EVENTS_URL, and AWS' own variables, profiles or roles for credentials"
        return Check(name, "error", error.message, advice)
    return Check(name, "ok", f"{url} is there")


def check_object_store(settings: ObjectStoreSettings) -> Check:
    """Write, read and delete a small object."""
    try:
        asyncio.run(ObjectStore.open(settings).check())
    except PenstockError as error:
        advice = "see PENSTOCK_OBJECT_STORE_URL and the store's own variables (AWS_…, GOOGLE_…, AZURE_…)"
        return Check("object store", "error", error.message, advice)
    return Check("object store", "ok", f"{settings.url}: written, read and deleted")


def check_disk(folder: Path) -> Check:
    """What is free where the data are."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free at {folder}"
    if free >= LITTLE_DISK_BYTES:
        return Check("disk", "ok", found)
    return Check("disk", "warning", found, "free some space, or move the data to a larger disk")


def disk_folder(settings: ObjectStoreSettings, data: Path) -> Path:
    """The folder whose disk fills up: that of the objects where they are files, else the data folder."""
    parts = urlsplit(settings.url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else data


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
