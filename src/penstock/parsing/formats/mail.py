"""Mail: one message (eml) or a box of them (mbox), with what is attached."""

from __future__ import annotations

import email
import email.errors
import re
from collections.abc import Iterator
from dataclasses import replace
from email.header import decode_header
from email.message import Message
from email.policy import compat32
from functools import partial
from pathlib import Path
from typing import Any, cast

from penstock.chunking.document import Block, BlockKind
from penstock.parsing.encoding import SAMPLE_BYTES, believed, decoded, find_encoding
from penstock.parsing.formats.cleaning import one_line
from penstock.parsing.formats.embedded import EmbeddedFiles
from penstock.parsing.formats.html import html_blocks
from penstock.parsing.formats.plain import paragraphs

SHOWN_HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date")
MAX_PARTS = 1_000
MAX_MESSAGE_BYTES = 256 * 1024**2
"""Of one message in a box; what is beyond is cut off."""

_MACHINERY = frozenset({"text/css", "text/javascript", "application/javascript", "application/x-javascript"})
"""What a saved web page (mht) brings along to be shown."""
LONGEST_HEADER = 64 * 1024
"""Bytes of a header's line. Python's parser makes patterns and many copies of one of four megabytes."""
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_LONG_HEADER = re.compile(rb"^[\w-]{1,80}:[^\r\n]{%d,}" % LONGEST_HEADER, re.MULTILINE)
_POSTMARK = re.compile(rb"From \S.{0,250}\d{4}\s{0,4}$")
_PIECE = 64 * 1024


def read_mail(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    return _message_blocks(_parse(path.read_bytes()), embedded=embedded)


def read_mailbox(path: Path, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    """Each message after the other; one is in memory at a time."""
    for page, message in enumerate(_split_box(path), start=1):
        for block in _message_blocks(_parse(message), embedded=embedded):
            yield replace(block, page=page)


def _split_box(path: Path) -> Iterator[bytes]:
    """The messages between the `From ` lines."""
    held: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in iter(partial(file.readline, _PIECE), b""):
            if held and _POSTMARK.match(line):
                yield b"".join(held)
                held, size = [], 0
            if size < MAX_MESSAGE_BYTES and not _POSTMARK.match(line):
                held.append(line)
                size += len(line)
    yield b"".join(held)


def _parse(data: bytes) -> Message:
    encoding = find_encoding(data[:SAMPLE_BYTES]) or ""
    if encoding.startswith(("utf-16", "utf-32", "utf-8-sig")):  # an editor saved it so: no mail program does
        data = decoded(data, encoding).encode("utf-8", "surrogatepass")
    found = _HEADERS_END.search(data)
    end = found.start() if found else len(data)
    if end > LONGEST_HEADER:
        data = _LONG_HEADER.sub(lambda line: line[0][:LONGEST_HEADER], data[:end]) + data[end:]
    # compat32 reads any header; the newer policies raise on several kinds of broken ones.
    return email.message_from_bytes(data, policy=compat32)


def _message_blocks(message: Message, *, embedded: EmbeddedFiles) -> Iterator[Block]:
    yield Block(_header(message, "Subject"), BlockKind.HEADING, 1)
    shown = ((name, _header(message, name)) for name in SHOWN_HEADERS)
    yield Block("\n".join(f"{name}: {value}" for name, value in shown if value))
    for part in _readable_parts(message):
        if _is_body(part):
            yield from _body_blocks(part)
        elif part.get_filename() or part.get_content_type() not in _MACHINERY:
            yield from _attachment(part, embedded)


def _readable_parts(message: Message) -> list[Message]:
    """The parts in order; of alternatives the plain text, or what comes instead."""
    pending, found = [message], list[Message]()
    while pending and len(found) < MAX_PARTS:
        part = pending.pop()
        inner = _inner_messages(part)
        if part.get_content_type() == "message/rfc822" or not inner:
            found.append(part)
        elif part.get_content_subtype() == "alternative":
            pending += _best_alternative(inner)
        else:
            pending += reversed(inner)
    return found


def _inner_messages(part: Message) -> list[Message]:
    """The parts of a multipart, the one message of a forwarded message, else nothing."""
    inner: Any = part.get_payload()
    return cast("list[Message]", inner) if isinstance(inner, list) else []


def _best_alternative(parts: list[Message]) -> list[Message]:
    """Plain text that says as much as the others; else the last, which the sender likes best."""
    plain = [part for part in parts if part.get_content_type() == "text/plain" and _payload(part).strip()]
    is_stub = plain and 2 * _word_count(plain[0]) < max(map(_word_count, parts))
    return parts[-1:] if is_stub else plain[:1] or parts[-1:]


def _word_count(part: Message) -> int:
    """Of what is shown of a text; 0 for anything else, and for parts within parts."""
    return sum(len(block.text.split()) for block in _body_blocks(part)) if _is_body(part) else 0


def _is_body(part: Message) -> bool:
    return part.get_content_type() in ("text/plain", "text/html") and not part.get_filename()


def _body_blocks(part: Message) -> Iterator[Block]:
    text = _text(part)
    if part.get_content_type() == "text/html":
        return html_blocks(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return paragraphs(text.splitlines(keepends=True))


def _text(part: Message) -> str:
    data = _payload(part)
    return decoded(data, believed(part.get_content_charset() or "", data))


def _payload(part: Message) -> bytes:
    """The decoded bytes of a part; broken base64 gives what there is."""
    if inner := _inner_messages(part):
        return b"".join(item.as_bytes() for item in inner)
    data: Any = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _attachment(part: Message, embedded: EmbeddedFiles) -> Iterator[Block]:
    name = one_line(_decoded_header(part.get_filename() or ""))
    return embedded.attachment(name, _payload(part))


def _header(message: Message, name: str) -> str:
    # As they stand in the message: elsewhere bytes beyond ASCII are question marks already.
    values = (str(value) for each, value in message.raw_items() if each.lower() == name.lower())
    return one_line(", ".join(map(_decoded_header, values)))


def _decoded_header(value: str) -> str:
    """Encoded words (RFC 2047) as text; raw 8-bit headers by their likely encoding."""
    try:
        parts = decode_header(value)
    except (ValueError, email.errors.MessageError):
        parts = [(value, None)]
    # Each part by itself: what `make_header` makes of them fails as a whole where one word breaks its charset.
    text = "".join(_header_part(part, label) for part, label in parts)
    # Some write Japanese or bytes beyond ASCII into headers as they are.
    return decoded(text.encode("utf-8", "surrogateescape")) if re.search("[\udc80-\udcff]|\x1b\\$", text) else text


def _header_part(part: str | bytes, label: str | None) -> str:
    if isinstance(part, str):
        return part
    if label is None:  # as `decode_header` packs what stands between encoded words
        return part.decode("raw-unicode-escape", "replace")
    return decoded(part, believed(label.partition("*")[0], part))
