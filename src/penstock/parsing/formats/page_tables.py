"""Tables on a page: which lines are rows, and which of them say what the columns are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from penstock.parsing.formats.page_lines import CELL_SEPARATOR, HYPHEN, Cell, Line, joined, pieces

ROW_PITCH = 3.0
"""Font sizes from a row of a table to the next one, at most."""
SECTION_PITCH = 5.0
"""The same where a line with one cell begins a section of the table."""
HEADER_LINES = 8
"""Lines above the first row of figures that can belong to the table's header."""
LONGEST_UNITS = 70
MOST_LABELS = 3
"""Lines with one cell on end, inside a table."""
LONGEST_LABEL = 150
"""Characters of a line inside a table that has one cell only."""

_NUMBER = re.compile(
    r"\(?[$€£¥]?\s?\(?[-+\u2212]?\d(?:[\d,.\s]*\d)?\)?\s?%?\)?(?:\s?\(\w\))?$"
    r"|[$€£¥%()\u2013\u2014-]+$|[nN]/?[aAmM]$"
)
_YEAR = re.compile(r"(?:19|20)\d\d(?:\s?[-/\u2013]\s?(?:\d\d){1,2})?$")
_OPENING = re.compile(r"[$€£¥(]+$")
_TRAILING_SIGN = re.compile(r"(?<=[\d)%\u2014-]) ([$€£¥])$")
_CLOSING = re.compile(r"[)%]+(?:\s?\(\w\))?$")
_LABEL = re.compile(
    r"(?:[•●○▪■◦‣∙·\u2013\u2014*§†‡-]|"
    r"(?:(?:item|note|part|section|chapter|article|appendix|exhibit|step)\s+)?"
    r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[a-z]|[ivx]{1,5}|\d{1,2}[a-z])[.):]*)$",
    re.IGNORECASE,
)
_UNITS = re.compile(
    r"\bin (?:thousands|millions|billions|percent|[a-z.]+ ?\$|u\.?s\.? dollars)|[$€£¥] in ", re.IGNORECASE
)
_OPEN_END = re.compile(r"(?:,|\b(?:and|or|of|for|the|to|in|from|by|with|on|at|per|net))$", re.IGNORECASE)


class Reading(NamedTuple):
    """What a line is taken for."""

    line: Line
    level: int = 0
    """Of a heading, from 1; 0 for all else."""
    is_row: bool = False
    """Of a table."""


def cells_joined(line: Line) -> Line:
    """The line with currency signs and closing brackets in one cell with their numbers, a number with its title."""
    cells: list[Cell] = []
    for cell in _with_signs_moved(line.cells):
        opened = cells and cells[-1].text[0] in "$€£¥(" and _OPENING.match(cells[-1].text)
        if opened or (cells and cell.text[0] in ")%" and _CLOSING.match(cell.text)):
            last = cells.pop()
            cells.append(Cell(f"{last.text} {cell.text}", min(last.left, cell.left), max(last.right, cell.right)))
        else:
            cells.append(cell)
    if len(cells) > 1 and _LABEL.match(cells[0].text) and not is_number(cells[1].text):
        first, second = cells[:2]
        cells[:2] = [Cell(f"{first.text} {second.text}", first.left, second.right)]
    joined = tuple(cells) if len(cells) > 1 else ()
    return line if joined == line.cells else line._replace(cells=joined)


def _with_signs_moved(cells: Sequence[Cell]) -> Iterator[Cell]:
    """A currency sign close behind one column's number belongs to the next one's."""
    sign = ""
    for at, cell in enumerate(cells):
        text = f"{sign} {cell.text}" if sign else cell.text
        sign = ""
        if text[-1] in "$€£¥" and at + 1 < len(cells) and (trailing := _TRAILING_SIGN.search(text)):
            text, sign = text[: trailing.start()], trailing[1]
        yield cell if text == cell.text else cell._replace(text=text)


def is_number(text: str) -> bool:
    return _NUMBER.match(text) is not None


def ends_in_numbers(text: str) -> bool:
    """Whether the line ends in two or more numbers: a row, even where its gaps are narrow."""
    if not (text[-1].isdigit() or text[-1] in "%)$\u2014\u2013-"):
        return False
    words = text.rsplit(maxsplit=2)
    return len(words) > 1 and all(map(is_number, words[-2:])) and any(map(str.isdigit, text))


def find_tables(readings: Sequence[Reading]) -> list[Reading]:
    """The readings with each table's rows marked, wrapped labels joined to their rows, and headers made one row."""
    marked = list(readings)
    for at in range(len(marked) - 2, 0, -1):
        if marked[at + 1].is_row and not marked[at].is_row and _is_label_between_rows(marked, at):
            marked[at] = marked[at]._replace(is_row=True, level=0)
    found: list[Reading] = []
    for table, part in _runs(marked):
        found = _with_table(found, part) if table else found + part
    return found


