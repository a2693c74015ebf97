"""What a parser makes of a file: Blocks in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BlockKind(StrEnum):
    """What a Block is to a reader; the chunker cuts between Blocks before it cuts inside one."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    """One row, cells separated by tabs or ` | `; the first row of a table carries the column names."""
    CODE = "code"
    PAGE_FURNITURE = "page_furniture"
    """Running headers, footers, notes, comments: text of the file, but not in the flow of its body."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item, table row: text without surrounding white space."""

    text: str
    kind: BlockKind = BlockKind.PARAGRAPH
    level: int = 0
    """Of a heading, from 1 (the strongest)."""
    page: int | None = None
    """Page, slide or sheet, from 1."""
