"""The words of a text with their places, by the rules of `penstock_words` and `penstock_spellings`.

Those two SQL functions decide what is indexed; this module tells where a word stands, which a `tsvector` does not
know, and what the words of a query are, each of which has a weight. A test holds the two equal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

MOST_TERMS = 200
"""Of a query: each is counted in the index, and what a longer one asks is in its first words."""

_INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
_UNSPACED = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Letters of scripts that write no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese; and Korean,
whose words grow endings."""
_SEPARATORS = (
    r"\s\x00-\x2b\-/:-@\[-`{-\xa9\xab\xac\xae-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u037e\u0387\u055d-\u055f\u0589\u05be\u05c0"
    r"\u05c3\u060c\u061b\u061f\u06d4\u0964\u0965\u2010-\u205f\u2061-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004"
    r"\u3008-\u3020\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_LETTER = rf"[^{_SEPARATORS}{_UNSPACED}.,]"
_THOUSANDS = r"(?:,[0-9]{3}(?![0-9]))*"
_DECIMAL = rf"[0-9]+{_THOUSANDS}(?:\.[0-9]+{_THOUSANDS})+"
_SIGN = rf"(?!(?<![0-9]){_DECIMAL})(?:{_LETTER}|(?<=[0-9]),(?=[0-9]{{3}}(?![0-9])))"
"""A letter or a digit, or the comma between thousands; not the first digit of 1.2.3."""
_WORD = re.compile(rf"[{_UNSPACED}]|{_DECIMAL}|(?:{_SIGN})+")
_INSIDE = rf"[^{_SEPARATORS}{_UNSPACED}{_INVISIBLE}.,]"
_ACRONYM = rf"(?<!{_INSIDE})(?:(?![{_UNSPACED}])[^\W\d_]\.){{2,}}"
_JOINABLE = rf"(?:{_LETTER}|(?<=[0-9]),(?=[0-9]{{3}}(?![0-9])))"
_JOINED = re.compile(rf"{_JOINABLE}+(?:[-&\u2010\u2011]{_JOINABLE}+)+|{_ACRONYM}")
_JOINTS = re.compile(r"[-&.\u2010\u2011]")
_PAIR = re.compile(rf"(?=([{_UNSPACED}][{_INVISIBLE}]*[{_UNSPACED}]))")


class Word(NamedTuple):
    """A word, from where to where it stands in the text, in characters."""

    start: int
    end: int
    spelling: str


def words(text: str) -> Iterator[Word]:
    """Words and numbers in order; each letter where the script writes no spaces."""
    return (Word(match.start(), match.end(), _plain(match[0])) for match in _WORD.finditer(text))


def spellings(text: str) -> Iterator[Word]:
    """What else words can be found by: `10-K` by 10K, `OpenServices` by its parts, Chinese letters by twos."""
    without_decimals = re.sub(_DECIMAL, lambda match: " " * len(match[0]), text)
    for match in _JOINED.finditer(without_decimals):
        yield Word(match.start(), match.end(), _plain(_JOINTS.sub("", match[0])))
    for match in _PAIR.finditer(text):
        yield Word(match.start(1), match.end(1), _plain(match[1]))
    for word in words(text):
        yield from _parts(word)


def terms(query: str) -> list[str]:
    """What to look for, each once, in the order of the query.

    A single letter of a script without spaces is one only where it stands alone: where there are two, it
    is the pair that tells.
    """
    paired = {place for match in _PAIR.finditer(query) for place in range(match.start(1), match.end(1))}
    found = [word for word in words(query) if word.start not in paired]
    return list(dict.fromkeys(word.spelling for word in sorted((*found, *spellings(query)))))[:MOST_TERMS]


def _plain(word: str) -> str:
    if word.isascii():
        return word.replace(",", "")
    return re.sub(f"[,{_INVISIBLE}]", "", unicodedata.normalize("NFKC", word))


def _parts(word: Word) -> Iterator[Word]:
    """The parts of a word with capitals or numbers inside, if it has such."""
    spelling = word.spelling
    if spelling.isalpha() and spelling.islower():
        return
    cuts = [place for place in range(1, len(spelling)) if _parts_at(spelling, place)]
    as_it_stands = len(spelling) == word.end - word.start  # neither ligature nor comma in it
    for start, end in pairwise((0, *cuts, len(spelling)) if cuts else ()):
        place = (word.start + start, word.start + end) if as_it_stands else (word.start, word.end)
        yield Word(*place, spelling[start:end])


def _parts_at(word: str, place: int) -> bool:
    """Whether a part starts there: `open|Services`, `HTTP|Server`, `FY|2023`."""
    before, after = word[place - 1], word[place]
    if after.isupper():
        rest = word[place + 1 : place + 3]
        return before.islower() or (before.isupper() and len(rest) == 2 and rest.isalpha() and rest.islower())
    return place > 1 and _is_number(word[place : place + 2]) and word[place - 2 : place].isalpha()


def _is_number(two_characters: str) -> bool:
    return len(two_characters) == 2 and two_characters.isascii() and two_characters.isdigit()
