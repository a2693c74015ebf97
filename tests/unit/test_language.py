"""The language of a text, which is sure or English."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.parsing.language import SAMPLE_BYTES, SAMPLES, language_in, language_of

GERMAN = "Die Verträge wurden gestern von beiden Seiten unterschrieben und treten morgen in Kraft. "
ENGLISH = "The agreements were signed by both parties yesterday and come into force tomorrow. "


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "english"),
        (GERMAN, "german"),
        ("Les contrats ont été signés hier par les deux parties et entrent en vigueur demain.", "french"),
        ("Los contratos fueron firmados ayer por ambas partes y entrarán en vigor mañana.", "spanish"),
        ("Договоры были подписаны вчера обеими сторонами и вступают в силу завтра.", "russian"),
        ("تم توقيع العقود أمس من قبل الطرفين وتدخل حيز التنفيذ غدا.", "arabic"),
        ("Umowy zostały wczoraj podpisane przez obie strony i wchodzą w życie jutro.", "simple"),
        ("契約は昨日、双方によって署名され、明日発効します。", "simple"),
        ("สัญญาถูกลงนามเมื่อวานนี้โดยทั้งสองฝ่าย", "simple"),
        ("", "english"),
        ("gauge,level\nA-77,612.40\n", "english"),
        ("def main():\n    return open_services(settings)\n", "english"),
        ("x" * 100_000, "english"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_in(text) == language


def test_a_file_is_judged_by_all_of_its_length(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text(ENGLISH * 20 + GERMAN * 2000, encoding="utf-8")
    assert text.stat().st_size > 2 * SAMPLES * SAMPLE_BYTES
    assert language_of(text) == "german"
    text.write_text(GERMAN, encoding="utf-8")
    assert language_of(text) == "german"
