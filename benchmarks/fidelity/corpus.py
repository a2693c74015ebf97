"""The test corpora, read by our readers in child processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from folders import CORPORA

from penstock.chunking.document import Block
from penstock.errors import FileError
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect

GOOD, HOSTILE = ("formats", "filings"), ("hostile",)
SECONDS_PER_FILE = 60


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a file. `blocks` are those before the error, if there was one."""

    name: str
    """Path inside the corpora."""
    media_type: str | None
    code: str
    """`ok`, or the code of the `FileError`."""
    blocks: tuple[Block, ...]
    seconds: float
    problem: str = ""
    """An exception that is no `FileError`, or a message that is no sentence."""

    @property
    def path(self) -> Path:
        return CORPORA / self.name

    @property
    def text(self) -> str:
        return "\n".join(block.text for block in self.blocks)

    def page_text(self, page: int) -> str:
        return "\n".join(block.text for block in self.blocks if block.page == page)


def corpus_files(*folders: str) -> list[str]:
    """The files below these folders of the corpora, but for what other parsers made of them."""
    found = (path for folder in folders for path in sorted((CORPORA / folder).rglob("*")) if path.is_file())
    aside = ("groundtruth", "expected_outputs")
    return [str(path.relative_to(CORPORA)) for path in found if not any(part in aside for part in path.parts)]


def read_files(names: Iterable[str]) -> dict[str, Reading]:
    """Each file's Reading. Children read: native libraries may die of a file, which fails loudly here."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = {name: pool.submit(read_file, name) for name in names}
        return {name: future.result(SECONDS_PER_FILE) for name, future in pending.items()}


def read_file(name: str) -> Reading:
    began = time.perf_counter()
    media_type, code, problem = None, "ok", ""
    blocks: list[Block] = []
    path = CORPORA / name
    try:
        media_type = detect(path, path.name)
        blocks.extend(read(path, media_type))
    except FileError as error:
        code = error.code
        problem = "" if error.message.endswith((".", ")")) else f"not a sentence: {error.message}"
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        problem = f"{type(error).__name__}: {error}"
    return Reading(name, media_type, code, tuple(blocks), time.perf_counter() - began, problem)


def of_type(readings: Mapping[str, Reading], *media_types: str) -> list[Reading]:
    """The files of these types that were read to their end."""
    return [each for each in readings.values() if each.media_type in media_types and each.code == "ok"]
