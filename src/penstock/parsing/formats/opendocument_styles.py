"""What the styles of an OpenDocument file say of its text: numbers of lists, titles, what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.parsing.formats.ooxml import Element, attribute, children, local_name
from penstock.parsing.formats.word_lists import ListLabels, ListLevel, NumberedList

MOST_ANCESTORS = 16
"""Styles that a style is based on."""
_FORMATS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "": "none"}
"""By their sign; every other one is near enough to plain numbers."""


@dataclass
class Styles:
    """Gathered from the file's styles and from those of its content."""

    parents: dict[str, str] = field(default_factory=dict[str, str])
    hidden: set[str] = field(default_factory=set[str])
    """Of sheets and slides that are not shown."""
    labels: ListLabels = field(default_factory=lambda: ListLabels({}))
    _list: Element | None = None
    """The outermost list that the last item stood in."""

    def add(self, root: Element) -> None:
        """What is below `root`."""
        lists = dict(self.labels.lists)
        for style in root.iter("{*}style", "{*}list-style"):
            name = attribute(style, "name") or ""
            if local_name(style) == "list-style":
                lists[name] = NumberedList(name, dict(_levels(style)))
            else:
                self.parents[name] = attribute(style, "parent-style-name") or ""
                if any(_hides(properties) for properties in style):
                    self.hidden.add(name)
        self.labels = ListLabels(lists, self.labels.counts)

    def is_title(self, paragraph: Element) -> bool:
        """Whether the paragraph is of the style "Title", which has this name in every language."""
        name = attribute(paragraph, "style-name") or ""
        for _ in range(MOST_ANCESTORS):
            if name == "Title":
                return True
            name = self.parents.get(name, "")
        return False

    def is_hidden(self, element: Element) -> bool:
        """Whether a sheet or a slide is not shown."""
        return (attribute(element, "style-name") or "") in self.hidden

    def label(self, paragraph: Element) -> str | None:
        """What is shown before the paragraph as an item of a list; None where it is none, empty for a bullet."""
        item = paragraph.getparent()
        if item is None or local_name(item) != "list-item" or paragraph.getprevious() is not None:
            return None
        around = list(item.iterancestors("{*}list"))
        if not around:
            return None
        name = next((style for each in around if (style := attribute(each, "style-name"))), "")
        if around[-1] is not self._list:
            self._list = around[-1]
            if attribute(self._list, "continue-numbering") != "true" and not attribute(self._list, "continue-list"):
                self.labels.counts.pop(name, None)
        if (start := attribute(item, "start-value") or "").isdecimal():
            self.labels.counts.setdefault(name, {})[len(around)] = int(start) - 1
        return self.labels.next_label((name, len(around))) or ""


def _hides(properties: Element) -> bool:
    return attribute(properties, "visibility") == "hidden" or (
        local_name(properties) == "table-properties" and attribute(properties, "display") == "false"
    )


def _levels(style: Element) -> Iterator[tuple[int, ListLevel]]:
    """By depth from 1."""
    for element in children(style, "list-level-style-number", "list-level-style-bullet"):
        depth = attribute(element, "level") or ""
        if depth.isdecimal() and 1 <= int(depth) <= 9:
            is_bullet = local_name(element) == "list-level-style-bullet"
            yield (
                int(depth),
                ListLevel(*_numbering(element, int(depth))) if not is_bullet else ListLevel(1, "bullet", ""),
            )


def _numbering(element: Element, depth: int) -> tuple[int, str, str]:
    """Start, style and pattern: as many levels as the style shows, with dots between."""
    start = attribute(element, "start-value") or "1"
    shown = attribute(element, "display-levels") or "1"
    first = depth - min(int(shown) if shown.isdecimal() else 1, depth) + 1
    # A level's own number stands behind `%`, as in Word's patterns, which count the levels from 0.
    numbers = ".".join(f"%{level + 1}" for level in range(first, depth + 1))
    pattern = f"{attribute(element, 'num-prefix') or ''}{numbers}{attribute(element, 'num-suffix') or ''}"
    style = _FORMATS.get(attribute(element, "num-format") or "", "decimal")
    return int(start) if start.isdecimal() else 1, style, pattern
