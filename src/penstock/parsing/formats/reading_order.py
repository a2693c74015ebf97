"""The order in which a person reads the lines of a page: pure rules over their places.

A PDF gives text in the order in which it was drawn, which for most programs is the order of reading. So the file's
order stands, but where the places of the lines speak against it: columns drawn as one line, cells of a table
drawn one below the other, boxes drawn in any order (which a recursive XY cut brings into order, after Nagy and Seth,
"Hierarchical representation of optically scanned documents", 1984).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

from penstock.parsing.formats.page_lines import CELL_SEPARATOR, Cell, Line, as_cell, joined, pieces

FEWEST_COLUMN_LINES = 6
"""Lines that a gutter must part before they are taken for columns."""
SHORTEST_COLUMN_LINE = 18
"""Characters, on average."""
TALLEST_CELL = 8
"""Lines of a cell in a table."""
MOST_BOXES = 400
"""More on a page stay in the file's order: they are the labels of a drawing."""

_PROSE = re.compile(r"[^\W\d_]|[(\"'\u201c\u2018]\w")


def reading_order(lines: Sequence[Line]) -> list[Line]:
    """The lines of one page as they are read; cells that belong side by side come as one line with `cells`."""
    ordered = _split_columns(_join_fragments(lines))
    if any(below.top_base > line.base for line, below in pairwise(ordered)):
        return _untangle(ordered)
    return ordered


# ---- pieces of one line ----


def _join_fragments(lines: Sequence[Line]) -> list[Line]:
    """A raised or lowered character makes PDFium begin a new line: such pieces are one again."""
    whole: list[Line] = []
    for line in lines:
        if whole and whole[-1].base - line.top_base < line.size and _goes_on_beside(whole[-1], line):
            whole[-1] = _side_by_side(whole[-1], line)
        else:
            whole.append(line)
    return whole


def _goes_on_beside(line: Line, beside: Line) -> bool:
    size = max(line.size, beside.size)
    return (
        not line.hyphen
        and -0.5 * size < beside.left - line.right < size
        and abs(beside.top_base - line.base) < 0.6 * size
    )


def _side_by_side(line: Line, beside: Line) -> Line:
    longer = max(line, beside, key=lambda each: len(each.text))
    cells: tuple[Cell, ...] = ()
    if line.cells or beside.cells:
        before, after = line.cells or (as_cell(line),), beside.cells or (as_cell(beside),)
        middle = Cell(f"{before[-1].text} {after[0].text}", before[-1].left, after[0].right)
        cells = (*before[:-1], middle, *after[1:])
    return longer._replace(
        text=f"{line.text} {beside.text}", left=line.left, right=beside.right, cells=cells,
        bold=line.bold and beside.bold, hyphen=beside.hyphen,
    )  # fmt: skip


# ---- columns drawn as one line ----


def _split_columns(lines: list[Line]) -> list[Line]:
    """Lines that run across a gutter of columns are parted there, and read column by column."""
    parted = [line for line in lines if line.cells and _PROSE.match(line.cells[-1].text)]
    if len(parted) < FEWEST_COLUMN_LINES:
        return lines
    gutter = _gutter(parted)
    if gutter is None:
        return lines
    ordered: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for line in lines:
        halves = _halves(line, gutter)
        if halves is None:
            ordered += [*_split_columns(left), *_split_columns(right), line]
            left, right = [], []
        else:
            left += halves[0]
            right += halves[1]
    return [*ordered, *_split_columns(left), *_split_columns(right)]


def _gutter(lines: Sequence[Line]) -> float | None:
    """Where most of the lines have a gap, if there is prose on both sides of it."""
    pairs = (pair for line in lines for pair in pairwise(line.cells))
    gaps = [(this.right, following.left) for this, following in pairs if this.right < following.left]
    steps = sorted([(start, 1) for start, _ in gaps] + [(end, -1) for _, end in gaps])
    depths = list(accumulate(step for _, step in steps))
    deepest = depths.index(max(depths, default=0)) if depths else 0
    best = (steps[deepest][0] + steps[deepest + 1][0]) / 2 if depths else 0.0
    halves = [(half[0][0], half[1][0]) for line in lines if (half := _halves(line, best)) and half[0] and half[1]]
    return best if len(halves) >= FEWEST_COLUMN_LINES and all(map(_is_prose, zip(*halves, strict=True))) else None


