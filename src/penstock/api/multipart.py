"""A multipart form as it arrives: bytes in, parts out, nothing kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from penstock.errors import InvalidRequest

# It logs what is wrong with each form before it raises; the client hears it from us.
logging.getLogger("python_multipart.multipart").setLevel(logging.ERROR)

MAX_HEADERS = 16
MAX_HEADER_BYTES = 16 * 1024
"""A name of 1,024 characters, each percent-encoded as four bytes, fits."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; `filename` as the client tells it, if it does."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """More of the part's content."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartData | PartEnd


class Multipart:
    """Cuts the body of a form into events. However the body is cut into pieces, the parts come out the same."""

    def __init__(self, boundary: bytes) -> None:
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise InvalidRequest(f"The form's boundary cannot be used: {error}.") from error
        self.finished = False
        """Whether the last boundary is read; what comes after it does not matter."""
        self._events: list[Event] = []
        self._disposition = b""
        self._field = b""
        self._value = b""

    def feed(self, piece: bytes) -> list[Event]:
        """What `piece`, the next of the body, brings. Raises `InvalidRequest` where it is no form."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidRequest(f"The form is not valid multipart/form-data: {error}.") from error
        events, self._events = self._events, []
        return events

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        parameters = header_parameters(_decoded(self._disposition))
        if "name" not in parameters:
            raise InvalidRequest("A part of the form has no name; it needs a Content-Disposition with `name`.")
        self._events.append(PartBegin(parameters["name"], parameters.get("filename")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartData(data[start:end]))

    def _on_part_end(self) -> None:
        self._events.append(PartEnd())

    def _on_end(self) -> None:
        self.finished = True


def header_parameters(header: str) -> dict[str, str]:
    """The parameters of a header's value. Those in the form of RFC 2231 (`filename*=UTF-8''…`) go before plain ones."""
    message = Message()
    message["content-disposition"] = "".join(character for character in header if character.isprintable())
    found: dict[str, str] = {}
    for name, value in message.get_params([], header="content-disposition")[1:]:
        if isinstance(value, tuple):
            found[name.lower()] = collapse_rfc2231_value(value)
        else:
            found.setdefault(name.lower(), value)
    return found


def _decoded(header: bytes) -> str:
    """UTF-8, as browsers and curl send it, else Latin-1, which takes anything."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")
