"""Equations of Office files (OMML): one line that keeps apart what the layout keeps apart, `x^2`, `1/(n+1)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from penstock.parsing.formats.ooxml import Element, attribute, child, children, local_name

_SCRIPTS = {"sup": "^", "sub": "_", "limUpp": "^", "limLow": "_"}
_PLAIN = re.compile(r"[\w.,^!°]*")
"""What can stand above or below a fraction's line without brackets."""


def equation_text(element: Element) -> str:
    """The text of an `m:oMath` or a part of it. Without marks between them 1/2 would read 12, and x² x2."""
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if read := _MARKED.get(name):
        return read(element)
    # Beside each other `fName` and `e` of a function or the cells of a matrix would be one word
    return _inner(element, " " if name in ("func", "mr") else "")


def _fraction(element: Element) -> str:
    """`a/b`; without a line, as binomial coefficients are written, `a b`."""
    parts = [_inner(part).strip() for part in children(element, "num", "den")]
    if _property(element, "type", "bar") == "noBar":
        return " ".join(parts)
    return "/".join(part if _PLAIN.fullmatch(part) else f"({part})" for part in parts)


def _script(element: Element) -> str:
    script = _inner(element).strip()
    return f"{_SCRIPTS[local_name(element)]}{_in_brackets(script)}" if script else ""


def _limit(element: Element) -> str:
    """What is written below or above a word such as `lim` or `max`."""
    parent = element.getparent()
    sign = _SCRIPTS.get(local_name(parent), "_") if parent is not None else "_"
    return f"{sign}{_in_brackets(_inner(element).strip())}"


def _root(element: Element) -> str:
    return f"{_part(element, 'deg')}√{_in_brackets(_part(element, 'e'))}"


def _operator(element: Element) -> str:
    """A sum, product or integral with its bounds."""
    return f"{_property(element, 'chr', '∫')}{_inner(element)}"


def _delimited(element: Element) -> str:
    inside = _property(element, "sepChr", "|").join(_inner(part) for part in children(element, "e"))
    return f"{_property(element, 'begChr', '(')}{inside}{_property(element, 'endChr', ')')}"


def _rows(element: Element) -> str:
    return "; ".join(equation_text(row) for row in children(element, "mr", "e"))


_MARKED: Mapping[str, Callable[[Element], str]] = {
    "f": _fraction,
    "sup": _script,
    "sub": _script,
    "lim": _limit,
    "rad": _root,
    "nary": _operator,
    "d": _delimited,
    "m": _rows,
    "eqArr": _rows,
}
"""Elements that are more than their parts beside each other."""


def _inner(element: Element, between: str = "") -> str:
    texts = (equation_text(each) for each in element if not local_name(each).endswith("Pr"))
    return between.join(filter(None, texts))


def _part(element: Element, name: str) -> str:
    found = child(element, name)
    return _inner(found) if found is not None else ""


def _in_brackets(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _property(element: Element, name: str, default: str) -> str:
    """A character that the element's properties choose; an empty one says that none is shown."""
    found = child(element, f"{local_name(element)}Pr", name)
    return default if found is None else attribute(found, "val") or ""
