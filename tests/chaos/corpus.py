"""The files of a run: made ones of 1 to 60 Chunks, small real ones, and hostile ones, all from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CORPORA = Path(__file__).resolve().parents[2].parent / "shared" / "corpora"
LARGEST_REAL = 60_000
LARGEST_HOSTILE = 120_000
MOST_CHUNKS = 60

ENGLISH: tuple[str, ...] = (
    *("intake", "gate", "sluice", "headpond", "turbine", "pressure", "gauge", "river", "weir", "bearing", "oil"),
    *("station", "night", "crew", "report", "flood", "spillway", "valve", "runner", "tailrace", "level", "alarm"),
    *("opened", "closed", "checked", "measured", "replaced", "repaired", "noted", "before", "after", "during"),
    *("the", "a", "of", "and", "with", "was", "were", "at", "by", "from", "between", "without", "until"),
    *("morning", "evening", "winter", "spring", "litres", "metres", "bar", "degrees", "hours", "days", "spare"),
)
TINY = tuple(f"w{number}" for number in range(60))
"""What the tests' tiny model knows."""


@dataclass(frozen=True)
class Document:
    """A file to hand in. No two of a run have the same name, or the same content."""

    name: str
    content: bytes
    hostile: bool = False


def documents(
    seed: int, count: int, *, words: Sequence[str] = ENGLISH, chunk_words: int = 150, chunks: int = MOST_CHUNKS
) -> list[Document]:
    """`count` files, of which a tenth are real and almost as many hostile, where the corpora are there."""
    chance = random.Random(f"documents {seed}")
    real, hostile = _small(CORPORA / "docs", CORPORA / "formats"), _small(CORPORA / "hostile", most=LARGEST_HOSTILE)
    found: list[Document] = []
    for number in range(count):
        draw = chance.random()
        pool = real if draw < 0.1 else hostile if draw < 0.18 else []
        if draw > 0.98:
            found.append(Document(f"{number:05}-made.bin", b"\x00\xff" + chance.randbytes(200), hostile=True))
        elif pool:
            path = chance.choice(pool)
            found.append(Document(f"{number:05}-{path.name}", path.read_bytes(), hostile=pool is hostile))
        else:
            found.append(made(number, chance, words=words, most_words=chunk_words * chunks))
    return found


def made(number: int, chance: random.Random, *, words: Sequence[str], most_words: int) -> Document:
    """A file of this suite's own. Its size is spread evenly over the orders of magnitude."""
    size = round(most_words ** chance.uniform(0.55, 1))
    kind, write = chance.choice(KINDS)
    return Document(f"{number:05}-made.{kind}", write(number, size, chance, words).encode())


def _sentence(chance: random.Random, words: Sequence[str], length: int) -> str:
    return " ".join(chance.choices(words, k=length)).capitalize() + "."


def _paragraphs(size: int, chance: random.Random, words: Sequence[str]) -> list[str]:
    return [
        " ".join(_sentence(chance, words, 12) for _ in range(4)) for _ in range(max(1, size // 48))
    ]  # four sentences of twelve words


def _markdown(number: int, size: int, chance: random.Random, words: Sequence[str]) -> str:
    parts = [f"# {_sentence(chance, words, 3)} {number}"]
    for at, paragraph in enumerate(_paragraphs(size, chance, words)):
        if at % 4 == 0:
            parts.append(f"## {_sentence(chance, words, 4)}")
        parts.append(paragraph)
    return "\n\n".join(parts)


def _html(number: int, size: int, chance: random.Random, words: Sequence[str]) -> str:
    body = "".join(f"<p>{paragraph}</p>\n" for paragraph in _paragraphs(size, chance, words))
    return f"<html><head><title>{number}</title></head><body><h1>{number}</h1>\n{body}</body></html>"


def _csv(number: int, size: int, chance: random.Random, words: Sequence[str]) -> str:
    rows = [f"{row},{' '.join(chance.choices(words, k=8))},{chance.random():.4f}" for row in range(max(2, size // 12))]
    return "\n".join([f"row {number},what,value", *rows])


def _plain(number: int, size: int, chance: random.Random, words: Sequence[str]) -> str:
    return "\n\n".join([f"{number}", *_paragraphs(size, chance, words)])


KINDS: tuple[tuple[str, Callable[[int, int, random.Random, Sequence[str]], str]], ...] = (
    ("md", _markdown),
    ("html", _html),
    ("csv", _csv),
    ("txt", _plain),
)


def _small(*folders: Path, most: int = LARGEST_REAL) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.tsv" and 0 < path.stat().st_size <= most
    ]
