"""Formats that the standard library reads: HTML, EPUB, OpenDocument, XML, mail, CSV, JSON, notebooks, plain text."""

from __future__ import annotations

import csv
import email
import io
import json
import posixpath
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from fidelity.office_truth import local

_RAW = frozenset({"script", "style", "template"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_INLINE = frozenset(
    {
        "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd",
        "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "label",
        "strike", "ruby", "rb", "rt", "rp", "nobr", "acronym", "tspan",
    }
)  # fmt: skip
_WIDE_STARTS = (
    ("utf-16", b"\xff\xfe"), ("utf-16", b"\xfe\xff"), ("utf-16-le", b"M\0"), ("utf-16-be", b"\0M"),
)  # fmt: skip
"""Mail that was saved as UTF-16, which RFC 5322 does not know."""
_SHOWN_HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date")


class _Page(HTMLParser):
    """The text of a page, shown or not, alternative texts with it; no scripts, no styles, menus only if asked for."""

    def __init__(self, *, menus: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._menus = menus
        self._raw: list[str] = []
        """The element that is no text, and those of the same name inside it."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_menu = tag == "nav" or values.get("role") == "navigation" or values.get("aria-hidden") == "true"
        is_menu = is_menu and not self._menus and tag not in _VOID
        if (not self._raw and (tag in _RAW or is_menu)) or self._raw[:1] == [tag]:
            self._raw.append(tag)
        elif tag not in _INLINE:
            self.pieces.append(" ")
        if tag == "img" and not self._raw:
            self.pieces.append(f" {values.get('alt') or ''} ")
        if tag == "meta" and (values.get("name") or "").lower() == "description":
            self.pieces.append(f" {values.get('content') or ''} ")

    def handle_endtag(self, tag: str) -> None:
        if self._raw and self._raw[-1] == tag:
            self._raw.pop()
        elif tag not in _INLINE:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.pieces.append(data)


def html_text(source: str, *, menus: bool = True) -> str:
    page = _Page(menus=menus)
    page.feed(source)
    page.close()
    return "".join(page.pieces)


def page_text(path: Path) -> str:
    """Without menus, and without what is `aria-hidden`: decoration, or said twice."""
    return html_text(plain_text(path), menus=False)


def page_text_with_menus(path: Path) -> str:
    return html_text(plain_text(path))


def plain_text(path: Path) -> str:
    """The file as text: by its byte order mark, else UTF-8, else Japanese or Western Windows; EBCDIC by its ending."""
    data = path.read_bytes()
    if path.suffix == ".ebc":
        return data.decode("cp037")
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp932"):
        try:
            return data.decode(encoding)
        except UnicodeError:
            continue
    return data.decode("cp1252", "replace")


def epub_text(path: Path) -> str:
    """What the book says of itself, but for its number and its language, then the pages of the spine."""
    with zipfile.ZipFile(path) as archive:
        container = ET.fromstring(archive.read("META-INF/container.xml"))
        book = next(each.get("full-path", "") for each in container.iter() if local(each) == "rootfile")
        root = ET.fromstring(archive.read(book))
        described = (each for each in root.iter() if "purl.org/dc/elements" in each.tag)
        found = [each.text or "" for each in described if local(each) not in ("identifier", "language")]
        targets = {each.get("id"): each.get("href", "") for each in root.iter() if local(each) == "item"}
        for reference in (each for each in root.iter() if local(each) == "itemref"):
            name = posixpath.join(posixpath.dirname(book), unquote(targets[reference.get("idref")]))
            found.append(html_text(archive.read(name).decode("utf-8-sig")))
    return " ".join(found)


_ODF_UNSHOWN = frozenset(
    {"tracked-changes", "meta", "settings", "styles", "scripts", "event-listeners", "note-citation"}
)
_ODF_BLANK = frozenset({"s", "tab", "line-break"})


def odf_text(path: Path) -> str:
    """All paragraphs of the content, and of the running headers and footers."""
    with zipfile.ZipFile(path) as archive:
        content = ET.fromstring(archive.read("content.xml"))
        found = list(_odf_pieces(content))
        if "styles.xml" in archive.namelist():
            styles = ET.fromstring(archive.read("styles.xml"))
            for area in (each for each in styles.iter() if local(each).startswith(("header", "footer"))):
                found += _odf_pieces(area)
    return "".join(found)


def _odf_pieces(element: ET.Element, *, inside: bool = False) -> Iterator[str]:
    name = local(element)
    if name in _ODF_UNSHOWN:
        return
    inside = inside or name in ("p", "h")
    if inside and element.text and name not in ("title", "desc", "annotation", "creator", "date"):
        yield element.text
    for child in element:
        yield from _odf_pieces(child, inside=inside)
        if inside and child.tail:
            yield child.tail
    if name in ("p", "h") or name in _ODF_BLANK:
        yield " "


def xml_text(path: Path) -> str:
    """All character data; escaped HTML inside it as its text."""
    texts = (text for text in ET.parse(path).getroot().itertext())
    return " ".join(html_text(text) if "</" in text else text for text in texts)


def mail_text(path: Path) -> str:
    """The shown headers and every text part that is no alternative of one we have; names of attachments."""
    data = path.read_bytes()
    wide = next((encoding for encoding, start in _WIDE_STARTS if data.startswith(start)), None)
    message = email.message_from_bytes(data.decode(wide).encode() if wide else data, policy=default)
    return " ".join(_mail_pieces(message))


def _mail_pieces(message: EmailMessage) -> Iterator[str]:
    as_written = dict(message.raw_items())  # a date is not, when it is read: `4 Jan` becomes `04 Jan`
    shown = {**message, "Date": as_written.get("Date")}
    yield from (f"{name}: {shown[name]}" for name in _SHOWN_HEADERS if shown.get(name))
    yield str(message["Subject"] or "")  # it is the heading, too
    body = message.get_body(("plain", "html"))
    if body is not None:
        yield _part_text(body)
    for part in message.iter_attachments():
        yield f"Attachment: {part.get_filename()}" if part.get_filename() else ""
        if part.get_content_maintype() == "text":
            yield _part_text(part)
        elif part.get_content_type() == "message/rfc822":
            yield from _mail_pieces(part.get_content())


def _part_text(part: Any) -> str:
    content: Any = part.get_content()
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    return html_text(text) if part.get_content_subtype() == "html" else text


def delimited_text(path: Path) -> str:
    """The cells, with the delimiter that occurs most in the first line."""
    text = plain_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    return " ".join(cell for row in csv.reader(io.StringIO(text), delimiter=delimiter) for cell in row)


def json_text(path: Path) -> str:
    """The values of JSON or of lines of JSON; keys are counted apart, since we write them with each value."""
    text = plain_text(path)
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    return " ".join(piece for document in documents for piece in _values(document))


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        container = cast("dict[str, Any] | list[Any]", value)
        for each in container.values() if isinstance(container, dict) else container:
            yield from _values(each)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def notebook_text(path: Path) -> str:
    """The source of the cells and what they printed as text."""
    found: list[str] = []
    for cell in json.loads(plain_text(path))["cells"]:
        found.append("".join(cell["source"]))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            shown = (
                output.get("text") or data.get("text/markdown") or data.get("text/plain") or output.get("evalue", "")
            )
            found.append("".join(shown))
    return "\n".join(found)