def _is_prose(column: Sequence[Line]) -> bool:
    """Whether the lines of a column are of sentences: long, beginning with letters, often with small ones."""
    count = len(column)
    return (
        sum(len(line.text) for line in column) >= SHORTEST_COLUMN_LINE * count
        and sum(_PROSE.match(line.text) is not None for line in column) >= 0.7 * count
        and sum(line.text[0].islower() for line in column) >= 0.3 * count
        and sum(len(line.cells) for line in column) <= 0.5 * count
    )


def _halves(line: Line, gutter: float) -> tuple[list[Line], list[Line]] | None:
    """What of the line is on each side of the gutter; None for a line that runs across it."""
    if line.right <= gutter:
        return [line], []
    if line.left >= gutter:
        return [], [line]
    if not line.cells or any(cell.left < gutter < cell.right for cell in line.cells):
        return None
    before = tuple(cell for cell in line.cells if cell.right <= gutter)
    after = line.cells[len(before) :]
    return [_of_cells(line, before)._replace(hyphen=False)], [_of_cells(line, after)]


def _of_cells(line: Line, cells: tuple[Cell, ...]) -> Line:
    text = " ".join(cell.text for cell in cells)
    many = cells if len(cells) > 1 else ()
    return line._replace(
        text=text, left=min(cell.left for cell in cells), right=max(cell.right for cell in cells), cells=many
    )


# ---- boxes ----


@dataclass(frozen=True, slots=True)
class _Stack:
    """Lines drawn one after the other, downwards, each below the one before."""

    lines: list[Line]

    @property
    def left(self) -> float:
        return min(line.left for line in self.lines)

    @property
    def right(self) -> float:
        return max(line.right for line in self.lines)

    @property
    def top(self) -> float:
        return self.lines[0].top_base + self.lines[0].size

    @property
    def bottom(self) -> float:
        return self.lines[-1].base


def _untangle(lines: Sequence[Line]) -> list[Line]:
    stacks = list(_with_rows(list(_stacks(lines))))
    if any(map(_is_disorder, stacks, stacks[1:])):
        boxes = [part for stack in stacks for part in _at_gaps(stack)]
        if len(boxes) <= MOST_BOXES:
            stacks = _cut(boxes)
    return [line for stack in stacks for line in stack.lines]


def _stacks(lines: Sequence[Line]) -> Iterator[_Stack]:
    held: list[Line] = []
    left = right = 0.0
    for line in lines:
        below = held and line.top_base < held[-1].base - 0.2 * line.size
        if below and line.left < right and line.right > left and line.left > left - 4 * line.size:
            held.append(line)
            left, right = min(left, line.left), max(right, line.right)
            continue
        if held:
            yield _Stack(held)
        held, left, right = [line], line.left, line.right
    if held:
        yield _Stack(held)


def _is_disorder(stack: _Stack, following: _Stack) -> bool:
    """Whether the following stack is neither below nor at the right."""
    tolerance = following.lines[0].size / 2
    return following.top - tolerance > stack.bottom + tolerance and following.left < stack.right - tolerance


# ---- cells drawn one after the other ----


def _with_rows(stacks: list[_Stack]) -> Iterator[_Stack]:
    """Stacks side by side that are the cells of a table's row become one line."""
    at = 0
    after_row = False
    while at < len(stacks):
        count, start = _side_by_side_from(stacks, at)
        cells = [_Stack(stacks[at].lines[start:]), *stacks[at + 1 : at + count]]
        after = at + count
        if count > 1 and (count > 2 or after_row or _begins_row(stacks, after)):
            if start:
                yield _Stack(stacks[at].lines[:start])
            yield _Stack([_row(cells)])
            at, after_row = after, True
        else:
            yield stacks[at]
            after_row = len(stacks[at].lines) == 1 and bool(stacks[at].lines[0].cells)
            at += 1


def _begins_row(stacks: list[_Stack], at: int) -> bool:
    if at >= len(stacks):
        return False
    return bool(stacks[at].lines[0].cells) or _side_by_side_from(stacks, at)[0] > 1


