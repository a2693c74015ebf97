"""What a file really is: its content decides, its name only settles ties between kinds of text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from penstock.errors import CorruptFile, NoText, PasswordProtected, UnsupportedFormat
from penstock.parsing import compound
from penstock.parsing.archive import Archive, open_archive
from penstock.parsing.compound import CompoundFile, open_compound
from penstock.parsing.dialect import find_delimiter
from penstock.parsing.encoding import declared_encoding, find_encoding, read_head

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSB = "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
MSG = "application/vnd.ms-outlook"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
EPUB = "application/epub+zip"
RTF = "application/rtf"
HTML = "text/html"
XML = "application/xml"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSON_LINES = "application/x-ndjson"
NOTEBOOK = "application/x-ipynb+json"
EML = "message/rfc822"
MBOX = "application/mbox"
RST = "text/x-rst"
ORG = "text/x-org"
LATEX = "application/x-latex"
ASCIIDOC = "text/asciidoc"
SLIDES_AND_SHEETS = frozenset({XLSX, XLSB, XLS, ODS, PPTX, PPT, ODP})
"""Formats whose pages are wholes of their own: nothing goes on from one to the next."""
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
BMP = "image/bmp"
GIF = "image/gif"
WEBP = "image/webp"

READABLE: Mapping[str, str] = {
    PDF: "PDF",
    DOCX: "Word",
    PPTX: "PowerPoint",
    XLSX: "Excel",
    HTML: "HTML",
    MARKDOWN: "Markdown",
    PLAIN: "plain text",
    CSV: "CSV",
    TSV: "tab-separated values",
    JSON: "JSON",
    JSON_LINES: "JSON Lines",
    EML: "mail message",
    MBOX: "mailbox",
    MSG: "Outlook message",
    DOC: "Word 97-2003",
    PPT: "PowerPoint 97-2003",
    XLS: "Excel 97-2003",
    XLSB: "Excel binary workbook",
    ODT: "OpenDocument text",
    ODS: "OpenDocument spreadsheet",
    ODP: "OpenDocument presentation",
    EPUB: "EPUB",
    RTF: "Rich Text Format",
    XML: "XML",
    NOTEBOOK: "Jupyter notebook",
    RST: "reStructuredText",
    ORG: "Org",
    LATEX: "LaTeX",
    ASCIIDOC: "AsciiDoc",
    PNG: "PNG",
    JPEG: "JPEG",
    TIFF: "TIFF",
    BMP: "bitmap",
    GIF: "GIF",
    WEBP: "WebP",
}
"""Media type → its name for people."""

PICTURES = (PNG, JPEG, TIFF, BMP, GIF, WEBP)
HEAD_BYTES = 64 * 1024

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"8BPS", "a Photoshop image"),
    (8, b"WAVE", "a WAVE recording"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftyp", "an MP4 video, a HEIC image or their like"),
    (0, b"\x1aE\xdf\xa3", "a Matroska video"),
    (0, b"OggS", "an Ogg recording"),
    (0, b"fLaC", "a FLAC recording"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"AC10", "an AutoCAD drawing"),
    (0, b"\xdb\xa5", "a document of Word 2 or older"),
    (0, b"\xfe7\0", "a document of Word 5 or older"),
    (0, b"\x31\xbe\0\0", "a document of Write or Word for DOS"),
    (0, b"%!PS", "a PostScript program"),
    (0, b"\xff\xfb", "an MP3 recording"),
    (0, b"\xff\xf3", "an MP3 recording"),
    (8, b"AIFF", "an AIFF recording"),
    (0, b"MThd", "a MIDI file"),
    (0, b"#!AMR", "an AMR recording"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (0, b"FLV\1", "a Flash video"),
    (0, b"CWS", "a Flash film"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"\0\1\0\0\0", "a font"),
    (0, b"OTTO", "a font"),
    (0, b"!<arch>", "an archive of programs"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 archive"),
    (0, b"!BDN", "an Outlook data file (export its messages)"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "a OneNote section (export it as Word or PDF)"),
    (0, b"ITSF", "a compiled HTML help file"),
    (60, b"BOOKMOBI", "a Kindle book"),
    (0, b"\xffWPC", "a WordPerfect document"),
    (0, b"HWP Document File", "a Hangul document"),
    (0, b"\x93NUMPY", "an array of NumPy"),
    (0, b"\0asm", "a WebAssembly program"),
)
_PICTURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"II+\0", TIFF),
    (0, b"MM\0+", TIFF),
    (8, b"WEBP", WEBP),
)
_BITMAP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
"""Lengths of what follows a bitmap's first 14 bytes. "BM" alone can begin a text, too."""
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_PDF_HEADER = b"%PDF-"
_PDF_START = re.compile(rb"%PDF-\d\.\d\s")
_PDF_OBJECT = re.compile(rb"\b\d{1,10}\s{1,10}\d{1,10}\s{1,10}obj\b")
MANY_OBJECTS = 3
"""Of a PDF, in what is no text: without its header no reader takes it for one, and as text it is a page of rubbish."""
_OFFICE_PARTS = (
    (b"wordprocessingml", DOCX),
    (b"ms-word.", DOCX),
    (b"presentationml", PPTX),
    (b"ms-powerpoint.", PPTX),
    (b"sheet.binary", XLSB),
    (b"spreadsheetml", XLSX),
    (b"ms-excel.", XLSX),
)
_OPEN_DOCUMENT = (
    ("application/vnd.oasis.opendocument.text", ODT),
    ("application/vnd.oasis.opendocument.spreadsheet", ODS),
    ("application/vnd.oasis.opendocument.presentation", ODP),
    ("application/epub+zip", EPUB),
)
_BY_NAME = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".mdx": MARKDOWN, ".mkd": MARKDOWN,
    ".csv": CSV, ".tsv": TSV, ".tab": TSV,
    ".json": JSON, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".ipynb": NOTEBOOK,
    ".html": HTML, ".htm": HTML, ".xhtml": HTML, ".xml": XML,
    ".eml": EML, ".mbox": MBOX,
    ".rst": RST, ".org": ORG, ".tex": LATEX, ".latex": LATEX, ".adoc": ASCIIDOC, ".asciidoc": ASCIIDOC,
    ".txt": PLAIN, ".text": PLAIN, ".log": PLAIN, ".vtt": PLAIN, ".srt": PLAIN,
}  # fmt: skip
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60}):(?:[ \t].*)?$")
_MAIL_HEADERS = frozenset(
    {
        "from", "to", "cc", "bcc", "subject", "date", "received", "return-path", "message-id", "mime-version",
        "content-type", "delivered-to", "reply-to", "sender", "x-mailer", "dkim-signature",
    }
)  # fmt: skip
_POSTMARK = re.compile(r"From \S.{0,250}\d{4}\s{0,4}$")
_HTML_START = re.compile(r"(?i)<(?:!doctype\s+html|html)\b")
_BEFORE_ROOT = (("<!--", "-->"), ("<?", "?>"))
"""Comments and processing instructions, which may stand before the first element."""
_FLAT_OPEN_DOCUMENT = re.compile(r"""<office:document\s[^>]*?\boffice:mimetype\s*=\s*["']([\w./-]+)""")
_HTML_TAG = re.compile(
    r"(?i)</?(?:head|body|div|p|table|tr|td|span|br|h[1-6]|ul|ol|li|a|meta|title|b|i|font)\b[^<>]*>",
)
_XML_START = re.compile(r"\s*<(?:\?xml\b|!DOCTYPE\s|[A-Za-z_][\w.-]*(?::[\w.-]+)?(?:\s+[\w:.-]+\s*=|\s*/?>))")
_MARKDOWN_SIGN = re.compile(
    r"(?m)^(?:#{1,6} \S|```|~~~|[-*+] \S|> \S|\|.*\|\s*$|\d+\. \S)|\[[^\]\n]+\]\([^)\n]+\)|\*\*\S",
)
_JSON_START = re.compile(r'[{\[]\s*(?:["{\[\d-]|true|false|null)')
_LATEX_SIGN = re.compile(r"\\(?:documentclass|begin\{document\}|section\{)")


