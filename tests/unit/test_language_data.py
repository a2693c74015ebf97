"""Which language data of Tesseract are found, and which of its languages are recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import InvalidSettings
from penstock.parsing.recognition import language_data
from penstock.parsing.recognition.language_data import find_language_data
from penstock.parsing.recognition.tesseract import NoRecogniser, open_recogniser


def folder(tmp_path: Path, *languages: str) -> str:
    for language in languages:
        file = tmp_path / f"{language}.traineddata"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return str(tmp_path)


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (("deu", "eng", "fra"), ("eng", "deu", "fra")),
        (("deu", "eng", "fra", "ita"), ("eng",)),
        (("deu", "fra", "ita", "nld"), ("deu",)),
        (("eng", "osd", "equ", "script/Latin"), ("eng",)),
        (("script/Arabic",), ("script/Arabic",)),
    ],
)
def test_few_languages_are_all_recognised_of_many_one(
    tmp_path: Path, installed: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    found = find_language_data(folder(tmp_path, *installed), None, {})
    assert found is not None
    assert found.languages == chosen


@pytest.mark.parametrize("named", ["deu+eng", "deu,eng", "deu eng", " deu, eng "])
def test_named_languages_are_taken_in_their_order(tmp_path: Path, named: str) -> None:
    found = find_language_data(folder(tmp_path, "eng", "deu", "fra"), named, {})
    assert found is not None
    assert found.languages == ("deu", "eng")
    assert found.installed == ("deu", "eng", "fra")


def test_a_named_language_that_is_missing_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        find_language_data(folder(tmp_path, "eng"), "eng+chi_sim", {})
    for part in ("names chi_sim", "has eng", "apt-get install tesseract-ocr-chi-sim", "PENSTOCK_PARSING_OCR_DATA"):
        assert part in caught.value.message


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"PENSTOCK_PARSING_OCR_DATA is .*, which is no folder"):
        find_language_data(str(tmp_path / "missing"), None, {})


def test_an_empty_folder_has_no_data(tmp_path: Path) -> None:
    assert find_language_data(str(tmp_path), None, {}) is None
    found = open_recogniser(str(tmp_path), None)
    assert isinstance(found, NoRecogniser)
    assert "apt-get install tesseract-ocr-eng" in found.advice
    with pytest.raises(InvalidSettings, match="there is no language data"):
        find_language_data(str(tmp_path), "eng", {})


def test_recognition_can_be_switched_off(tmp_path: Path) -> None:
    found = open_recogniser(folder(tmp_path, "eng"), "none")
    assert isinstance(found, NoRecogniser)
    assert "PENSTOCK_PARSING_OCR_LANGUAGES" in found.advice


def test_tesseracts_own_variable_leads_to_the_folder_or_to_the_one_above(tmp_path: Path) -> None:
    place = tmp_path / "tessdata"
    folder(place, "eng")
    for prefix in (place, tmp_path):
        found = find_language_data(None, None, {"TESSDATA_PREFIX": str(prefix)})
        assert found is not None
        assert found.folder == place


def test_the_newest_of_the_usual_folders_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("4.00", "5"):
        folder(tmp_path / version / "tessdata", "eng")
    monkeypatch.setattr(language_data, "_FOLDERS", (f"{tmp_path}/*/tessdata",))
    found = find_language_data(None, None, {})
    assert found is not None
    assert found.folder == tmp_path / "5" / "tessdata"
