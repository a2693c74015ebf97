"""Chunks as the parser pool makes them: whether they are the text, all of it, and on the pages that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from folders import CORPORA

from fidelity.page_truth import page_texts
from fidelity.words import without_hyphens, words
from penstock.chunking.document import Origin
from penstock.chunking.recipe import ChunkRecipe
from penstock.errors import FileError, ParserError
from penstock.models import NewChunk
from penstock.parsing.pool import ParserPool
from penstock.settings import ParsingSettings


@dataclass(frozen=True, slots=True)
class Chunked:
    """What the pool made of a file: its extracted text and its Chunks."""

    name: str
    code: str
    media_type: str = ""
    text: str = ""
    chunks: tuple[NewChunk, ...] = ()
    flaws: tuple[str, ...] = field(default=())


async def chunk_files(names: Iterable[str], recipe: ChunkRecipe) -> list[Chunked]:
    """Each file through a warm child of the pool, as an Ingester does it."""
    pool = ParserPool(ParsingSettings(), recipe)
    await pool.start()
    try:
        with TemporaryDirectory(prefix="penstock-fidelity-") as folder:
            work = [_chunk_file(pool, name, Path(folder) / f"{at}.txt") for at, name in enumerate(names)]
            return list(await asyncio.gather(*work))
    finally:
        await pool.close()


async def _chunk_file(pool: ParserPool, name: str, text_path: Path) -> Chunked:
    path = CORPORA / name
    chunks: list[NewChunk] = []
    try:
        async with pool.parse(path, name=path.name, text_path=text_path) as parse:
            async for batch in parse.batches():
                chunks += batch
            media_type = parse.result.media_type
    except (FileError, ParserError) as error:
        return Chunked(name, error.code)
    return _checked(name, media_type, _taken(text_path), chunks)


def _taken(text_path: Path) -> str:
    text = text_path.read_text(encoding="utf-8")
    text_path.unlink()
    return text


def _checked(name: str, media_type: str, text: str, chunks: Sequence[NewChunk]) -> Chunked:
    return Chunked(name, "ok", media_type, text, tuple(chunks), tuple(flaws(text, chunks)))


def flaws(text: str, chunks: Sequence[NewChunk]) -> list[str]:
    """What is wrong with the Chunks of a text: a span that is not the Chunk, text in none or in two of them."""
    found: list[str] = []
    covered = 0
    for number, chunk in enumerate(chunks):
        start, end = chunk.char_span
        if chunk.index != number:
            found.append(f"chunk {number} has the index {chunk.index}")
        if text[start:end] != chunk.text:
            found.append(f"chunk {number} is not the text at its span {start}..{end}")
        if start < covered:
            found.append(f"chunk {number} repeats {covered - start} characters")
        if text[covered:start].strip():
            found.append(f"before chunk {number} text is in no chunk: {text[covered:start].strip()[:60]!r}")
        covered = end
    if text[covered:].strip():
        found.append(f"text after the last chunk: {text[covered:].strip()[:60]!r}")
    return found


def words_elsewhere(chunked: Chunked) -> dict[int, list[str]]:
    """By index of the Chunk, those of its words that PDFium does not find on the pages that the Chunk names.

    Chunks with words that were recognised in pictures are left out: PDFium does not see those.
    """
    pages = {page: words(without_hyphens(text)) for page, text in page_texts(CORPORA / chunked.name).items()}
    written = (chunk for chunk in chunked.chunks if Origin.RECOGNISED not in chunk.metadata.get("origins", ()))
    found = {chunk.index: _missing(chunk, pages) for chunk in written}
    return {index: missing for index, missing in found.items() if missing}


def _missing(chunk: NewChunk, pages: Mapping[int | None, Mapping[str, int]]) -> list[str]:
    if chunk.pages is None:
        return ["(no page)"]
    there = set[str]().union(*(pages.get(page, {}) for page in range(chunk.pages[0], chunk.pages[1] + 1)))
    return [word for word in words(without_hyphens(chunk.text)) if word not in there]
