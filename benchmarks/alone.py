"""What parsing, chunking and embedding take by themselves: Penstock's own parts in one process, nothing around them.

No queue, no database, no object store, no child process: what the pipeline would take if all else cost nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from penstock.chunking.chunker import Chunker
from penstock.chunking.context import title_of
from penstock.chunking.document import Block
from penstock.embedding import open_engine
from penstock.embedding.chunk_recipe import recipe
from penstock.embedding.port import EmbeddingEngine
from penstock.models import NewChunk, embedded_text
from penstock.parsing.coverage import Coverage
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect
from penstock.processors import available_processors
from penstock.settings import Settings

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds of each part for the same files, the best of some rounds."""

    parse: float
    """Of one core: a document is read by one."""
    chunk: float
    """Of one core."""
    embed: float
    """Of all cores together: the engine uses them all."""
    chunks: int
    cores: int

    @property
    def spread(self) -> dict[str, float]:
        """Seconds by part, spread over the cores as if nothing ever waited."""
        return {"parse": self.parse / self.cores, "chunk": self.chunk / self.cores, "embed": self.embed}

    @property
    def seconds(self) -> float:
        return sum(self.spread.values())


def measure_alone(paths: Sequence[Path], *, rounds: int) -> Alone:
    """Each part `rounds` times over the same files; the engine is open and warm before its clock starts."""
    settings = Settings()
    chunker = Chunker(recipe(settings))
    parses, cuts, texts = list[float](), list[float](), list[str]()
    for _ in range(rounds):
        blocks, seconds = _timed(lambda: [parse(path) for path in paths])
        parses.append(seconds)
        files = list(zip(paths, blocks, strict=True))
        chunks, seconds = _timed(lambda files=files: [one for path, each in files for one in _cut(chunker, path, each)])
        cuts.append(seconds)
        texts = [embedded_text(one.context, one.text) for one in chunks]
    embeds = asyncio.run(_embed(settings, texts, rounds=rounds))
    return Alone(min(parses), min(cuts), min(embeds), len(texts), available_processors())


def parse(path: Path) -> list[Block]:
    """As a parser child reads it, the independent count of its words included."""
    return list(read(path, detect(path, path.name), Coverage()))


def _cut(chunker: Chunker, path: Path, blocks: Sequence[Block]) -> list[NewChunk]:
    return list(chunker.chunk(blocks, write=_nowhere, title=title_of(path.name)))


def _nowhere(text: str) -> None:
    """The text is stored by the Ingester; here it is only cut."""


async def _embed(settings: Settings, texts: list[str], *, rounds: int) -> list[float]:
    engine = await open_engine(settings.embedding)
    try:
        await engine.embed_documents(texts[:64])
        return [await _embed_once(engine, texts) for _ in range(rounds)]
    finally:
        await engine.close()


async def _embed_once(engine: EmbeddingEngine, texts: list[str]) -> float:
    began = time.perf_counter()
    await engine.embed_documents(texts)
    return time.perf_counter() - began


def _timed(work: Callable[[], ResultT]) -> tuple[ResultT, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began
