"""Forms, cut into pieces wherever a network may cut them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.multipart import Multipart, PartBegin, PartData, PartEnd, header_parameters
from penstock.api.uploads import MAX_FIELD_BYTES, Upload, read_upload, refuse_too_large
from penstock.errors import InvalidRequest, TooLarge

BOUNDARY = "xX-boundary-Xx"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
BATCH = "0b9ae1c8-9a1e-4c7b-8f5a-3f8f6a1f6c11"


def part(disposition: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def field(name: str, value: str) -> bytes:
    return part(f'name="{name}"', value.encode())


def file(content: bytes, name: str = 'filename="a.txt"') -> bytes:
    return part(f'name="file"; {name}', content)


async def stream(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def upload_of(
    body: bytes | Sequence[bytes], content_type: str = CONTENT_TYPE, **query: str
) -> tuple[Upload, bytes]:
    """The upload, and its content read to the end."""
    pieces = [body] if isinstance(body, bytes) else body
    upload = await read_upload(stream(pieces), content_type, query)
    return upload, b"".join([piece async for piece in upload.content])


TRICKY = b"\r\n--xX-boundary-X\r\n--xX-boundary-Xz\r\n-\r\r\n--\r\n" + bytes(range(256)) + b"\r\n--xX-bound"


async def test_a_form_cut_anywhere_gives_the_same_file() -> None:
    body = form(field("batch", BATCH), field("metadata", '{"a": "ü"}'), file(TRICKY, 'filename="naïve.txt"'))
    for cut in range(len(body) + 1):
        upload, content = await upload_of([body[:cut], body[cut:]])
        assert content == TRICKY
        assert upload.described.name == "naïve.txt"
        assert upload.described.metadata == {"a": "ü"}
        assert str(upload.described.batch) == BATCH


async def test_a_form_that_comes_byte_by_byte_gives_the_same_file() -> None:
    body = form(field("name", "n"), file(TRICKY))
    upload, content = await upload_of([bytes([byte]) for byte in body])
    assert (upload.described.name, content) == ("n", TRICKY)


@settings(max_examples=200, deadline=None)
@given(
    content=st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--xX-boundary-X", b"y", b"\x00\xff"])).map(
        b"".join
    ),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_whatever_the_content_it_comes_out_as_it_went_in(content: bytes, cuts: list[int]) -> None:
    body = form(file(content))
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:end] for start, end in itertools.pairwise(places)]
    _, found = asyncio.run(upload_of(pieces))
    assert found == content


async def test_a_form_that_ends_anywhere_before_its_end_is_refused() -> None:
    body = form(file(b"hello"))
    whole = len(body) - len(b"\r\n")  # what follows the last boundary does not matter
    for length in range(whole):
        with pytest.raises(InvalidRequest):
            await upload_of(body[:length])
    assert (await upload_of(body[:whole]))[1] == b"hello"


async def test_an_empty_file_is_a_file() -> None:
    assert (await upload_of(form(file(b""))))[1] == b""


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (form(field("name", "n")), "no part `file`"),
        (form(), "no part `file`"),
        (b"", "cut short"),
        (b"nonsense", "not valid multipart"),
        (form(file(b"1"), file(b"2")), "two files"),
        (form(file(b"1"), field("metadata", "{}")), "comes after the file"),
        (form(field("colour", "red"), file(b"1")), "'colour'"),
        (form(field("name", "a"), field("name", "b"), file(b"1")), "twice"),
        (form(field("batch", "x"), file(b"1")), "UUID"),
        (form(field("metadata", "[]"), file(b"1")), "JSON object"),
        (form(field("metadata", '{"a": "\\u0000"}'), file(b"1")), "NUL"),
        (form(part('name="metadata"', b"\xff"), file(b"1")), "not UTF-8"),
        (form(field("metadata", "x" * (MAX_FIELD_BYTES + 1)), file(b"1")), "longer than"),
        (form(part('filename="a"', b"1")), "no name"),
        (form(file(b"1", 'filename=""')), "name"),
        (form(part("name=" + "n" * 20_000, b"1")), "not valid multipart"),
    ],
)
async def test_a_form_that_is_wrong_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        await upload_of(body)


async def test_a_form_without_a_usable_boundary_is_refused() -> None:
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 999}",
    ):
        with pytest.raises(InvalidRequest, match="boundary"):
            await upload_of(form(file(b"1")), content_type)


async def test_any_other_body_is_the_file_itself() -> None:
    upload, content = await upload_of([b"ab", b"cd"], "application/x-www-form-urlencoded", name="x", metadata='{"a":1}')
    assert (upload.described.name, upload.described.metadata, content) == ("x", {"a": 1}, b"abcd")
    with pytest.raises(InvalidRequest, match="name"):
        await upload_of(b"abcd", "text/plain")


async def test_the_query_goes_before_the_form() -> None:
    upload, _ = await upload_of(form(field("name", "form"), field("metadata", '{"a": 1}'), file(b"1")), name="query")
    assert (upload.described.name, upload.described.metadata) == ("query", {"a": 1})


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ('filename="plain.txt"', "plain.txt"),
        ("filename=plain.txt", "plain.txt"),
        ('filename="日本語 λ.pdf"', "日本語 λ.pdf"),
        ('filename="with \\"quotes\\".txt"', 'with "quotes".txt'),
        ('filename="semi;colon=x.txt"', "semi;colon=x.txt"),
        ("filename=\"fallback.txt\"; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
        ("filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ('filename="a\x01\x7f\tb.txt"', "ab.txt"),
        ('filename="  ../up/a.txt "', "../up/a.txt"),
    ],
)
async def test_the_name_is_kept_as_far_as_it_can_be(told: str, name: str) -> None:
    upload, _ = await upload_of(form(file(b"1", told)))
    assert upload.described.name == name


async def test_a_name_in_latin_1_is_read_as_such() -> None:
    body = part('name="file"; filename="caf?.txt"', b"1").replace(b"?", b"\xe9")
    assert (await upload_of(form(body)))[0].described.name == "café.txt"


async def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="1,024"):
        await upload_of(form(file(b"1", f'filename="{"ü" * 1025}"')))
    assert (await upload_of(form(file(b"1", f'filename="{"ü" * 1024}"'))))[1] == b"1"


def test_events_hold_no_more_than_the_piece_that_brought_them() -> None:
    multipart = Multipart(BOUNDARY.encode())
    assert multipart.feed(file(b"")[:-2]) == [PartBegin("file", "a.txt")]
    assert multipart.feed(b"abc") == [PartData(b"abc")]
    assert multipart.feed(f"\r\n--{BOUNDARY}--".encode()) == [PartEnd()]
    assert multipart.finished
    assert multipart.feed(b"epilogue") == []


def test_a_header_that_means_nothing_has_no_parameters() -> None:
    assert header_parameters("") == {}
    assert header_parameters("form-data") == {}
    assert header_parameters("form-data; name") == {"name": ""}


def test_a_length_that_cannot_fit_is_refused_before_the_body_is_read() -> None:
    refuse_too_large(None, max_bytes=10)
    refuse_too_large("10", max_bytes=10)
    refuse_too_large("nonsense", max_bytes=10)
    with pytest.raises(TooLarge, match="limit"):
        refuse_too_large(str(10 * 2**20), max_bytes=10)