def detect(path: Path, name: str) -> str:
    """The media type of a readable file.

    Raises `NoText` for an empty file, `PasswordProtected`, `CorruptFile` for a container that cannot be opened, and
    `UnsupportedFormat`, which says what the file seems to be and what can be read.
    """
    head = read_head(path, HEAD_BYTES)
    if not head:
        raise NoText("The file is empty: it has no bytes at all. Check that it was saved or uploaded completely.")
    if _is_pdf(head, name):
        return PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        with open_archive(path) as archive:
            return _zip_type(archive)
    if head.startswith(compound.MAGIC):
        return _compound_type(open_compound(path))
    if head.lstrip().startswith(b"{\\rt"):
        return RTF
    if picture := _picture_type(head):
        return picture
    for offset, magic, what in _MAGIC:
        # Of letters alone a text may begin, too: one about BMW, or about ID3 tags.
        if head.startswith(magic, offset) and (not magic.isalnum() or _CONTROLS.search(head[:1024])):
            raise _unsupported(what)
    return _text_type(head, path, name)


def _is_pdf(head: bytes, name: str) -> bool:
    """Readers of PDF forgive a kilobyte of anything before the header, and texts may speak of that header.

    Where what stands before it reads as text, the first object must follow; and if the name is that of a text, too, the
    file must hold more than text.
    """
    at = head[:1024].find(_PDF_HEADER)
    before = head[: max(at, 0)]
    if not before.strip(b"\xef\xbb\xbf \t\r\n") or _CONTROLS.search(before):
        return at >= 0
    if PurePath(name).suffix.lower() in _BY_NAME and not _CONTROLS.search(head):
        return False
    return bool(_PDF_START.match(head, at) and _PDF_OBJECT.search(head, at, at + 1024))


