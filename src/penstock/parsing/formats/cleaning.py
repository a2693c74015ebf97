"""What no Block may contain."""

from __future__ import annotations

import re

_UNWANTED = re.compile(
    # NUL, which PostgreSQL refuses, and the other controls but tab and newline
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f"
    # soft hyphen and zero-width space or joiner of words: invisible, and they hide a word from search
    "\u00ad\u200b\u2060\ufeff"
    # marks of direction: the order of the letters says it already, and programs put them beside any bracket
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    # lone surrogates and what is not a character: not encodable, or refused further on
    "\ud800-\udfff\ufffe\uffff]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_WIDE_SPACES = re.compile("[\xa0\u2007\u202f]")


def clean(text: str) -> str:
    """`text` without control characters, invisible marks and surrounding white space; may come out empty."""
    if text.isprintable():  # nothing of what is looked for below is, nor any white space but the plain one
        return text.strip()
    text = _LINE_ENDS.sub("\n", text)
    text = _UNWANTED.sub("", text)
    text = _WIDE_SPACES.sub(" ", text)
    return text.strip()


def one_line(text: str) -> str:
    """`text` with each run of white space as a single space."""
    return " ".join(text.split())
