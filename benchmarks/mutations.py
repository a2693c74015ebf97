"""Damage made by chance: bytes, text, XML, zip members and compound files, changed as no sound program leaves them."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random

from pdf_mutations import damaged_pdf

from penstock.errors import FileError
from penstock.parsing.compound import MAGIC, CompoundFile

Mutation = Callable[[bytes, Random], bytes]

LONGEST = 4 * 1024 * 1024
"""Bytes of a mutated file; what has grown further is cut, or the run would measure the disk."""
DEEPEST = 20_000
INTEGERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
    2**63,
)
NUMBERS = (
    b"", b"0", b"-1", b"1", b"255", b"65535", b"65536", b"1048577", b"2147483647", b"2147483648", b"-2147483648",
    b"4294967295", b"9223372036854775808", b"18446744073709551616", b"1e308", b"-1e400", b"0.0000001", b"NaN", b"inf",
    b"9" * 400, b"9" * 5000, b"\xd9\xa3", b"1/2",
)  # fmt: skip
ODDITIES = (
    b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\x1f", b"\x1a", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xcc\x81" * 500, b"\\u0000", b"\\ud800", b"&#0;", b"&#x110000;", b"&nope;",
    b"=?utf-8?b?/w==?=", b"=?utf-8?q?=?=", b'"', b"'", b"<", b"]]>", b"-->", b"\\", b"%", b"\r", b"\x85", b"\\'",
    b"\\bin99999999 ", b"\\u-99999 ", b"\\uc9999 ", b"```", b"$$", b"\n\n", b"--=_", b"!!python/object",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "utf-7", "shift_jis", "gb18030", "cp1251", "iso2022_jp", "latin-1")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_TAG = re.compile(rb"<[^<>]+>")
_ATTRIBUTE = re.compile(rb'[\w:.-]+="([^"]*)"')
_BILLION = (
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;'
    b'&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;"><!ENTITY x SYSTEM "/etc/passwd">]>'
)


def mutated(data: bytes, random: Random) -> bytes:
    """`data` with one to three changes of a kind that suits it."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = _mutation_for(data, random)(data, random)[:LONGEST]
    return data


def _mutation_for(data: bytes, random: Random) -> Mutation:
    """Every fourth time plain damage to the bytes, whatever they are."""
    if random.random() < 0.25 or not data:
        return damaged_bytes
    for magic, mutation in ((b"PK", damaged_zip), (MAGIC, damaged_compound), (b"%PDF", _damaged_pdf)):
        if magic in data[:1024]:
            return mutation
    if data.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<") and random.random() < 0.7:
        return damaged_xml
    return damaged_bytes if 0 in data[:1024] else damaged_text


def _damaged_pdf(data: bytes, random: Random) -> bytes:
    return damaged_pdf(data, random, mutate=mutated, numbers=NUMBERS) or damaged_bytes(data, random)


# ---- bytes ----


def damaged_bytes(data: bytes, random: Random) -> bytes:
    if not data:
        return random.randbytes(random.randrange(64))
    return random.choice(_ON_BYTES)(data, random)


def _span(data: bytes, random: Random, longest: int = 4096) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, min(len(data), start + random.randint(1, random.choice((4, 64, longest))))


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 64))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut_short(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def drop_block(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def repeat_block(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50, 1000)) + data[end:]


def swap_blocks(data: bytes, random: Random) -> bytes:
    first, second, third, fourth = sorted(random.randrange(len(data) + 1) for _ in range(4))
    return data[:first] + data[third:fourth] + data[second:third] + data[first:second] + data[fourth:]


def fill_block(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + random.choice((b"\0", b"\xff", b" ", b"A")) * (end - start) + data[end:]


def insert_noise(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 8, 512))) + data[at:]


def set_integer(data: bytes, random: Random) -> bytes:
    """A binary number of one to eight bytes to one of those at which programs err."""
    return _with_integer(data, random.randrange(len(data)), random)


def _with_integer(data: bytes, at: int, random: Random) -> bytes:
    width = random.choice((1, 2, 2, 4, 4, 4, 8))
    number = random.choice(INTEGERS) & (256**width - 1)
    return data[:at] + number.to_bytes(width, random.choice(("little", "little", "big"))) + data[at + width :]


_ON_BYTES: Sequence[Mutation] = (
    flip_bits, flip_bits, cut_short, drop_block, repeat_block, swap_blocks, fill_block, insert_noise, set_integer,
)  # fmt: skip


