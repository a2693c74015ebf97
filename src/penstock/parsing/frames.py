"""What the parser pool and its children say to each other: JSON frames, each behind its length.

    pool → child    Setup once, then one ParseRequest at a time
    child → pool    Ready once, then for each request any number of MadeChunks and Recognising, and one Finished or
                    Refused

JSON, because a child that a hostile file has taken over may write anything: the pool checks what it reads
and never unpickles.
"""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO, Literal

from pydantic import Field, TypeAdapter

from penstock.chunking.recipe import ChunkRecipe
from penstock.models import NewChunk, Value
from penstock.parsing.coverage import MOST_UNREAD_PAGES

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Far above any honest frame (see `MAX_BATCH_CHARACTERS`); a longer one is not worth its memory."""
MAX_BATCH_CHUNKS = 64
MAX_BATCH_CHARACTERS = 1_000_000
TEXT_NAME = "extracted-text"
MAX_MESSAGE_CHARACTERS = 2000
LENGTH = struct.Struct(">I")

EARLY_CHUNKS = 128
"""A file with so many Chunks and more to come is long: the first ones need not wait for the last."""

Language = Annotated[str, Field(pattern=r"^[a-z_]{1,63}$")]
Count = Annotated[int, Field(ge=0, lt=2**31)]
"""Fits the database's integer."""


class Setup(Value):
    """How a child works, whatever the file."""

    recipe: ChunkRecipe
    memory_mb: int
    max_text_mb: int
    ocr_data: str | None = None
    ocr_languages: str | None = None


class ParseRequest(Value):
    """Read the file at `path`, that the user knows as `name`; write its text to `TEXT_NAME` in the child's folder."""

    path: str
    name: str


class Ready(Value):
    """The child has imported what it needs and is contained."""

    kind: Literal["ready"] = "ready"
    given_up: list[str] = Field(description="What the child no longer can, as far as this system has means for it.")


class MadeChunks(Value):
    kind: Literal["chunks"] = "chunks"
    chunks: list[NewChunk]
    language: Language | None = Field(
        default=None, description="Of the text so far; once, when `EARLY_CHUNKS` are made."
    )


class Recognising(Value):
    """From now on the text in the picture of a page is recognised, which takes its own time; None: no longer."""

    kind: Literal["recognising"] = "recognising"
    page: Count | None


class Finished(Value):
    """The file is read to its end and its text lies in the child's folder."""

    kind: Literal["finished"] = "finished"
    media_type: str = Field(max_length=255)
    language: Language
    page_count: Count | None
    character_count: Count
    token_count: Count
    coverage: float | None = Field(ge=0, le=1)
    supplemented: Count = Field(description="Words that only the independent count brought.")
    unread_pages: list[Count] = Field(max_length=MOST_UNREAD_PAGES)


class Refused(Value):
    """A code of errors.py and its sentence."""

    kind: Literal["refused"] = "refused"
    code: str = Field(max_length=64)
    message: str = Field(max_length=MAX_MESSAGE_CHARACTERS)


Answer = Annotated[Ready | MadeChunks | Recognising | Finished | Refused, Field(discriminator="kind")]
ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


def frame_of(value: Value) -> bytes:
    body = value.model_dump_json().encode()
    return LENGTH.pack(len(body)) + body


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame's body; None at the end of the pipe."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return pipe.read(LENGTH.unpack(head)[0])
