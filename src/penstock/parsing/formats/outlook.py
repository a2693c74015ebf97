"""Outlook messages ([MS-OXMSG]): properties as streams of a compound file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.compound import CompoundFile, open_compound
from penstock.parsing.encoding import believed, code_page, decoded
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.embedded import MAX_DEPTH, EmbeddedFiles, labelled
from penstock.parsing.formats.html import html_blocks
from penstock.parsing.formats.plain import paragraphs
from penstock.parsing.formats.rtf import decompressed, rtf_blocks

SUBJECT, SENDER_NAME, BODY, HTML_BODY, RTF_BODY = "0037", "0C1A", "1000", "1013", "1009"
SENDER_ADDRESSES = ("5D01", "5D02", "0C1F", "0065")
RECIPIENT_NAME, RECIPIENT_ADDRESSES = "3001", ("39FE", "3003")
ATTACHMENT_DATA, ATTACHMENT_NAMES = "3701", ("3707", "3704", "3001")
SENT, DELIVERED = 0x0039_0040, 0x0E06_0040
MESSAGE_CODE_PAGE, INTERNET_CODE_PAGE = 0x3FFD_0003, 0x3FDE_0003
RECIPIENT_KIND = 0x0C15_0003
RECIPIENT_LABELS = {1: "To", 2: "Cc", 3: "Bcc"}

SHOWN_RECIPIENTS = ("0E04", "0E03", "0E02")
"""Their names in one line, where the recipients themselves are missing."""

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Storage:
    """A message, a recipient or an attachment: a folder of properties."""

    file: CompoundFile
    path: tuple[str, ...] = ()
    charset: str = ""
    """Of the strings that are not Unicode."""

    def text(self, *tags: str) -> str:
        """The first of these properties that has text."""
        for tag in tags:
            for kind in ("001F", "001E"):
                if data := self.bytes(tag, kind):
                    text = data.decode("utf-16-le", "replace") if kind == "001F" else self._narrow(data)
                    if text.strip("\0 \r\n"):
                        return text.rstrip("\0")
        return ""

    def _narrow(self, data: bytes) -> str:
        return decoded(data, believed(self.charset, data))

    def bytes(self, tag: str, kind: str = "0102") -> bytes:
        path = (*self.path, f"__SUBSTG1.0_{tag}{kind}")
        return self.file.read(*path) if path in self.file.streams else b""

    def fixed(self, tag: int) -> bytes:
        """The eight bytes of a property of fixed size."""
        path = (*self.path, "__PROPERTIES_VERSION1.0")
        data = self.file.read(*path) if path in self.file.streams else b""
        # The table's header is of 8, 24 or 32 bytes, its entries of 16.
        for at in range(len(data) % 16, len(data) - 15, 16):
            if struct.unpack_from("<I", data, at)[0] == tag:
                return data[at + 8 : at + 16]
        return b""

    def folders(self, prefix: str) -> list[_Storage]:
        """The storages directly inside whose names begin with `prefix`."""
        depth = len(self.path)
        names = {path[depth] for path in self.file.streams if len(path) > depth + 1 and path[:depth] == self.path}
        return [replace(self, path=(*self.path, name)) for name in sorted(names) if name.startswith(prefix)]


def read_outlook(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    message = _Storage(open_compound(path))
    number = int.from_bytes((message.fixed(MESSAGE_CODE_PAGE) or message.fixed(INTERNET_CODE_PAGE))[:4], "little")
    return _message(replace(message, charset=(code_page(number) if number else None) or ""), embedded)


def _message(message: _Storage, embedded: EmbeddedFiles) -> Iterator[Block]:
    yield Block(one_line(message.text(SUBJECT)), BlockKind.HEADING, 1)
    yield Block("\n".join(_headers(message)))
    yield from _body(message)
    for attachment in message.folders("__ATTACH_VERSION1.0_"):
        yield from _attachment(attachment, embedded)


def _headers(message: _Storage) -> Iterator[str]:
    if sender := _person(message, SENDER_ADDRESSES, SENDER_NAME):
        yield f"From: {sender}"
    people: dict[str, list[str]] = {}
    for recipient in message.folders("__RECIP_VERSION1.0_"):
        kind = int.from_bytes(recipient.fixed(RECIPIENT_KIND)[:4], "little")
        person = _person(recipient, RECIPIENT_ADDRESSES, RECIPIENT_NAME)
        people.setdefault(RECIPIENT_LABELS.get(kind & 0xF, "To"), []).append(person)
    for label, shown in zip(RECIPIENT_LABELS.values(), SHOWN_RECIPIENTS, strict=True):
        if listed := ", ".join(filter(None, people.get(label, []))) or one_line(message.text(shown)):
            yield f"{label}: {listed}"
    if subject := one_line(message.text(SUBJECT)):
        yield f"Subject: {subject}"
    if date := _date(message):
        yield f"Date: {date}"


def _person(storage: _Storage, address_tags: Sequence[str], name_tag: str) -> str:
    """`address (name)`. Exchange's own addresses (`/O=…/CN=…`) say nothing to people."""
    found = (one_line(storage.text(tag)) for tag in address_tags)
    address = next((each for each in found if "@" in each), "")
    name = one_line(storage.text(name_tag)).strip("'\"")
    return f"{address} ({name})" if address and name and name != address else address or name


def _date(message: _Storage) -> str:
    """When it was sent, in UTC."""
    for tag in (SENT, DELIVERED):
        ticks = int.from_bytes(message.fixed(tag), "little")
        if 0 < ticks < 1 << 62:
            return (_EPOCH + timedelta(microseconds=ticks // 10)).strftime("%Y-%m-%d %H:%M:%S UTC")
    return ""


def _body(message: _Storage) -> Iterator[Block]:
    """Plain text, else HTML, else what is compressed RTF."""
    if plain := message.text(BODY):
        yield from paragraphs(plain.splitlines(keepends=True))
    elif page := decoded(message.bytes(HTML_BODY)) or message.text(HTML_BODY):
        yield from html_blocks(page[at : at + _PIECE] for at in range(0, len(page), _PIECE))
    elif compressed := message.bytes(RTF_BODY):
        yield from rtf_blocks(decompressed(compressed))


def _attachment(attachment: _Storage, embedded: EmbeddedFiles) -> Iterator[Block]:
    name = one_line(attachment.text(*ATTACHMENT_NAMES))
    inner = attachment.folders(f"__SUBSTG1.0_{ATTACHMENT_DATA}000D")
    if not inner:
        yield from embedded.attachment(name, attachment.bytes(ATTACHMENT_DATA))
    elif embedded.depth < MAX_DEPTH:
        yield from labelled("Attachment", name, _message(inner[0], embedded.deeper))
