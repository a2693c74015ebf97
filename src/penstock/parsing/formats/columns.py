"""Which rows of a sheet name its columns: a sheet says so of its tables only, and most have none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

_NUMBER = re.compile(r"[-+(]*[^\w\s]{0,3}\s?\d[\d.,'\s:/-]*\s?[^\w\s]{0,3}\)?")
"""An amount, a share, a date, a time; with a sign of currency or without."""
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a sheet as it is shown."""

    number: int
    """From 1; rows that are left out count."""
    texts: Sequence[str]

    @property
    def filled(self) -> list[str]:
        return [text for text in self.texts if text]


def with_names(rows: Iterable[Row], known: Collection[int] = ()) -> Iterator[tuple[Row, bool]]:
    """Each row and whether it names the columns of those below it.

    These are the rows whose numbers are `known`, and else the first of each block of rows without a gap, if it holds
    words or years only and the row right below has several cells, too.
    """
    inside = False
    end: list[Row | None] = [None]
    previous = 0
    for row, following in pairwise(chain(rows, end)):
        if row is None:
            return
        is_table = len(row.filled) > 1
        starts = is_table and (not inside or row.number > previous + 1)
        yield row, row.number in known or (starts and _could_name(row) and _goes_on(row, following))
        inside, previous = is_table, row.number


def _goes_on(row: Row, following: Row | None) -> bool:
    return following is not None and following.number == row.number + 1 and len(following.filled) > 1


def _could_name(row: Row) -> bool:
    """Words; also years beside words, or beside the empty corner above the names of the rows."""
    amounts = [text for text in row.filled if _NUMBER.fullmatch(text)]
    return not amounts or (
        all(_YEAR.fullmatch(text) for text in amounts) and (len(amounts) < len(row.filled) or not row.texts[0])
    )
