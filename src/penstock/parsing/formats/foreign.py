"""Formats that are left to kreuzberg. Its Markdown becomes our Blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kreuzberg import ExtractionConfig, KreuzbergError, extract_bytes_sync
from kreuzberg.exceptions import ValidationError

from penstock.chunking.document import Block
from penstock.errors import CorruptFile, PasswordProtected, TooLarge, UnsupportedFormat
from penstock.parsing.formats.markup import markdown_blocks

MAX_BYTES = 256 * 1024**2
"""kreuzberg holds the file and its text in memory."""

# Without OCR: Tesseract complains on stderr where its language data is missing. Without its cache: it writes to disk.
_CONFIG = ExtractionConfig(use_cache=False, disable_ocr=True, output_format="markdown")  # pyright: ignore[reportCallIssue] - the stubs lack it
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+\-.!<>~|$&])")


def foreign_reader(media_type: str) -> Callable[[Path], Iterator[Block]]:
    """A reader of files of `media_type`."""

    def read(path: Path) -> Iterator[Block]:
        for block in markdown_blocks(_markdown(path, media_type).splitlines(keepends=True)):
            yield Block(_ESCAPED.sub(r"\1", block.text), block.kind, block.level, block.page)

    return read


def _markdown(path: Path, media_type: str) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"Files of this format are read up to {MAX_BYTES // 1024**2} MiB; save it in a newer format.")
    try:
        return extract_bytes_sync(path.read_bytes(), media_type, _CONFIG).content
    except ValidationError as error:
        raise UnsupportedFormat from error
    except KreuzbergError as error:
        if "password" in str(error).lower() or "encrypt" in str(error).lower():
            raise PasswordProtected from error
        raise CorruptFile(f"The file is damaged or of a variant that cannot be read ({error}).") from error
    except BaseException as error:
        # A panic of Rust arrives as a BaseException of a type that no module exports.
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptFile(f"The file is damaged ({error}).") from error
