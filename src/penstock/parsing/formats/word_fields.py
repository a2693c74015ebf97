"""What people fill into Word documents: content controls, and the form fields that came before them."""

from __future__ import annotations

from penstock.parsing.formats.ooxml import Element, attribute, child, children

_FILLED_IN = ("text", "comboBox", "dropDownList", "date", "checkbox", "checkBox")
_TICKED, _UNTICKED = "☒", "☐"


def fills_in(control: Element) -> bool:
    """Whether a content control (`w:sdt`) takes an answer; others only group text, such as a table of contents."""
    properties = child(control, "sdtPr")
    return properties is not None and next(children(properties, *_FILLED_IN), None) is not None


def field_result(form_field: Element) -> str:
    """The chosen entry of a drop-down or the tick of a box (`w:ffData`), which are no runs; text fields' text is."""
    choice, box = child(form_field, "ddList"), child(form_field, "checkBox")
    if choice is not None:
        entries = [attribute(entry, "val") or "" for entry in children(choice, "listEntry")]
        at = _value(choice, "result") or _value(choice, "default") or "0"
        return entries[int(at)] if at.isdecimal() and int(at) < len(entries) else ""
    if box is not None:
        state = next(children(box, "checked"), None)
        state = state if state is not None else child(box, "default")
        is_ticked = state is not None and (attribute(state, "val") or "1") in ("1", "true", "on")
        return _TICKED if is_ticked else _UNTICKED
    return ""


def _value(element: Element, name: str) -> str | None:
    found = child(element, name)
    return attribute(found, "val") if found is not None else None