def _side_by_side_from(stacks: list[_Stack], at: int) -> tuple[int, int]:
    """How many stacks from `at` on stand side by side as cells of a row, and where in the first its cell begins."""
    if at + 1 >= len(stacks):
        return 1, 0
    start = _cell_start(stacks[at], stacks[at + 1])
    if start is None:
        return 1, 0
    right, top = max(line.right for line in stacks[at].lines[start:]), stacks[at].lines[start].top_base
    bottom, count = stacks[at].bottom, 1
    for stack in stacks[at + 1 :]:
        first, last = stack.lines[0], stack.lines[-1]
        overlaps = first.top_base > bottom - first.size / 2 and last.base < top + first.size / 2
        if len(stack.lines) > TALLEST_CELL or stack.left < right - 1 or not overlaps:
            break
        right, top, bottom = stack.right, max(top, first.top_base), min(bottom, last.base)
        count += 1
    return count, start


def _cell_start(stack: _Stack, beside: _Stack) -> int | None:
    """Which line of the stack begins the cell that has `beside` at its right; None if none does."""
    edge, lines = beside.left, stack.lines
    at = len(lines)
    while at and len(lines) - at <= TALLEST_CELL and lines[at - 1].right <= edge + 1 and not lines[at - 1].cells:
        if at < len(lines) and lines[at - 1].base - lines[at].top_base > 1.5 * lines[at].size:
            break
        at -= 1
    return at if 0 < len(lines) - at <= TALLEST_CELL else None


def _row(stacks: Sequence[_Stack]) -> Line:
    """One line of the cells; each of their words once."""
    lines = [line for stack in stacks for line in stack.lines]
    cells: list[Cell] = []
    for piece in chain.from_iterable(map(pieces, lines)):
        at = next((at for at, cell in enumerate(cells) if cell.left < piece.right and piece.left < cell.right), None)
        if at is None:
            cells.append(piece)
        else:
            over = cells[at]
            left, right = min(over.left, piece.left), max(over.right, piece.right)
            cells[at] = Cell(joined((over.text, piece.text)), left, right)
    cells.sort(key=lambda cell: cell.left)
    return lines[0]._replace(
        text=CELL_SEPARATOR.join(cell.text for cell in cells),
        left=cells[0].left, right=cells[-1].right, cells=tuple(cells) if len(cells) > 1 else (), hyphen=False,
        top_base=max(line.top_base for line in lines), base=min(line.base for line in lines),
        bold=all(line.bold for line in lines), italic=all(line.italic for line in lines),
    )  # fmt: skip


# ---- the XY cut ----


def _at_gaps(stack: _Stack) -> Iterator[_Stack]:
    begin = 0
    for at, (line, below) in enumerate(pairwise(stack.lines), start=1):
        if line.base - below.top_base > 2 * max(line.size, below.size):
            yield _Stack(stack.lines[begin:at])
            begin = at
    yield _Stack(stack.lines[begin:])


def _cut(boxes: list[_Stack]) -> list[_Stack]:
    """Columns from left to right where a gap runs all the way down; else bands from top to bottom."""
    if len(boxes) < 2:
        return boxes
    columns = _columns(boxes)
    if len(columns) > 1:
        return [box for column in columns for box in _cut(column)]
    bands = _bands(boxes)
    if len(bands) == 1:
        return sorted(boxes, key=lambda box: (-box.top, box.left))
    ordered: list[_Stack] = []
    group = bands[0]
    for band in bands[1:]:
        if len(_columns(group + band)) > 1:  # the same gutter goes on
            group = group + band
        else:
            ordered += _cut(group)
            group = band
    return ordered + (_cut(group) if len(group) < len(boxes) else sorted(group, key=lambda box: (-box.top, box.left)))


def _columns(boxes: Sequence[_Stack]) -> list[list[_Stack]]:
    by_left = sorted(boxes, key=lambda box: box.left)
    return list(_parted((box.left, box.right, box) for box in by_left))


def _bands(boxes: Sequence[_Stack]) -> list[list[_Stack]]:
    by_top = sorted(boxes, key=lambda box: -box.top)
    return list(_parted((-box.top, -box.bottom, box) for box in by_top))


def _parted(spans: Iterable[tuple[float, float, _Stack]]) -> Iterator[list[_Stack]]:
    """Parted where no span reaches across; they are sorted by where they begin."""
    held: list[_Stack] = []
    reach = 0.0
    for begin, end, box in spans:
        if held and begin >= reach:
            yield held
            held = []
        reach = max(reach, end) if held else end
        held.append(box)
    if held:
        yield held
