"""Few accents among plain letters: the encoding in which the text spells as one language does.

Statistics need a hundred letters beyond ASCII. A page of English has two curly quotes, an address has one umlaut; but
no language writes `Dvoøák` or `by³`, and that decides.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

_LETTER = "A-Za-zÀ-ÖØ-öø-ɏ"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_WORD = re.compile(f"[{_LETTER}]*[À-ÖØ-öø-ɏ][{_LETTER}]*")
"""A run of letters of which at least one is not ASCII."""
_LONELY = re.compile("[À-ɏ]{2,}|[^àáéèóöåíæôúüÀÉ]")
"""Nothing but letters beyond ASCII, or one that is no word of its own."""
_FREE = "’´·\xad\xa0"  # noqa: RUF001 - signs that look like others are what this is about
_BETWEEN_WORDS = "«»”‘‚–—…•°®™¢¶‹›ªº“„§©µ‰†‡"  # noqa: RUF001 - see above
_AT_NUMBERS = "£€¥¼½¾±×÷"  # noqa: RUF001 - see above
_SYMBOLS = frozenset(_FREE + _BETWEEN_WORDS + _AT_NUMBERS + "¿¡²³¹")
_MISPLACED = re.compile(
    f"(?<=[{_LETTER}])[{_BETWEEN_WORDS}](?=[{_LETTER}])|[©¶](?=[a-zß-ɏ])"
    f"|(?<=[{_LETTER}])[{_AT_NUMBERS}¿¡¹]|[{_AT_NUMBERS}²³¹](?=[{_LETTER}])|(?<=[{_LETTER}])(?<!m)[²³]"
)
"""What only stands there where another alphabet has a letter in the symbol's place; m² and km³ are fine."""
_ODD_IN_THE_WEST = re.compile(
    "õ(?!e)|ç(?![aouàáâãäåòóôõùúûê]|$)|ñ(?![aeiouáéíóú])|[ìù](?=.)|iæ$|œ(?=[cwpkz]|$)",
    re.IGNORECASE,
)


class _Spelling(NamedTuple):
    """An encoding with the letters beyond ASCII of each language that uses it."""

    encoding: str
    alphabets: tuple[str, ...]
    odd: re.Pattern[str] | None = None
    """What these languages do not write though they have the letters."""


_WESTERN = (
    "äöüß", "àâæçéèêëîïôœùûü", "áéíñóúüªº", "àáâãçéêíóôõúªº", "àéèìíîòóùú", "àçèéíïòóúü", "åäöéàü", "åæøéèóôü",
    "ëïéèöüáóíê",
)  # fmt: skip
"""German, French, Spanish, Portuguese, Italian, Catalan, Swedish and Finnish, Danish and Norwegian, Dutch."""
_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ")
"""Polish, Czech, Slovak, Hungarian, Croatian and Slovene, Romanian."""
_SPELLINGS = (
    _Spelling("cp1252", _WESTERN, _ODD_IN_THE_WEST),
    _Spelling("cp1250", _CENTRAL),
    _Spelling("iso8859-2", _CENTRAL),
    _Spelling("cp1254", ("çğıöşüİ",)),  # Turkish
    _Spelling("cp1257", ("ąčęėįšųūž", "āčēģīķļņšūž", "õäöüšž")),  # Lithuanian, Latvian, Estonian
    _Spelling("cp1252", ("áðéíóúýþæö",)),  # Icelandic
    _Spelling("iso8859-15", _WESTERN, _ODD_IN_THE_WEST),
    _Spelling("mac_roman", _WESTERN, _ODD_IN_THE_WEST),
    _Spelling("cp850", _WESTERN, _ODD_IN_THE_WEST),
)
"""Where several fit, the first is the likelier."""


def encoding_by_spelling(sample: bytes) -> str | None:
    """The first encoding in which all words of `sample` are spelled as one language does and each symbol has its place.

    None where there is none, as for every script but the Latin one.
    """
    return next((spelling.encoding for spelling in _SPELLINGS if _fits(sample, spelling)), None)


def _fits(sample: bytes, spelling: _Spelling) -> bool:
    try:
        text = sample.decode(spelling.encoding)
    except UnicodeDecodeError:
        return False
    words = set(_WORD.findall(text))
    letters = {_small(letter) for word in words for letter in word if letter > "\x7f"}
    symbols = {symbol for run in set(_BEYOND_ASCII.findall(text)) for symbol in run if _small(symbol) not in letters}
    if not symbols <= _SYMBOLS or not any(letters <= {*alphabet} for alphabet in spelling.alphabets):
        return False
    if _MISPLACED.search(text) or any(_LONELY.fullmatch(word) or _has_late_capital(word) for word in words):
        return False
    return spelling.odd is None or not any(map(spelling.odd.search, words))


def _has_late_capital(word: str) -> bool:
    """Whether a capital beyond ASCII follows a small letter."""
    return any(one.islower() and other > "\x7f" and other.isupper() for one, other in pairwise(word))


def _small(letter: str) -> str:
    """The Turkish dotted capital has no small letter of its own."""
    return letter if letter == "İ" else letter.lower()
