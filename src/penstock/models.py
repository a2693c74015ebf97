"""What the words mean: File, Chunk, FileStatus, and the messages on the two queues."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

INGEST_QUEUE = "ingest-queue"
EMBEDDING_QUEUE = "embedding-queue"
QUEUES = (INGEST_QUEUE, EMBEDDING_QUEUE)
FIRST_GENERATION = 1
MAX_CHUNKS_PER_MESSAGE = 64
"""Keeps an `EmbedRequest` under 4 KiB, far below what any broker takes."""


class Value(BaseModel):
    """A frozen value; unknown fields are an error, so that two versions never half understand each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileStatus(StrEnum):
    """Where the latest generation of a File is. Deleting removes the row."""

    QUEUED = "queued"
    """Stored and recorded; waits for an Ingester."""
    INGESTING = "ingesting"
    """An Ingester reads, parses and chunks it."""
    EMBEDDING = "embedding"
    """Its Chunks are stored; some still wait for their vectors."""
    COMPLETE = "complete"
    """Every Chunk has its vector and search sees this generation."""
    FAILED = "failed"
    """Given up, with a code and a sentence. An earlier generation stays searchable."""

    @property
    def settled(self) -> bool:
        return self in (FileStatus.COMPLETE, FileStatus.FAILED)


class Failure(Value):
    """Why a File failed: a code of errors.py and a sentence that a person can act on."""

    code: str = Field(description="One of those in errors.py; it never changes.")
    message: str = Field(description="What was wrong, and what to do.")


class File(Value):
    """A document that a user handed in. The counts are those of the latest generation."""

    file_id: UUID = Field(description="Given when the file is handed in.")
    owner: str = Field(description="Whose it is; for now always `default`.")
    name: str = Field(description="As it was handed in, with its folders.")
    object_key: str = Field(description="Where its bytes are in the object store.")
    media_type: str | None = Field(description="Found from the content; null until ingestion.")
    language: str | None = Field(
        default=None, description="Text search configuration of its Chunks: `german`, `simple`; null until ingestion."
    )
    size: int = Field(description="Bytes.")
    sha256: str | None = Field(description="Hex digest; null for a reference until ingestion.")
    status: FileStatus = Field(description="Where the latest generation is.")
    generation: int = Field(description="The latest parse that was asked for.")
    active_generation: int | None = Field(description="The parse that search sees.")
    page_count: int | None = Field(
        description="Pages, slides or sheets; null where the format has none, and until ingestion."
    )
    chunk_count: int = Field(description="Chunks of this generation.")
    embedded_count: int = Field(description="Chunks of this generation that have their vector.")
    token_count: int = Field(description="Tokens of its Chunks together, as the model counts them.")
    coverage: float | None = Field(
        description="Of the words that an independent count finds in the file, the share that is in its text, "
        "rounded down to 4 digits; null where its format has no such count."
    )
    unread_pages: list[int] = Field(
        default_factory=list[int],
        description="Pages, from 1, that show a picture, or are damaged, and gave no text or not all of it; "
        "at most the first 1000. Empty for Files that were read before these were counted.",
    )
    error: Failure | None = Field(description="Why it failed; null where it did not.")
    metadata: dict[str, Any] = Field(description="What was handed in with it; search can filter by it.")
    created_at: datetime = Field(description="When it was handed in.")
    updated_at: datetime = Field(description="When its row was last changed.")
    settled_at: datetime | None = Field(
        description="When it became `complete` or `failed`; null while it is worked on."
    )


class Chunk(Value):
    """A piece of a File's text: what is embedded, found and cited."""

    chunk_id: UUID = Field(description="Follows from File, generation, place and text.")
    file_id: UUID = Field(description="The File that it is a piece of.")
    name: str = Field(description="The File's name.")
    index: int = Field(description="Position in the File, from 0.")
    text: str = Field(description="What is cited: the extracted text within `char_span`.")
    token_count: int = Field(description="Of `text`, as the model counts them.")
    pages: tuple[int, int] | None = Field(description="First and last page, from 1.")
    char_span: tuple[int, int] = Field(description="Start and end in the extracted text, in characters.")
    headings: list[str] = Field(description="The heading trail, outermost first.")
    context: str = Field(
        default="",
        description="File, headings and column names: embedded and indexed with the text, but no part of it.",
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="`origins`: what of it is not the body's text, such as `comment` or `footnote`.",
    )


class Neighbour(Value):
    """A Chunk beside a Hit, of the same File and generation."""

    chunk_id: UUID = Field(description="As of a Chunk.")
    index: int = Field(description="Position in the File, from 0.")
    text: str = Field(description="As of a Chunk.")
    pages: tuple[int, int] | None = Field(description="First and last page, from 1.")
    char_span: tuple[int, int] = Field(description="Start and end in the extracted text, in characters.")


