"""Damage to the objects of a PDF, with lengths and the cross-reference table made to fit again."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from random import Random

Mutate = Callable[[bytes, Random], bytes]

_OBJECT = re.compile(rb"(?<!\d)(\d{1,7})\s+\d{1,5}\s+obj\b(.*?)(?:endobj|(?=\d+ \d+ obj\b))", re.DOTALL)
_STREAM = re.compile(rb"(.*?>>)\s*stream\r?\n(.*?)\r?\n?endstream", re.DOTALL)
_REFERENCE = re.compile(rb"(?<![\d.])(\d{1,7})\s+0\s+R\b")
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])(?!\s+\d+\s+R)")
_NAME = re.compile(rb"/[A-Za-z][\w.#+-]*")
_ROOT = re.compile(rb"/Root\s+(\d+)\s+\d+\s+R")
LONGEST_STREAM = 4 * 1024 * 1024


def damaged_pdf(data: bytes, random: Random, *, mutate: Mutate, numbers: Sequence[bytes]) -> bytes | None:
    """One object changed, the file written anew around it; None where there are no objects.

    `mutate` changes what is inside a stream.
    """
    objects = _objects(data)
    root = _ROOT.search(data)
    if not objects or not root:
        return None
    changed = random.choice(sorted(objects))
    body = objects[changed]
    stream = _STREAM.match(body)
    if stream and random.random() < 0.6:
        objects[changed] = _with_stream(stream, mutate, random)
    else:
        objects[changed] = random.choice(_CHANGES)(body, random, sorted(objects), numbers)
    if random.random() < 0.1:
        del objects[random.choice(sorted(objects))]
    return _written(objects, int(root[1]))


def _objects(data: bytes) -> dict[int, bytes]:
    """Object number → what stands between `obj` and `endobj`; the objects of object streams stand alone."""
    objects: dict[int, bytes] = {}
    for found in _OBJECT.finditer(data):
        body = found[2].strip()
        if b"/XRef" in body[:200]:
            continue
        if b"/ObjStm" in body[:200]:
            objects.update(_packed_objects(body))
        else:
            objects[int(found[1])] = body
    return objects


def _packed_objects(body: bytes) -> dict[int, bytes]:
    stream, first = _STREAM.match(body), re.search(rb"/First\s+(\d+)", body)
    if not stream or not first:
        return {}
    content, start = _inflated(stream[2]), int(first[1])
    places = [int(number) for number in content[:start].split() if number.isdigit()]
    starts = [start + offset for offset in places[1::2]] + [len(content)]
    return {
        number: content[starts[at] : starts[at + 1]].strip()
        for at, number in enumerate(places[: len(starts) * 2 - 2 : 2])
    }


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, LONGEST_STREAM)
    except zlib.error:
        return data


def _with_stream(stream: re.Match[bytes], mutate: Mutate, random: Random) -> bytes:
    """The stream's content changed, and packed again if it was; its declared length is then true."""
    head, content = stream[1], stream[2]
    if b"/FlateDecode" in head and b"/Predictor" not in head:
        content = zlib.compress(mutate(_inflated(content), random), 1)
    else:
        content = mutate(content, random)
    head = re.sub(rb"/Length\s+\d+(?:\s+\d+\s+R)?", b"/Length %d" % len(content), head)
    return head + b"\nstream\n" + content + b"\nendstream"


def _set_number(body: bytes, random: Random, others: Sequence[int], numbers: Sequence[bytes]) -> bytes:
    del others
    return _replaced(_NUMBER, body, random, random.choice(numbers))


def _redirect(body: bytes, random: Random, others: Sequence[int], numbers: Sequence[bytes]) -> bytes:
    """A reference to another object: kinds mixed up, rings."""
    del numbers
    return _replaced(_REFERENCE, body, random, b"%d 0 R" % random.choice(others))


def _rename(body: bytes, random: Random, others: Sequence[int], numbers: Sequence[bytes]) -> bytes:
    del others, numbers
    names = [b"/Kids", b"/Parent", b"/Contents", b"/Resources", b"/Font", b"/ToUnicode", b"/Nope", *_NAME.findall(body)]
    return _replaced(_NAME, body, random, random.choice(names))


def _nest(body: bytes, random: Random, others: Sequence[int], numbers: Sequence[bytes]) -> bytes:
    del numbers
    depth = random.choice((5, 500, 50_000))
    value = random.choice(
        (b"[" * depth + b"]" * depth, b"<</A " * depth, b"(" * depth, b"%d 0 R" % random.choice(others))
    )
    return _replaced(_NUMBER if random.random() < 0.5 else _REFERENCE, body, random, value)


def _become(body: bytes, random: Random, others: Sequence[int], numbers: Sequence[bytes]) -> bytes:
    """Something else altogether."""
    del body
    return random.choice((b"null", b"[]", b"<<>>", b"()", random.choice(numbers), b"%d 0 R" % random.choice(others)))


_CHANGES = (_set_number, _set_number, _redirect, _redirect, _rename, _nest, _become)


def _replaced(pattern: re.Pattern[bytes], body: bytes, random: Random, value: bytes) -> bytes:
    found = list(pattern.finditer(body.partition(b"stream")[0]))
    if not found:
        return value + b" " + body
    one = random.choice(found)
    return body[: one.start()] + value + body[one.end() :]


def _written(objects: dict[int, bytes], root: int) -> bytes:
    written = bytearray(b"%PDF-1.7\n")
    places: dict[int, int] = {}
    for number, body in sorted(objects.items()):
        places[number] = len(written)
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(written)
    written += b"xref\n0 1\n0000000000 65535 f \n"
    for number, at in places.items():
        written += b"%d 1\n%010d 00000 n \n" % (number, at)
    size = max(places, default=0) + 1
    return bytes(written) + b"trailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, table)
