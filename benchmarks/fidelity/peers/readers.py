"""Other readers, one a process: `python readers.py NAME`, a path a line on stdin, for each a line of JSON on stdout.

Runs in the environment of `requirements.txt`, without Penstock. `{"text", "seconds"}`, or `"error"` instead of text.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

Read = Callable[[str], str]


def kreuzberg() -> Read:
    from kreuzberg import ExtractionConfig, extract_file_sync

    config = ExtractionConfig(use_cache=False, disable_ocr=True)
    return lambda path: extract_file_sync(path, config=config).content


def markitdown() -> Read:
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda path: converter.convert(path).text_content


def docx2python() -> Read:
    from docx2python import docx2python as read

    def text(path: str) -> str:
        with read(path) as document:
            return document.text

    return text


def python_pptx() -> Read:
    from pptx import Presentation

    def shapes(container) -> list[str]:
        found = []
        for shape in container:
            if shape.has_text_frame:
                found.append(shape.text_frame.text)
            if getattr(shape, "has_table", False) and shape.has_table:
                found += [cell.text for row in shape.table.rows for cell in row.cells]
            if hasattr(shape, "shapes"):
                found += shapes(shape.shapes)
        return found

    def text(path: str) -> str:
        found = []
        for slide in Presentation(path).slides:
            found += shapes(slide.shapes)
            if slide.has_notes_slide:
                found.append(slide.notes_slide.notes_text_frame.text)
        return "\n".join(found)

    return text


def openpyxl() -> Read:
    from openpyxl import load_workbook

    def text(path: str) -> str:
        book = load_workbook(path, data_only=True, read_only=True)
        rows = (row for sheet in book.worksheets for row in sheet.iter_rows(values_only=True))
        return "\n".join(" ".join(str(value) for value in row if value is not None) for row in rows)

    return text


def xlrd() -> Read:
    from xlrd import open_workbook

    def text(path: str) -> str:
        with Path(os.devnull).open("w") as nowhere:
            book = open_workbook(path, logfile=nowhere)
        rows = (sheet.row_values(at) for sheet in book.sheets() for at in range(sheet.nrows))
        return "\n".join(" ".join(str(value) for value in row if value != "") for row in rows)

    return text


def striprtf() -> Read:
    from striprtf.striprtf import rtf_to_text

    return lambda path: rtf_to_text(Path(path).read_text(encoding="latin-1"))


def odfpy() -> Read:
    from odf import teletype
    from odf.opendocument import load
    from odf.text import H, P

    def text(path: str) -> str:
        document = load(path)
        found = [*document.getElementsByType(H), *document.getElementsByType(P)]
        return "\n".join(teletype.extractText(each) for each in found)

    return text


def beautifulsoup() -> Read:
    from bs4 import BeautifulSoup

    return lambda path: BeautifulSoup(Path(path).read_bytes(), "lxml").get_text("\n")


def python_oxmsg() -> Read:
    from oxmsg import Message

    def text(path: str) -> str:
        message = Message.load(path)
        headers = (f"{name}: {value}" for name, value in message.message_headers.items())
        return "\n".join([*headers, message.subject or "", message.body or message.html_body or ""])

    return text


READERS = {
    "beautifulsoup4": beautifulsoup, "docx2python": docx2python, "kreuzberg": kreuzberg, "markitdown": markitdown,
    "odfpy": odfpy, "openpyxl": openpyxl, "python-oxmsg": python_oxmsg, "python-pptx": python_pptx,
    "striprtf": striprtf, "xlrd": xlrd,
}  # fmt: skip


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    warnings.simplefilter("ignore")
    read = READERS[sys.argv[1]]()
    for line in sys.stdin:
        began = time.process_time()
        answer: dict[str, object] = {}
        try:
            answer["text"] = read(line.rstrip("\n"))
        except Exception as error:  # noqa: BLE001  # a reader that fails has read nothing, and that is counted
            answer["error"] = f"{type(error).__name__}: {error}"[:200]
        answer["seconds"] = time.process_time() - began
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