def _picture_type(head: bytes) -> str | None:
    for offset, magic, media_type in _PICTURES:
        if head.startswith(magic, offset):
            return media_type
    is_bitmap = head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS
    return BMP if is_bitmap else None


def _unsupported(what: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"The file seems to be {what}, which Penstock does not read; convert it to a format that it does."
    )


def _zip_type(archive: Archive) -> str:
    if "[Content_Types].xml" in archive:
        return _office_type(archive)
    if "mimetype" in archive:
        declared = archive.read("mimetype", 1024).decode("ascii", "replace").strip()
        for prefix, media_type in _OPEN_DOCUMENT:
            if declared.startswith(prefix):
                _refuse_encrypted(archive)
                return media_type
        raise _unsupported(f"a zip container of type {declared[:80]}")
    if "META-INF/container.xml" in archive:  # an EPUB whose packer knew no better
        return EPUB
    if any(name.lower().endswith(".iwa") or name == "buildVersionHistory.plist" for name in archive.names):
        raise _unsupported("an Apple iWork document (export it as PDF or Word)")
    raise _unsupported("a zip archive (hand in the files inside one by one)")


def _office_type(archive: Archive) -> str:
    """By the declared type of the main part, which no renaming changes; else by where it lies."""
    types = archive.read("[Content_Types].xml")
    for main in re.findall(rb"""ContentType\s*=\s*["']([^"']*main\+xml|[^"']*sheet\.binary[^"']*main)["']""", types):
        for sign, media_type in _OFFICE_PARTS:
            if sign in main:
                return media_type
    for part, media_type in (("word/document.xml", DOCX), ("ppt/presentation.xml", PPTX), ("xl/workbook.xml", XLSX)):
        if part in archive:
            return media_type
    if any(name.lower().startswith("visio/") for name in archive.names):
        raise _unsupported("a Visio drawing")
    raise _unsupported("an Office container of an unknown kind")


def _refuse_encrypted(archive: Archive) -> None:
    """OpenDocument and EPUB list their encrypted parts."""
    if "META-INF/manifest.xml" in archive and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise PasswordProtected


def _compound_type(container: CompoundFile) -> str:
    if "EncryptedPackage" in container or "EncryptedSummary" in container:
        raise PasswordProtected
    if "WordDocument" in container:
        return _checked(DOC, encrypted=_word_is_encrypted(container))
    for stream in ("Workbook", "Book"):
        if stream in container:
            return _checked(XLS, encrypted=_excel_is_encrypted(container.read(stream)))
    if "PowerPoint Document" in container:
        return PPT
    if "__properties_version1.0" in container:
        return MSG
    if "VisioDocument" in container:
        raise _unsupported("a Visio drawing")
    if ("QUILL", "QUILLSUB", "CONTENTS") in container.streams or ("ESCHER", "ESCHERSTM") in container.streams:
        raise _unsupported("a Publisher document")
    raise _unsupported("an OLE container without a document that is known here")


def _checked(media_type: str, *, encrypted: bool) -> str:
    if encrypted:
        raise PasswordProtected
    return media_type


def _word_is_encrypted(container: CompoundFile) -> bool:
    """Bit `fEncrypted` of the file information block ([MS-DOC] 2.5.1)."""
    flags = container.read("WordDocument")[10:12]
    return len(flags) == 2 and bool(flags[1] & 0x01)


def _excel_is_encrypted(workbook: bytes) -> bool:
    """Whether a FILEPASS record stands among the first ones ([MS-XLS] 2.4.117)."""
    at = 0
    for _ in range(50):
        record, length = workbook[at : at + 2], int.from_bytes(workbook[at + 2 : at + 4], "little")
        if record == b"\x2f\x00":
            return True
        if len(record) < 2 or record == b"\x0a\x00":
            return False
        at += 4 + length
    return False


def _text_type(head: bytes, path: Path, name: str) -> str:
    encoding = declared_encoding(head) if head.lstrip().startswith(b"<") else None
    encoding = encoding or find_encoding(head)
    if encoding is None:
        raise _unsupported("binary data of a kind that is not known here")
    if _CONTROLS.search(head) and len(_PDF_OBJECT.findall(head)) >= MANY_OBJECTS:
        raise CorruptFile("The file has parts of a PDF but not its beginning; it is probably damaged.")
    text = head.decode(encoding, "penstock").lstrip("\ufeff")
    if not text.strip():
        raise NoText("The file holds nothing but white space.")
    named = _BY_NAME.get(PurePath(name).suffix.lower())
    for looks_like in _RULES:
        if media_type := looks_like(text, named, path):
            return media_type
    return named if named in _LOOSE else PLAIN


