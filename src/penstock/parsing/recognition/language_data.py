"""Where Tesseract's language data lies, and which of its languages are recognised."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import InvalidSettings

SUFFIX = ".traineddata"
FAVOURITE = "eng"
MOST_BY_DEFAULT = 3
"""Each language costs its time again and makes the others worse: whoever has installed them all should choose."""
OFF = "none"
INSTALL = (
    "install the language data of Tesseract where the Ingesters run (on Debian and Ubuntu: apt-get install "
    "tesseract-ocr-eng), or name its folder in PENSTOCK_PARSING_OCR_DATA"
)
_FOLDERS = (
    "/usr/share/tesseract-ocr/*/tessdata",  # Debian, Ubuntu
    "/usr/share/tessdata",  # Arch, Alpine, openSUSE
    "/usr/share/tesseract/tessdata",  # Fedora
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/home/linuxbrew/.linuxbrew/share/tessdata",
    "/opt/local/share/tessdata",  # MacPorts
)
_NO_LANGUAGES = frozenset({"osd", "equ", "snum"})
"""Data for finding orientations, equations and serial numbers."""


@dataclass(frozen=True, slots=True)
class LanguageData:
    """A folder of `*.traineddata` and the languages of it that are recognised, the main one first."""

    folder: Path
    languages: tuple[str, ...]
    installed: tuple[str, ...]
    """All that the folder has."""


def find_language_data(
    folder: str | None, languages: str | None, environment: Mapping[str, str] = os.environ
) -> LanguageData | None:
    """By the settings `ocr_data` and `ocr_languages`; None where there is none.

    Raises `InvalidSettings` where a named folder does not exist or a named language is not there.
    """
    named = [] if languages is None else re.findall(r"[^\s+,]+", languages)
    if folder is not None and not Path(folder).is_dir():
        raise InvalidSettings(f"PENSTOCK_PARSING_OCR_DATA is {folder!r}, which is no folder.")
    found = next(_with_languages([Path(folder)] if folder is not None else _usual_folders(environment)), None)
    place, installed = found or (None, ())
    if missing := [name for name in named if name not in installed]:
        raise InvalidSettings(_missing(missing, place, installed))
    if place is None:
        return None
    return LanguageData(place, tuple(named) or _by_default(installed), installed)


def _usual_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    if prefix := environment.get("TESSDATA_PREFIX"):
        yield Path(prefix)
        yield Path(prefix) / "tessdata"  # what Tesseract 3 made of it
    for pattern in _FOLDERS:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)


def _with_languages(folders: Iterator[Path] | list[Path]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for folder in folders:
        if installed := _installed(folder):
            yield folder, installed


def _installed(folder: Path) -> tuple[str, ...]:
    files = (*folder.glob(f"*{SUFFIX}"), *folder.glob(f"script/*{SUFFIX}"))
    names = {file.relative_to(folder).as_posix().removesuffix(SUFFIX) for file in files}
    return tuple(sorted(names - _NO_LANGUAGES))


def _by_default(installed: tuple[str, ...]) -> tuple[str, ...]:
    """All languages, where these are few, with English first; else English, or the first one, alone."""
    languages = sorted((name for name in installed if "/" not in name), key=lambda name: (name != FAVOURITE, name))
    found = tuple(languages) or installed
    return found if len(found) <= MOST_BY_DEFAULT else found[:1]


def _missing(missing: list[str], place: Path | None, installed: tuple[str, ...]) -> str:
    there = f"{place} has {', '.join(installed)}" if place else "there is no language data of Tesseract"
    packages = " ".join(f"tesseract-ocr-{name.lower().replace('_', '-').replace('/', '-')}" for name in missing)
    return (
        f"PENSTOCK_PARSING_OCR_LANGUAGES names {', '.join(missing)}, but {there}. Install what is missing (on Debian "
        f"and Ubuntu: apt-get install {packages}), or name the folder that has it in PENSTOCK_PARSING_OCR_DATA."
    )
