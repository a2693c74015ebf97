"""Links between files of the repository, led to the pages that they are here."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("http://", "https://", "mailto:", "#")


def lead(markdown: str, uri: str, source: Path, root: Path, pages: Mapping[Path, str]) -> str:
    """The text of the page `uri`, which is the file `source`, with its links led to `pages` (file or folder, and page).

    What is in the repository and no page becomes plain text. Raises `LookupError` where there is nothing at all.
    """

    def led(match: re.Match[str]) -> str:
        target, hash_, anchor = match["target"].partition("#")
        if match["target"].startswith(ELSEWHERE):
            return match[0]
        named = Path(os.path.normpath(source.parent / target))
        if page := pages.get(named):
            way = posixpath.relpath(page, posixpath.dirname(uri) or ".")
            return f"{match['image']}[{match['text']}]({way}{hash_}{anchor})"
        if not named.exists() or not named.is_relative_to(root):
            raise LookupError(f"a link leads to {match['target']}, which is not there")
        path = named.relative_to(root).as_posix()
        return f"`{path}`" if match["text"] in (path, path.strip("/")) else f"{match['text']} (`{path}`)"

    parts = FENCE.split(markdown)
    return "".join(part if number % 2 else LINK.sub(led, part) for number, part in enumerate(parts))
