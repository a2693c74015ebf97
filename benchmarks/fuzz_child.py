"""A parser child that reads a file to its end and chunks nothing of it: what `fuzz.py --plain` starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.chunking.document import Block
from penstock.parsing.child import main
from penstock.parsing.coverage import Coverage


def read(path: Path, media_type: str, coverage: Coverage) -> Iterator[Block]:
    # After `contain`, which wants a process without threads.
    from penstock.parsing.formats import read as read_blocks  # noqa: PLC0415 - see above

    count = sum(1 for _ in read_blocks(path, media_type, coverage))
    yield Block(f"{count} Blocks")


if __name__ == "__main__":
    main(read=read)
