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
    """One row, cells separated by tabs or ` | `."""
    CODE = "code"
    PAGE_FURNITURE = "page_furniture"
    """Running headers, footers, notes, comments: text of the file, but not in the flow of its body."""


class Origin(StrEnum):
    """Where in the file a text stands. What is not the body is kept apart from it, and search can tell it."""

    BODY = "body"
    HEADER = "header"
    """Running header of a page."""
    FOOTER = "footer"
    """Running footer of a page."""
    FOOTNOTE = "footnote"
    ENDNOTE = "endnote"
    COMMENT = "comment"
    """What a reviewer wrote beside the text, in whatever program."""
    SPEAKER_NOTES = "speaker_notes"
    FORM_FIELD = "form_field"
    """What somebody filled in."""
    HIDDEN = "hidden"
    """A sheet, slide or text that its program does not show."""
    EMBEDDED = "embedded"
    """A file inside the file: an attachment of a mail, a workbook in a document."""
    RECOGNISED = "recognised"
    """Read from a picture: letters may be wrong."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item, table row: text without surrounding white space."""

    text: str
    kind: BlockKind = BlockKind.PARAGRAPH
    level: int = 0
    """Of a heading, from 1 (the strongest)."""
    page: int | None = None
    """Page, slide or sheet, from 1."""
    origin: Origin = Origin.BODY
    names_columns: bool = False
    """Of a table row: it is the first of its table and says what the columns are."""
