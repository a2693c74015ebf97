"""What kreuzberg reads: another program's word where the standard library has none."""

from __future__ import annotations

import re
from pathlib import Path

from kreuzberg import ExtractionConfig, KreuzbergError, extract_file_sync

_CONFIG = ExtractionConfig(use_cache=False, disable_ocr=True)  # pyright: ignore[reportCallIssue] - the stubs lack it

_ISO_DATE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
"""Its way to write a date, which is not ours."""


def foreign_text(path: Path) -> str | None:
    """None where kreuzberg does not read the file, or finds no word in it."""
    try:
        return _ISO_DATE.sub(r"\1 \2 UTC", extract_file_sync(path, config=_CONFIG).content) or None
    except KreuzbergError:
        return None
