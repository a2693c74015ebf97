"""Files come out the same, byte for byte, however many parser children read them and in whatever order."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from languages import SENTENCES
from minilm import tokenizer_file

from penstock.chunking.recipe import ChunkRecipe
from penstock.errors import PenstockError
from penstock.models import NewChunk
from penstock.parsing.pool import ParsedFile, ParserPool
from penstock.settings import ParsingSettings

CORPORA = Path(__file__).resolve().parents[2] / "../shared/corpora"
LARGEST = 150_000
EACH_KIND = 6

pytestmark = pytest.mark.slow

Outcome = tuple[str, list[NewChunk], ParsedFile | None, bytes]
"""A code, the Chunks that came before it, what the file turned out to be, and its text."""


def corpora_files() -> list[Path]:
    """A few of each ending, sound and hostile ones."""
    kinds: dict[str, list[Path]] = {}
    for folder in ("formats", "hostile"):
        for path in sorted((CORPORA / folder).rglob("*")):
            if path.is_file() and path.stat().st_size <= LARGEST:
                kinds.setdefault(path.suffix.lower(), []).append(path)
    return [path for paths in kinds.values() for path in paths[:: max(1, len(paths) // EACH_KIND)][:EACH_KIND]]


def made_files(folder: Path) -> list[Path]:
    for language, text in SENTENCES.items():
        (folder / f"{language}.md").write_text(
            f"# {language}\n\n" + f"{text}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n" * 20
        )
    return sorted(folder.iterdir())


async def read_all(paths: list[Path], *, children: int, order: random.Random, folder: Path) -> dict[str, Outcome]:
    pool = ParserPool(ParsingSettings(children=children), ChunkRecipe(tokenizer_file(), 254))
    shuffled = order.sample(paths, len(paths))
    await pool.start()
    try:
        outcomes = await asyncio.gather(*(read(pool, path, folder / str(at)) for at, path in enumerate(shuffled)))
    finally:
        await pool.close()
    return {str(path): outcome for path, outcome in zip(shuffled, outcomes, strict=True)}


async def read(pool: ParserPool, path: Path, text_path: Path) -> Outcome:
    chunks: list[NewChunk] = []
    try:
        async with pool.parse(path, name=path.name, text_path=text_path) as parse:
            async for batch in parse.batches():
                chunks += batch
            return "complete", chunks, parse.result, await asyncio.to_thread(text_path.read_bytes)
    except PenstockError as error:
        return error.code, chunks, None, b""


async def is_the_same_with_one_child_and_with_four(paths: list[Path], tmp_path: Path) -> dict[str, Outcome]:
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    first = await read_all(paths, children=1, order=random.Random(1), folder=alone)
    second = await read_all(paths, children=4, order=random.Random(2), folder=together)
    assert [path for path in first if first[path] != second[path]] == []
    return first


async def test_texts_of_many_languages_are_the_same_at_any_concurrency(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    outcomes = await is_the_same_with_one_child_and_with_four(made_files(tmp_path / "files"), tmp_path)
    assert [(path, code) for path, (code, *_) in outcomes.items() if code != "complete"] == []
    assert sum(len(chunks) for _, chunks, _, _ in outcomes.values()) > 5 * len(outcomes)


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not at ../shared/corpora")
async def test_corpus_files_are_the_same_at_any_concurrency(tmp_path: Path) -> None:
    outcomes = await is_the_same_with_one_child_and_with_four(corpora_files(), tmp_path)
    complete = [chunks for code, chunks, _, _ in outcomes.values() if code == "complete"]
    assert len(complete) > 0.5 * len(outcomes)
    assert sum(map(len, complete)) > 400