_LOOSE = frozenset({MARKDOWN, CSV, TSV, RST, ORG, LATEX, ASCIIDOC, JSON, JSON_LINES})
"""Kinds of text that anything can be: here the name is believed."""


def _as_html(text: str, named: str | None, path: Path) -> str | None:
    del path
    if _HTML_START.match(_from_root(text[:8192])):
        return HTML
    starts_with_tag = text.lstrip().startswith("<")
    tags = len(_HTML_TAG.findall(text[:8192]))
    if named == HTML and tags:
        return HTML
    return HTML if starts_with_tag and tags >= 3 and named in (None, PLAIN, XML) and "<?xml" not in text[:200] else None


def _from_root(text: str) -> str:
    """`text` from its first tag that is no comment. Not by a pattern: it could part many comments in too many ways."""
    at = len(text) - len(text.lstrip())
    while closing := next((closing for opening, closing in _BEFORE_ROOT if text.startswith(opening, at)), None):
        end = text.find(closing, at)
        if end < 0:
            return ""
        at = end + len(closing)
        at += len(text[at:]) - len(text[at:].lstrip())
    return text[at:]


def _as_flat_open_document(text: str, named: str | None, path: Path) -> str | None:
    """OpenDocument in one XML file (fodt, fods, fodp)."""
    del named, path
    root = _FLAT_OPEN_DOCUMENT.match(_from_root(text))
    declared = root[1] if root else ""
    return next((media_type for prefix, media_type in _OPEN_DOCUMENT[:3] if declared.startswith(prefix)), None)


def _as_xml(text: str, named: str | None, path: Path) -> str | None:
    del path
    if text.lstrip().startswith("<?xml"):
        return XML
    return XML if named in (XML, None) and _XML_START.match(text) else None


def _as_mail(text: str, named: str | None, path: Path) -> str | None:
    del path
    first, *following = text.lstrip("\n\r").splitlines() or [""]
    if _POSTMARK.match(first) and _mail_headers(following) >= 2:
        return MBOX if named != EML else EML
    found = _mail_headers([first, *following])
    return EML if found >= 2 or (found and named == EML) else None


def _mail_headers(lines: list[str]) -> int:
    """How many different headers of mail there are before the first line that is none."""
    seen: set[str] = set()
    for line in lines[:200]:
        if line.startswith((" ", "\t")) and seen:
            continue
        header = _HEADER.match(line)
        if not header:
            break
        seen.add(header[1].lower())
    return len(seen & _MAIL_HEADERS)


def _as_json(text: str, named: str | None, path: Path) -> str | None:
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return None
    first_lines = [line for line in start.splitlines()[:20] if line.strip()]
    complete = [line for line in first_lines if _is_json(line)]
    if len(first_lines) > 1 and len(complete) >= len(first_lines) - 1 and first_lines[0] in complete:
        return JSON_LINES
    if named == NOTEBOOK or ('"nbformat"' in text and '"cells"' in text):
        return NOTEBOOK
    if named in (JSON, JSON_LINES) or _is_json(start):
        return named if named == JSON_LINES else JSON
    return (
        JSON if path.stat().st_size > HEAD_BYTES and re.match(r'[{\[]\s*(?:["{\[\d-]|true|false|null)', start) else None
    )


def _is_json(text: str) -> bool:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict | list)


def _as_markup(text: str, named: str | None, path: Path) -> str | None:
    """LaTeX, and Markdown where there is no name to say otherwise."""
    del path
    if named is None and _LATEX_SIGN.search(text):
        return LATEX
    signs = len(_MARKDOWN_SIGN.findall(text[:16384]))
    return MARKDOWN if named is None and re.search("^(?:#{1,6} |```)", text, re.MULTILINE) and signs >= 3 else None


def _as_table(text: str, named: str | None, path: Path) -> str | None:
    """Delimited values, where there is no name to say otherwise."""
    del path
    if named not in (None, CSV, TSV):
        return None
    first_lines = text.splitlines()[:20]
    delimiter = find_delimiter(first_lines)
    if named:
        return TSV if delimiter == "\t" else CSV
    widths = {line.count(delimiter) for line in first_lines if line.strip()} if delimiter else set[int]()
    return None if len(widths) != 1 or len(first_lines) < 3 else TSV if delimiter == "\t" else CSV


_RULES: tuple[Callable[[str, str | None, Path], str | None], ...] = (
    _as_html, _as_flat_open_document, _as_xml, _as_mail, _as_json, _as_markup, _as_table,
)  # fmt: skip