# ---- text ----


def damaged_text(data: bytes, random: Random) -> bytes:
    return random.choice(_ON_TEXT)(data, random)


def set_number(data: bytes, random: Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return insert_oddity(data, random)
    number = random.choice(found)
    return data[: number.start()] + random.choice(NUMBERS) + data[number.end() :]


def insert_oddity(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(ODDITIES) * random.choice((1, 1, 3, 5000)) + data[at:]


def nest(data: bytes, random: Random) -> bytes:
    """Brackets within brackets, closed or not."""
    opening, closing = random.choice(
        ((b"{", b"}"), (b"[", b"]"), (b"<a>", b"</a>"), (b"(", b")"), (b"> ", b""), (b"  ", b""), (b'{"a":', b"}"),
         (b"<table><tr><td>", b"</td></tr></table>"), (b"{\\b ", b"}"), (b"#", b""), (b"*", b""), (b"\t", b"\t"))
    )  # fmt: skip
    at, depth = random.randrange(len(data) + 1), random.choice((3, 300, DEEPEST))
    return data[:at] + opening * depth + data[at : at + 200] + closing * random.choice((depth, 0)) + data[at + 200 :]


def shuffle_lines(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines)) if lines else 0
    match random.randrange(4):
        case 0:
            del lines[at : at + random.randint(1, 5)]
        case 1:
            lines[at:at] = lines[at : at + random.randint(1, 5)] * random.choice((1, 20, 2000))
        case 2:
            random.shuffle(lines)
        case _:
            lines = [line.rstrip(b"\r\n") for line in lines]
    return b"".join(lines)


def transcode(data: bytes, random: Random) -> bytes:
    """The same text in another encoding, whatever it declares of itself."""
    return data.decode("utf-8", "replace").encode(random.choice(ENCODINGS), "ignore")


_ON_TEXT: Sequence[Mutation] = (set_number, set_number, insert_oddity, nest, shuffle_lines, shuffle_lines, transcode)


# ---- XML ----


def damaged_xml(data: bytes, random: Random) -> bytes:
    return random.choice(_ON_XML)(data, random)


def drop_tag(data: bytes, random: Random) -> bytes:
    return _with_tag(data, random, lambda _: b"")


def repeat_element(data: bytes, random: Random) -> bytes:
    """From one tag to another once more, or thousands of times."""
    tags = list(_TAG.finditer(data))
    if not tags:
        return damaged_bytes(data, random)
    first = random.randrange(len(tags))
    last = tags[min(first + random.randint(1, 8), len(tags) - 1)]
    element = data[tags[first].start() : last.end()]
    return data[: last.end()] + element * random.choice((1, 3, 2000)) + data[last.end() :]


def nest_element(data: bytes, random: Random) -> bytes:
    depth = random.choice((3, 300, DEEPEST))

    def nested(tag: bytes) -> bytes:
        name = tag[1:-1].split()[0].strip(b"/") or b"a"
        return (
            tag * depth if random.random() < 0.5 else tag + (b"<" + name + b">") * depth + (b"</" + name + b">") * depth
        )

    return _with_tag(data, random, nested)


def set_attribute(data: bytes, random: Random) -> bytes:
    """To an extreme number, to nothing, or to what another attribute says."""
    values = list(_ATTRIBUTE.finditer(data))
    if not values:
        return set_number(data, random)
    one = random.choice(values)
    value = random.choice((random.choice(NUMBERS), random.choice(values)[1], b"../../../etc/passwd", b"A" * 10_000))
    return data[: one.start(1)] + value + data[one.end(1) :]


def drop_attribute(data: bytes, random: Random) -> bytes:
    values = list(_ATTRIBUTE.finditer(data))
    if not values:
        return drop_tag(data, random)
    one = random.choice(values)
    return data[: one.start()] + data[one.end() :]


def swap_tags(data: bytes, random: Random) -> bytes:
    """Elements where their vocabulary does not let them stand."""
    tags = list(_TAG.finditer(data))
    return _with_tag(data, random, lambda _: random.choice(tags)[0])


def declare(data: bytes, random: Random) -> bytes:
    """Entities that multiply or ask for files, or another encoding than the text has."""
    if random.random() < 0.5:
        encoding = random.choice(ENCODINGS).encode()
        return b'<?xml version="1.0" encoding="' + encoding + b'"?>' + re.sub(rb"^<\?xml[^>]*\?>", b"", data)
    end = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
    text = data.find(b"</", end)
    return data[:end] + _BILLION + data[end:text] + b"&f;&x;" + data[text:]


def _with_tag(data: bytes, random: Random, change: Callable[[bytes], bytes]) -> bytes:
    tags = list(_TAG.finditer(data))
    if not tags:
        return damaged_bytes(data, random)
    tag = random.choice(tags)
    return data[: tag.start()] + change(tag[0]) + data[tag.end() :]


_ON_XML: Sequence[Mutation] = (
    drop_tag, repeat_element, nest_element, set_attribute, set_attribute, drop_attribute, swap_tags, declare,
    damaged_text,
)  # fmt: skip


# ---- zip containers ----


def damaged_zip(data: bytes, random: Random) -> bytes:
    """A member changed by its own kind and packed again; members missing, twice, misnamed; headers that lie."""
    try:
        members = _members(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        return damaged_bytes(data, random)
    if not members:
        return damaged_bytes(data, random)
    change = random.choice((_change_member,) * 6 + (_drop_member, _twin_member, _swap_members))
    change(members, random)
    packed = _packed(members)
    return _with_lies(packed, random) if random.random() < 0.1 else packed


def _members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist() if info.file_size < LONGEST]


def _packed(members: list[tuple[str, bytes]]) -> bytes:
    written = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # two members of one name: wanted here
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return written.getvalue()


def _change_member(members: list[tuple[str, bytes]], random: Random) -> None:
    at = random.randrange(len(members))
    name, content = members[at]
    members[at] = name, mutated(content, random)


def _drop_member(members: list[tuple[str, bytes]], random: Random) -> None:
    del members[random.randrange(len(members))]


def _twin_member(members: list[tuple[str, bytes]], random: Random) -> None:
    """A second member of the same name, or one that differs by case only."""
    name, content = random.choice(members)
    members.append((random.choice((name, name.swapcase())), mutated(content, random)))


def _swap_members(members: list[tuple[str, bytes]], random: Random) -> None:
    one, other = random.randrange(len(members)), random.randrange(len(members))
    members[one], members[other] = (members[one][0], members[other][1]), (members[other][0], members[one][1])


def _with_lies(data: bytes, random: Random) -> bytes:
    """A number in a local header, the central directory or its end."""
    heads = [found.start() for found in re.finditer(rb"PK(?:\x01\x02|\x03\x04|\x05\x06)", data)]
    return _with_integer(data, random.choice(heads) + random.randint(4, 42), random) if heads else data


# ---- compound files ----


def damaged_compound(data: bytes, random: Random) -> bytes:
    """A number, mostly at the head of a stream or of a record in it; or the container's own tables."""
    try:
        container = CompoundFile(data)
        path = random.choice(sorted(container.streams))
        content = container.read(*path)
    except (FileError, IndexError):
        return damaged_bytes(data, random)
    if random.random() < 0.15 or len(content) < 8:
        return _with_integer(data, random.randrange(min(512, len(data))), random)
    offset = random.choice((_at_head, _anywhere, _at_record))(content, random)
    # Sectors lie whole in the file, the small ones of 64 bytes at least.
    at = data.find(content[offset // 64 * 64 : offset // 64 * 64 + 64])
    if at < 0:
        return damaged_bytes(data, random)
    at += offset % 64
    if random.random() < 0.6:
        return _with_integer(data, at, random)
    length = random.choice((1, 4, 64))
    return data[:at] + damaged_bytes(data[at : at + length], random)[:length].ljust(length, b"\0") + data[at + length :]


def _at_head(content: bytes, random: Random) -> int:
    return random.randrange(min(1024, len(content)))


def _anywhere(content: bytes, random: Random) -> int:
    return random.randrange(len(content))


def _at_record(content: bytes, random: Random) -> int:
    """The length field of a record, as Excel ([MS-XLS], 2 + 2 bytes) and PowerPoint ([MS-PPT], 4 + 4) write them."""
    wide = random.random() < 0.5
    places: list[int] = []
    at = 0
    while at + 8 <= len(content) and len(places) < 5000:
        places.append(at + (4 if wide else 2))
        kind, length = struct.unpack_from("<xxHI" if wide else "<HH", content, at)
        inside = wide and content[at] & 0xF == 0xF and kind
        at += (8 if wide else 4) + (0 if inside else length)
    return random.choice(places)
