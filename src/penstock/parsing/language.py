"""Which language a text is in, as the name of the text search configuration that suits it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import chardet

UNSURE = "english"
"""Of short texts, tables and programs. Its stemming does no harm to what is in another language, because a query's
words are treated alike; without it English would lose, which most of such texts are in."""
UNKNOWN = "simple"
"""Of languages that PostgreSQL has no rules for: words as they are."""
SAMPLES = 8
SAMPLE_BYTES = 2048
"""Of each: the beginning alone may be a title page in another language, and the whole would take long."""
LEAST_SHARE = 0.05
"""Of a language's small words among all: what has fewer is a list or a table, and in no language."""

# The detector knows letters and their pairs, and so takes names, codes and Latin for any language: the smallest words
# must say the same. Measured in docs/decisions/0017.
_SMALL_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "ca": "el la els les de i que és en una per amb no del un com al es més són",
        "cs": "a v na se je že to s z do o i pro jako by ve po ale nebo jsou",
        "da": "og at det som en er ikke på af for med til den har om et kan ved fra eller",
        "de": "der die und das ist nicht mit den von zu ein eine auf für dem wird im sich auch werden",
        "en": "the and of to is that for with are be by this was it not on as from",
        "es": "el la los las de y en que es una por para con no se del un como su más",
        "et": "ja on ei et see oli kui ka ta mis oma kes aga siis nii või ning seda pole veel",
        "eu": "eta da ez bat du dira izan ere baina zen hau dute bere beste egin den edo zuen duen dela",
        "fi": "ja on ei se että joka tai ovat voi kun jos myös sen hän oli mutta kuin tämä ole vain",
        "fr": "le la les des et est une dans que pour pas un du par sur ne au avec ce sont",
        "ga": "agus an na ar is i do a le go ag sé bhí leis ó níl seo atá mar",
        "hu": "a az és hogy nem egy is ez van meg de ha csak vagy mint el már ki volt azt",
        "id": "yang dan di untuk dengan ini dari tidak dalam adalah itu pada akan atau ke oleh juga dapat ada sebagai",
        "it": "il di e che la è per un una non con del della sono si i le da nel come",
        "lt": "ir kad yra su į iš tai ne o bet kaip už jau buvo ar per dėl tik nuo prie",
        "nl": "de het een en van is dat niet met voor op te zijn worden wordt aan deze die om als",
        "no": "og at det som en er ikke på av for med til den har om et kan ved fra eller",
        "pl": "i w na z do się nie to jest że o jak po co dla od przez oraz za są",
        "pt": "o de e que a do da em um uma para não com os no se por as dos ao",
        "ro": "și de la în cu pe este o un nu să pentru care din se sau mai fi sunt ca",
        "sv": "och att det som en är inte på av för med till den har om ett kan vid från eller",
        "tr": "ve bir bu için ile de da olarak olan daha çok gibi ne kadar sonra ya her veya değil ise",
    }.items()
}
_CONFIGURATIONS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""By ISO 639-1."""
_NO_PROSE = re.compile(r"[0-9_/\\=<>{}|@#$%^&*+~`\[\]]|\w[.:(]\w|[a-z][A-Z]")
"""In paths, names of programs' parts, marks, numbers: in no language."""
_WORD = re.compile(r"[^\W\d_]+")
_LAST_LATIN = "\u024f"


def language_of(text: Path) -> str:
    """The configuration for the UTF-8 text in a file, which need not be one that an older server has."""
    return language_in(*_samples(text))


def language_in(*pieces: str) -> str:
    """The language of most pieces: of several together the detector believes the first."""
    text = "\n".join(pieces)
    words = [word.lower() for token in text.split() if not _NO_PROSE.search(token) for word in _WORD.findall(token)]
    ((language, _),) = Counter(map(_detected, pieces)).most_common(1)
    if _is_latin("".join(words)) and not _confirm(language, words):
        return UNSURE
    return _CONFIGURATIONS.get(language, UNKNOWN)


def _detected(text: str) -> str:
    """By chardet, which takes some Russian for its neighbours; they have no such letters."""
    language = chardet.detect(text.encode())["language"] or "en"
    if language in ("bg", "sr") and ("ы" in text or "э" in text):
        return "ru"
    return "no" if language in ("nb", "nn") else language


def _is_latin(letters: str) -> bool:
    return 2 * sum(letter > _LAST_LATIN for letter in letters) <= len(letters)


def _confirm(language: str, words: Sequence[str]) -> bool:
    """Whether the small words are of that language rather than of another, English least of all."""
    hits = {each: sum(word in small for word in words) for each, small in _SMALL_WORDS.items()}
    own = hits.get(language, 0)
    return own > 0 and own >= max(LEAST_SHARE * len(words), 0.9 * max(hits.values()), 1.5 * hits["en"])


def _samples(path: Path) -> list[str]:
    """Pieces from all over the file; all of it where it is short."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SAMPLES * SAMPLE_BYTES:
            return [file.read().decode(errors="ignore")]
        places = [round(n * (size - SAMPLE_BYTES) / (SAMPLES - 1)) for n in range(SAMPLES)]
        pieces: list[str] = []
        for place in places:
            file.seek(place)
            pieces.append(file.read(SAMPLE_BYTES).decode(errors="ignore"))
    return pieces
