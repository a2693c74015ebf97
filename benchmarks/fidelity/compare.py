"""Our readers beside others, on recall and speed: `PYTHONPATH=benchmarks python -m fidelity.compare`.

The others are installed into an environment of their own, `.fidelity-venv`. Each reads all files of a family in a
process of its own, which one of them has warmed. A file that it refuses counts as no word read.
Writes `docs/readers.md` and `benchmarks/results/readers.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from folders import CORPORA, ROOT

from fidelity.corpus import Reading, corpus_files, of_type, read_files
from fidelity.measures import MEASURES, Measure, expected_texts
from fidelity.misses import explanations
from fidelity.program_truth import is_installed
from fidelity.tables import table
from fidelity.words import Tally, lost, without_hyphens
from penstock.errors import FileError
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect

PEERS = Path(__file__).with_name("peers")
FOLDER = ROOT / ".fidelity-venv"
OURS = "Penstock"
SECONDS = 600
FAMILIES: dict[str, tuple[str, ...]] = {
    "docx body": ("docx2python", "kreuzberg", "markitdown"),
    "docx all parts": ("docx2python", "kreuzberg", "markitdown"),
    "pptx slides": ("python-pptx", "kreuzberg", "markitdown"),
    "pptx all parts": ("python-pptx", "kreuzberg", "markitdown"),
    "xlsx": ("openpyxl", "kreuzberg", "markitdown"),
    "pdf pages": ("kreuzberg",),
    "doc": ("kreuzberg",),
    "xls": ("xlrd", "kreuzberg", "markitdown"),
    "ppt": ("kreuzberg",),
    "rtf": ("striprtf", "kreuzberg"),
    "odt, ods, odp": ("odfpy", "kreuzberg"),
    "html": ("beautifulsoup4", "kreuzberg", "markitdown"),
    "epub": ("kreuzberg", "markitdown"),
    "eml": ("kreuzberg",),
    "msg": ("python-oxmsg", "markitdown"),
    "csv, tsv": ("kreuzberg", "markitdown"),
    "json, jsonl": ("kreuzberg", "markitdown"),
    "ipynb": ("kreuzberg", "markitdown"),
}
"""Who else reads the files of a measure."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a reader does on a family."""

    family: str
    reader: str
    recall: float
    refused: int
    files: int
    seconds: float
    better_than_ours: tuple[str, ...] = ()
    """Files of which it has more of the words than we have, with some of those that we lack."""


def compare() -> list[Result]:
    readings = read_files(corpus_files("formats"))
    python = install(FOLDER)
    possible = [each for each in MEASURES if each.name in FAMILIES and (not each.program or is_installed(each.program))]
    truths = {measure.name: found for measure in possible if (found := _truths(measure, readings))}
    ours = _read_ours(_names(truths.values()))
    readers = {
        reader: _read_by(reader, python, _names(truths[family] for family in truths if reader in FAMILIES[family]))
        for reader in sorted({reader for family in truths for reader in FAMILIES[family]})
    }
    return [
        _result(measure, reader, truths[measure.name], found, ours)
        for measure in possible
        if measure.name in truths
        for reader, found in [(OURS, ours), *((each, readers[each]) for each in FAMILIES[measure.name])]
    ]


def _names(truths: Iterable[Mapping[str, str]]) -> list[str]:
    """The files of several families, each once."""
    return list(dict.fromkeys(name for each in truths for name in each))


def _truths(measure: Measure, readings: Mapping[str, Reading]) -> dict[str, str]:
    """The words of the family's files, but for those whose other reading is known to be wrong."""
    wrong = {each.file for each in explanations() if each.other_is_wrong and each.measure == measure.name}
    files = [each for each in of_type(readings, *measure.media_types) if each.name not in wrong]
    texts = {each.name: "\n".join(found.values()) for each in files if (found := expected_texts(measure, each))}
    return texts if measure.hyphens else {name: without_hyphens(text) for name, text in texts.items()}


def install(folder: Path) -> Path:
    """The environment's Python. Does nothing where it holds these requirements already."""
    python, installed = folder / "bin" / "python", folder / "installed-requirements.txt"
    wanted = (PEERS / "requirements.txt").read_text()
    if not installed.is_file() or installed.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", "--requirement", PEERS / "requirements.txt"]
        subprocess.run(command, check=True)
        # Written last, so that an install that was interrupted starts again.
        installed.write_text(wanted)
    return python


@dataclass(frozen=True, slots=True)
class _Read:
    text: str | None
    seconds: float


def _read_ours(names: list[str]) -> dict[str, _Read]:
    _read_one(CORPORA / names[0])
    return {name: _read_one(CORPORA / name) for name in names}


def _read_one(path: Path) -> _Read:
    began = time.process_time()
    try:
        text = "\n".join(block.text for block in read(path, detect(path, path.name)))
    except FileError:
        text = None
    return _Read(text, time.process_time() - began)


def _read_by(reader: str, python: Path, names: list[str]) -> dict[str, _Read]:
    paths = "".join(f"{CORPORA / name}\n" for name in [names[0], *names])
    command = [python, PEERS / "readers.py", reader]
    done = subprocess.run(
        command, input=paths, capture_output=True, text=True, timeout=SECONDS, check=False, encoding="utf-8"
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    read = (_Read(answer.get("text"), answer["seconds"]) for answer in answers[1:])
    return dict(zip(names, read, strict=False))  # a reader that died has read no more


def _result(
    measure: Measure, reader: str, truths: Mapping[str, str], found: Mapping[str, _Read], ours: Mapping[str, _Read]
) -> Result:
    total = Tally()
    better: list[str] = []
    for name, truth in truths.items():
        text, our_text = (_text(each.get(name), measure) for each in (found, ours))
        tally = Tally.of(text, truth)
        total += tally
        if tally.common > Tally.of(our_text, truth).common:
            better.append(f"{name}: {', '.join(lost(our_text, truth, 4))}")
    refused = sum(1 for name in truths if name not in found or found[name].text is None)
    seconds = sum(found[name].seconds for name in truths if name in found)
    return Result(measure.name, reader, round(total.recall, 4), refused, len(truths), round(seconds, 3), tuple(better))


def _text(found: _Read | None, measure: Measure) -> str:
    text = (found.text if found else "") or ""
    return text if measure.hyphens else without_hyphens(text)


_HEAD = """\
# Readers beside ours

Made by `make readers`. Each reads the same files in a process of its own; processor time is counted, when one
of them has warmed it. *Recall* is the share of the words of the independent reading that `docs/fidelity.md`
names. A file that a reader refuses counts as none of its words. *More than ours* are files of which it has more words.

"""


def page(results: Iterable[Result]) -> str:
    head = ("family", "reader", "recall", "files refused", "processor seconds", "more than ours")
    rows = [
        (each.family, each.reader, f"{each.recall:.4f}", f"{each.refused} of {each.files}", f"{each.seconds:.3f}",
         str(len(each.better_than_ours)))
        for each in results
    ]  # fmt: skip
    return _HEAD + table(head, rows) + "\n"


def main() -> int:
    if not CORPORA.is_dir():
        print(f"There are no corpora in {CORPORA}; PENSTOCK_CORPORA names another place")
        return 1
    results = compare()
    (ROOT / "docs/readers.md").write_text(page(results), encoding="utf-8")
    figures = [{key: value for key, value in asdict(each).items() if key != "better_than_ours"} for each in results]
    (ROOT / "benchmarks/results/readers.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for each in results:
        print(f"{each.family}: {each.reader} recall {each.recall:.4f}, {each.seconds:.3f} s")
        for line in each.better_than_ours:
            print(f"    more than ours: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