def _is_label_between_rows(readings: Sequence[Reading], at: int) -> bool:
    """A line inside a table, such as "Current assets:"; there is a row below."""
    line, below = readings[at].line, readings[at + 1].line
    above = next((back for back in range(1, min(MOST_LABELS, at) + 1) if readings[at - back].is_row), 0)
    if not above or len(line.text) > LONGEST_LABEL or line.text.endswith(".") or line.size > 1.1 * below.size:
        return False
    around = [each.line for each in readings[at - above : at + 2]]
    if not all(_is_near(one, other, SECTION_PITCH) for one, other in pairwise(around)):
        return False
    row = next((each.line for each in readings[at + 1 :] if each.line.cells), below)
    return not readings[at].level or _are_aligned(around[0], row)


def _is_near(line: Line, below: Line, pitch: float = ROW_PITCH) -> bool:
    return 0 <= line.base - below.top_base <= pitch * max(line.size, below.size)


def _runs(readings: Sequence[Reading]) -> Iterator[tuple[bool, list[Reading]]]:
    """Alternately tables and what is between them."""
    held: list[Reading] = []
    for reading in readings:
        same = held and held[-1].is_row == reading.is_row
        if held and not (same and (not reading.is_row or _is_near(held[-1].line, reading.line, SECTION_PITCH))):
            yield held[-1].is_row, held
            held = []
        held.append(reading)
    if held:
        yield held[-1].is_row, held


def _with_table(before: list[Reading], rows: list[Reading]) -> list[Reading]:
    """The lines before a table and the table, whose header may be among them."""
    body = next((at for at, row in enumerate(rows) if _is_of_figures(row.line)), None)
    if body is None:
        return before + _text_table(rows)
    columns = _columns(rows[body:])
    begin = len(before) - _header_lines(before, rows[0].line, columns)
    header = [*before[begin:], *rows[:body]]
    over = [at for at, reading in enumerate(header) if _is_over_figures(reading.line, columns)]
    if not over:
        return before + _with_wrapped_labels(rows)
    named, labels = header[: over[-1] + 1], header[over[-1] + 1 :]
    labels = [reading._replace(is_row=True, level=0) for reading in labels]
    filled = [_filled(row, columns) for row in _with_wrapped_labels(rows[body:])]
    return [*before[:begin], _header(named, columns), *labels, *filled]


def _filled(row: Reading, columns: Sequence[tuple[float, float]]) -> Reading:
    """The row with its empty cells, so that each figure stands under its column's name."""
    cells = row.line.cells
    if not 1 < len(cells) < len(columns):
        return row
    at = [_column_of(cell, columns) for cell in cells]
    if any(left >= right for left, right in pairwise(at)):
        return row
    texts = dict(zip(at, (cell.text for cell in cells), strict=True))
    text = CELL_SEPARATOR.join(texts.get(column, "") for column in range(at[-1] + 1)).strip()
    return row._replace(line=row.line._replace(text=text.replace("  ", " ")))


def _is_over_figures(line: Line, columns: Sequence[tuple[float, float]]) -> bool:
    return any(_column_of(cell, columns) > 0 for cell in pieces(line))


def _text_table(rows: list[Reading]) -> list[Reading]:
    """A table without figures: its first row names the columns if it is bold and the next is not."""
    first = rows[0].line
    if len(rows) > 1 and len(first.cells) > 1 and first.bold and not rows[1].line.bold:
        return [rows[0]._replace(line=first._replace(names_columns=True)), *rows[1:]]
    return rows


def _is_of_figures(line: Line) -> bool:
    """Whether the line holds data: a number that is neither a year nor a day."""
    if line.cells:
        return any(is_number(cell.text) and not _YEAR.match(cell.text) for cell in line.cells)
    return not all(map(_YEAR.match, line.text.split()[-2:])) and ends_in_numbers(line.text)


def _header_lines(before: Sequence[Reading], first: Line, columns: Sequence[tuple[float, float]]) -> int:
    """How many of the lines before a table's first row belong to it: up to the first that stands over its figures."""
    count, below = 0, first
    middle = columns[0][0] + columns[-1][1]
    for seen, reading in enumerate(reversed(before[-HEADER_LINES:]), start=1):
        line = reading.line
        is_title = not line.cells and abs(line.left + line.right - middle) < 4 * line.size
        if reading.is_row or is_title or not _is_near(line, below, SECTION_PITCH) or line.size > 1.2 * first.size:
            break
        if _is_over_figures(line, columns) or (count == seen - 1 and _says_units(line)):
            count = seen
        elif line.cells or len(line.text) > LONGEST_UNITS or line.text[-1] in ".:":
            break  # not even a section's label
        below = line
    return count