class Hit(Value):
    """A Chunk that search found. The greater the score the better; scores compare within one answer only."""

    score: float = Field(description="The greater the better, within this answer.")
    file_id: UUID = Field(description="The File that it is a piece of.")
    name: str = Field(description="The File's name.")
    chunk_id: UUID = Field(description="The Chunk that was found.")
    index: int = Field(description="Position in the File, from 0.")
    text: str = Field(description="What is cited.")
    pages: tuple[int, int] | None = Field(description="First and last page, from 1.")
    char_span: tuple[int, int] = Field(description="Start and end in the extracted text, in characters.")
    headings: list[str] = Field(description="The heading trail, outermost first.")
    context: str = Field(default="", description="File, headings and column names, which are no part of the text.")
    metadata: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="`origins`: what of it is not the body's text."
    )
    highlights: list[tuple[int, int]] = Field(
        default=[], description="Start and end, in characters of `text`, of what the query's words match there."
    )
    before: list[Neighbour] = Field(default=[], description="The Chunks before it, in order; if `context` asks.")
    after: list[Neighbour] = Field(default=[], description="The Chunks behind it, in order; if `context` asks.")


class NewChunk(Value):
    """A Chunk as the chunker makes it, before it belongs to a generation."""

    index: int
    text: str
    token_count: int
    pages: tuple[int, int] | None
    char_span: tuple[int, int]
    headings: list[str]
    context: str = ""
    context_tokens: int = 0
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def text_hash(self) -> bytes:
        """SHA-256 of what is embedded: equal texts in equal contexts share their vector."""
        return hashlib.sha256(embedded_text(self.context, self.text).encode()).digest()


def page_ranges(pages: Iterable[int]) -> str:
    """Page numbers in order as a person writes them: `3, 7-9`."""
    ranges: list[tuple[int, int]] = []
    for page in pages:
        if ranges and ranges[-1][1] == page - 1:
            ranges[-1] = (ranges[-1][0], page)
        else:
            ranges.append((page, page))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def embedded_text(context: str, text: str) -> str:
    """What the engine gets of a Chunk, and full-text search indexes."""
    return f"{context}\n\n{text}" if context else text


def chunk_id(file_id: UUID, generation: int, index: int, text_hash: bytes) -> UUID:
    """The same Chunk always has the same id, whoever writes it and however often.

    A UUID of version 8 (RFC 9562, section 5.8): the first bits of a SHA-256.
    """
    name = file_id.bytes + generation.to_bytes(8, "big") + index.to_bytes(8, "big") + text_hash
    bits = bytearray(hashlib.sha256(name).digest()[:16])
    bits[6] = bits[6] & 0x0F | 0x80
    bits[8] = bits[8] & 0x3F | 0x80
    return UUID(bytes=bytes(bits))


class IngestRequest(Value):
    """ingest-queue: read, parse and chunk this generation of this File."""

    version: Literal[1] = Field(default=1, description="Of this kind of message.")
    file_id: UUID = Field(description="The File.")
    generation: int = Field(description="The parse that is asked for; a message of an older one does nothing.")


class EmbedRequest(Value):
    """embedding-queue: embed these Chunks of this generation of this File."""

    version: Literal[1] = Field(default=1, description="Of this kind of message.")
    file_id: UUID = Field(description="The File.")
    generation: int = Field(description="The parse that is asked for; a message of an older one does nothing.")
    chunk_ids: Annotated[
        tuple[UUID, ...], Field(min_length=1, max_length=MAX_CHUNKS_PER_MESSAGE, description="In order.")
    ]


Message = IngestRequest | EmbedRequest

MESSAGE_TYPES: dict[str, type[IngestRequest | EmbedRequest]] = {
    INGEST_QUEUE: IngestRequest,
    EMBEDDING_QUEUE: EmbedRequest,
}


class QueueDepth(Value):
    """What is on a queue at one moment."""

    waiting: int = Field(description="Messages that no worker has taken.")
    in_flight: int = Field(description="Messages that a worker holds under a lease.")
    dead_letters: int = Field(description="Messages that were given up on.")
    oldest_seconds: float | None = Field(description="Age of the oldest unfinished message, where it is known.")


class DeadLetter(Value):
    """A message that was given up on, with the reason."""

    dead_letter_id: str = Field(description="On its queue.")
    queue: str = Field(description="The queue that it was on.")
    file_id: UUID = Field(description="The File that the message was about.")
    code: str = Field(description="Why, as a code of errors.py.")
    reason: str = Field(description="Why, as a sentence.")
    attempts: int = Field(description="How many there were.")
    worker: str = Field(description="Who gave it up.")
    first_at: datetime = Field(description="When the message was first published.")
    last_at: datetime = Field(description="When it was given up on.")
    message: dict[str, Any] = Field(description="The message itself.")
