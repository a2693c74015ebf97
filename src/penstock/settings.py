"""Settings from the environment: `PENSTOCK_<GROUP>_<NAME>`, frozen and checked before anything starts."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from penstock import failpoints
from penstock.errors import InvalidSettings

PREFIX = "PENSTOCK_"
CLIENT_VARIABLES = frozenset({"PENSTOCK_URL", "PENSTOCK_DATA"})
"""Read by the command line itself, not by the services."""
OTHER_VARIABLES = CLIENT_VARIABLES | {failpoints.VARIABLE}
"""Ours, but no settings."""


AUTO_LANGUAGE = "auto"
REDIS_SCHEMES = (
    *("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"),
    *("redis+cluster", "rediss+cluster"),
)


class Broker(StrEnum):
    """What the queues are on."""

    REDIS = "redis"
    SQS = "sqs"
    NATS = "nats"


BROKERS: Mapping[str, Broker] = MappingProxyType(
    {
        **dict.fromkeys(REDIS_SCHEMES, Broker.REDIS),
        "sqs": Broker.SQS,
        **dict.fromkeys(("nats", "tls"), Broker.NATS),
    }
)
"""By the scheme of PENSTOCK_QUEUE_URL."""


def broker_of(url: str) -> Broker:
    """The broker that a checked PENSTOCK_QUEUE_URL names."""
    return BROKERS[urlsplit(url).scheme]


Pooler = Literal["auto", "transaction"]
"""There is none that prepares statements behind a pooler: set wrongly, it would run those of other clients."""


class Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked_scheme(url: SecretStr, known: tuple[str, ...]) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme not in known:
        raise ValueError(f"allowed are {', '.join(f'{scheme}://…' for scheme in known)}")
    return url


class DatabaseSettings(Group):
    url: SecretStr = Field(
        default=SecretStr("postgresql://localhost/penstock"),
        description="PostgreSQL 15 or newer with pgvector 0.8 or newer.",
    )

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: SecretStr) -> SecretStr:
        return _checked_scheme(url, ("postgresql", "postgres"))

    pool_size: int = Field(default=8, ge=1, le=100, description="Most connections of one process.")
    pooler: Pooler = Field(
        default="auto",
        description="auto: finds out whether a pooler is between; transaction: assumes one in this mode.",
    )
    connect_timeout_seconds: float = Field(default=10, gt=0, description="Wait this long for a connection.")


class QueueSettings(Group):
    url: SecretStr = Field(
        default=SecretStr("redis://localhost:6379/0"),
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; sqs://REGION/PREFIX, with "
        "?endpoint=URL where it is not AWS; nats:// or tls://HOST:PORT/PREFIX.",
    )
    prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,48}$",
        description="What the names of the queues begin with, where several installations share a broker.",
    )

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: SecretStr) -> SecretStr:
        return _checked_scheme(url, tuple(BROKERS))

    lease_seconds: float = Field(
        default=15, ge=1, le=3600, description="A worker that is silent for so long loses its messages to another."
    )
    max_attempts: int = Field(default=3, ge=1, le=100, description="Then a message becomes a dead letter.")
    retry_seconds: float = Field(
        default=1, gt=0, description="Wait before the second attempt; doubles with each further one."
    )
    counts_late_seconds: float = Field(
        default=60, ge=0, description="Of sqs:// only: how old its counts may be; 0 where a server counts exactly."
    )


class ObjectStoreSettings(Group):
    url: str = Field(default="file:///var/lib/penstock/objects", description="file://, s3://, gs:// or az://.")

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        known = ("file", "s3", "gs", "az")
        if urlsplit(url).scheme not in known:
            raise ValueError(f"allowed are {', '.join(f'{scheme}://…' for scheme in known)}")
        return url

    public_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@]+/?$",
        description="URL at which clients reach an S3 store, where it is not that of AWS_ENDPOINT_URL.",
    )
    presigned_seconds: int = Field(
        default=900, ge=1, le=604_800, description="How long a client may use the URL of an upload or a download."
    )


class BucketSettings(Group):
    events_url: str | None = Field(
        default=None,
        description="sqs://REGION/QUEUE: where S3 tells of changes in the store's bucket; without it nobody listens.",
    )
    prefix: str = Field(
        default="inbox/",
        description="Objects under it, within the object store, are Files; empty: all that Penstock did not write.",
    )

    @field_validator("events_url")
    @classmethod
    def _known_scheme(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme != "sqs":
            raise ValueError("allowed is sqs://REGION/QUEUE")
        return url


class EmbeddingSettings(Group):
    model: str = Field(
        default="all-MiniLM-L6-v2",
        description="A folder with the model, a name on the model hub, or the name of a remote model.",
    )
    url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible service; without it the model runs here, on OpenVINO.",
    )
    api_key: SecretStr | None = Field(default=None, description="Sent as a bearer token to the service.")
    dimensions: int | None = Field(
        default=None, ge=1, le=2000, description="Asked of a remote model that offers several."
    )
    max_tokens: int | None = Field(
        default=None, ge=16, description="Longest text the model takes; without it, what the model says of itself."
    )
    tokenizer: str | None = Field(
        default=None, description="A tokenizer.json for a remote model; without it, the default model's."
    )
    precision: Literal["auto", "bf16", "f32"] = Field(
        default="auto", description="auto: bf16 where the processor has it."
    )
    batch_texts: int = Field(default=64, ge=1, le=2048, description="Most texts in one request to a remote service.")
    batch_tokens: int = Field(default=16_384, ge=256, description="Most tokens in one batch.")
    concurrency: int = Field(default=2, ge=1, le=64, description="Batches in work at once.")
    timeout_seconds: float = Field(default=60, gt=0, description="For one request to a remote service.")
    threads: int = Field(default=0, ge=0, description="Processor threads of the local engine; 0: all it may use.")


class ParsingSettings(Group):
    timeout_seconds: float = Field(default=300, gt=0, description="Wall-clock limit for one file.")
    memory_mb: int = Field(default=1024, ge=128, description="Memory limit of one parser child, MiB.")
    max_text_mb: int = Field(default=512, ge=1, description="Most extracted text of one file, MiB.")
    children: int = Field(default=0, ge=0, le=256, description="Parser children of one Ingester; 0: one for each core.")
    ocr_data: str | None = Field(
        default=None,
        description="Folder of Tesseract's *.traineddata; without it, TESSDATA_PREFIX or the usual ones.",
    )
    ocr_languages: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_/+, -]+$",
        description="Languages of text in pictures, as eng+deu; none: read no pictures; without it, all if at most 3.",
    )
    ocr_timeout_seconds: float = Field(
        default=3600, gt=0, description="Most time for recognising the pages of one file, besides its other limit."
    )


class ChunkingSettings(Group):
    max_tokens: int | None = Field(
        default=None, ge=16, description="Most tokens in a Chunk; without it, what the model takes."
    )
    overlap_tokens: int = Field(default=0, ge=0, description="Tokens of the end of a Chunk repeated in the next.")


class ApiSettings(Group):
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    max_upload_mb: int = Field(default=2048, ge=1, description="Larger uploads are refused with `too_large`, MiB.")
    linger_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="At SIGTERM, go on serving for so long while /health/ready says `draining`.",
    )

    @property
    def max_upload_bytes(self) -> int:
        """Of a file, however it is handed in."""
        return self.max_upload_mb * 2**20


class WorkerSettings(Group):
    concurrency: int = Field(default=0, ge=0, le=1024, description="Messages in work at once; 0: what suits the role.")
    drain_seconds: float = Field(default=20, ge=0, description="Wait this long for work in hand at shutdown.")
    health_port: int = Field(default=0, ge=0, le=65535, description="Serve /health and /metrics there; 0: do not.")
    recover_seconds: float = Field(
        default=5, gt=0, description="Look for unfinished Files without a message this often."
    )


class ScalingSettings(Group):
    target_seconds: float = Field(
        default=15, gt=0, description="Workers that `penstock up` scales work what waits off within this time."
    )
    cooldown_seconds: float = Field(
        default=60, ge=0, description="It stops some when fewer have been enough for so long."
    )


class SearchSettings(Group):
    language: str = Field(
        default=AUTO_LANGUAGE,
        pattern=r"^[a-z_]+$",
        description="Text search configuration of PostgreSQL, such as german; auto: each File's, from its text.",
    )
    ef_search: int = Field(default=200, ge=1, le=1000, description="Width of the HNSW search; more finds more, slower.")


class LogSettings(Group):
    format: Literal["text", "json"] = Field(default="text", description="Lines for people, or JSON for machines.")
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least to log.")


class Settings(Group):
    """All settings of one process. Build with `load_settings()`."""

    database: DatabaseSettings = DatabaseSettings()
    queue: QueueSettings = QueueSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    bucket: BucketSettings = BucketSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    parsing: ParsingSettings = ParsingSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    api: ApiSettings = ApiSettings()
    worker: WorkerSettings = WorkerSettings()
    scaling: ScalingSettings = ScalingSettings()
    search: SearchSettings = SearchSettings()
    log: LogSettings = LogSettings()


_GROUPS: dict[str, type[Group]] = {group: type(value) for group, value in Settings()}


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environment`, by default the process's own.

    Raises `InvalidSettings`, which names each wrong variable, its value (secrets masked) and what is allowed.
    """
    variables = os.environ if environment is None else environment
    known = {variable for variable, _, _ in describe(Settings())} | OTHER_VARIABLES
    problems = [_unknown(name, known) for name in sorted(variables) if name.startswith(PREFIX) and name not in known]
    groups: dict[str, dict[str, str]] = {}
    for variable, (group, field) in _variables().items():
        if variable in variables:
            groups.setdefault(group, {})[field] = variables[variable]
    try:
        settings = Settings.model_validate(groups)
    except ValidationError as error:
        problems += [_describe_problem(detail["loc"], str(detail["msg"]), detail["input"]) for detail in error.errors()]
    else:
        if not problems:
            return settings
    raise InvalidSettings("\n".join(problems))


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process load these same settings. Holds secrets: never print it."""
    found: dict[str, str] = {}
    for variable, (group, field) in _variables().items():
        value = getattr(getattr(settings, group), field)
        if value is not None:
            found[variable] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return found


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Variable, effective value with secrets masked, and description of every setting."""
    for variable, (group, field) in _variables().items():
        section = getattr(settings, group)
        value = getattr(section, field)
        shown = "" if value is None else mask(value) if isinstance(value, SecretStr) else str(value)
        yield variable, shown, _GROUPS[group].model_fields[field].description or ""


def mask(secret: SecretStr) -> str:
    """A URL without its password, anything else as asterisks."""
    parts = urlsplit(secret.get_secret_value())
    if not parts.scheme:
        return "********"
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if not colon and at and BROKERS.get(parts.scheme) is Broker.NATS:
        user = "********"  # there a name alone is a token
    netloc = f"{user}{colon and ':********'}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def _variables() -> dict[str, tuple[str, str]]:
    return {
        f"{PREFIX}{group}_{field}".upper(): (group, field)
        for group, kind in _GROUPS.items()
        for field in kind.model_fields
    }


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `penstock doctor` lists the settings"
    return f"{name} is not a setting of Penstock{hint}"


def _describe_problem(location: tuple[int | str, ...], problem: str, value: object) -> str:
    group, field = str(location[0]), str(location[1])
    annotation = str(_GROUPS[group].model_fields[field].annotation)
    shown = "(hidden)" if "Secret" in annotation else repr(value)
    return f"{PREFIX}{group.upper()}_{field.upper()} is {shown}: {problem.removeprefix('Value error, ')}"