def _says_units(line: Line) -> bool:
    return len(line.text) <= LONGEST_UNITS and line.text[-1] != ":" and _UNITS.search(line.text) is not None


def _header(lines: Sequence[Reading], columns: Sequence[tuple[float, float]]) -> Reading:
    """One row that names the columns: for each column what stands over it, from top to bottom."""
    first, last = lines[0].line, lines[-1].line
    over: list[list[Cell]] = [[] for _ in columns]
    for reading in lines:
        for cell in pieces(reading.line):
            over[_column_of(cell, columns)].append(cell)
    cells = tuple(
        Cell(joined(each.text for each in column), column[0].left, max(each.right for each in column))
        for column in over
        if column
    )
    text = CELL_SEPARATOR.join(cell.text for cell in cells)
    named = first._replace(text=text, base=last.base, cells=cells, hyphen=False, names_columns=True)
    return Reading(named, is_row=True)


def _columns(body: Sequence[Reading]) -> list[tuple[float, float]]:
    """The columns' left and right edges, as the rows with the most cells have them."""
    most = max(len(reading.line.cells) for reading in body)
    full = [reading.line.cells for reading in body if len(reading.line.cells) == most]
    if most < 2:
        line = body[0].line
        return [(line.left, line.right)]
    return [(min(cells[at].left for cells in full), max(cells[at].right for cells in full)) for at in range(most)]


def _column_of(cell: Cell, columns: Sequence[tuple[float, float]]) -> int:
    """The first of the columns that the cell stands over, else the nearest one."""
    over = [at for at, (left, right) in enumerate(columns) if min(right, cell.right) > max(left, cell.left)]
    if over:
        return over[0]
    middle = (cell.left + cell.right) / 2
    return min(range(len(columns)), key=lambda at: abs(sum(columns[at]) / 2 - middle))


def _with_wrapped_labels(rows: list[Reading]) -> list[Reading]:
    """A row whose label takes several lines has its figures in the last one: such lines are one row."""
    joined: list[Reading] = []
    for reading in rows:
        if joined and _is_wrapped(joined[-1].line, reading.line):
            joined[-1] = Reading(_wrapped(joined[-1].line, reading.line), is_row=True)
        else:
            joined.append(reading)
    return joined


def _is_wrapped(line: Line, below: Line) -> bool:
    if len(line.cells) > 1 or len(below.cells) < 2 or is_number(below.cells[0].text) or line.text[-1] in ":.":
        return False
    return line.hyphen or below.text[0].islower() or _OPEN_END.search(line.text) is not None


def _wrapped(line: Line, below: Line) -> Line:
    first = below.cells[0]
    between = HYPHEN if line.hyphen else " "
    label = Cell(f"{line.text}{between}{first.text}", min(line.left, first.left), max(line.right, first.right))
    cells = (label, *below.cells[1:])
    return below._replace(
        text=CELL_SEPARATOR.join(cell.text for cell in cells), cells=cells, left=min(line.left, below.left),
        right=max(line.right, below.right), top_base=line.top_base,
    )  # fmt: skip


def which_are_rows(lines: Sequence[Line]) -> list[bool]:
    """For each line, whether its cells make it a row of a table.

    It takes three cells, or two of which the last is a number or that a neighbour has at the same place. Beside a
    row it takes no gaps that one can see: two numbers at the end do.
    """
    counts = [len(line.cells) for line in lines]
    if not any(counts):
        return [False] * len(lines)
    rows = [len(line.cells) > 2 or (len(line.cells) == 2 and is_number(line.cells[1].text)) for line in lines]
    for at, (line, below) in enumerate(pairwise(lines)):
        if counts[at] and counts[at + 1] and _is_near(line, below) and _are_aligned(line, below):
            rows[at] = rows[at + 1] = True
    for at, (line, below) in enumerate(pairwise(lines)):
        if rows[at] != rows[at + 1] and _is_near(line, below):
            other = at + 1 if rows[at] else at
            rows[other] = ends_in_numbers(lines[other].text)
    return rows


def _are_aligned(line: Line, below: Line) -> bool:
    """Whether a cell but the first begins, ends or has its middle where one of the other line does."""
    tolerance = max(line.size, below.size) / 2
    return any(
        abs(one.left - other.left) < tolerance
        or abs(one.right - other.right) < tolerance
        or abs(one.left + one.right - other.left - other.right) < 2 * tolerance
        for one in line.cells[1:]
        for other in below.cells[1:]
    )
