"""Day cells: what each local day added, for comparing an open period with the same days of its predecessor.

A month's days are one block [days, columns, rows], made when its first day cell comes (351 cities, 8 columns: 1.4 MB a
month; the system gives memory to the touched parts only). Summing a year of days for each event would be slow, so a
running sum over the first n days is kept for each period that needs one (`Prefix`); a change adds to it, a further
complete day extends it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.errors import AmountOverflowError
from index.exact import BOUND, add_exactly
from index.localtime import LocalCalendar
from index.periods import Grain, Period


class _Month:
    """`sums` int64, `cells` int32 (how many day cells exist below), each [days, columns * rows]."""

    __slots__ = ("cells", "first", "sums")

    def __init__(self, month: int, n_places: int) -> None:
        period = Period(Grain.MONTH, month)
        self.first = period.first_day()
        self.sums = np.zeros((period.n_days, n_places), np.int64)
        self.cells = np.zeros((period.n_days, n_places), np.int32)


class Prefix:
    """Sums over the days `first <= day < end`: `amounts` int64, `cells` int32, each [columns, rows]."""

    __slots__ = ("amounts", "cells", "end", "first")

    def __init__(self, first: int, n_columns: int, n_rows: int) -> None:
        self.first = first
        self.end = first
        self.amounts = np.zeros((n_columns, n_rows), np.int64)
        self.cells = np.zeros((n_columns, n_rows), np.int32)


class DayProfiles:
    """All day cells of a system, and the prefixes in use."""

    def __init__(self, calendar: LocalCalendar, n_columns: int, n_rows: int) -> None:
        """Empty."""
        self.calendar = calendar
        self._shape = (n_columns, n_rows)
        self._months: dict[int, _Month] = {}
        self._prefixes: dict[tuple[Period, str], Prefix] = {}

    def add(
        self,
        month: int,
        day: NDArray[np.int32],
        places: NDArray[np.int64],
        deltas: NDArray[np.int64],
        new: NDArray[np.int32],
    ) -> None:
        """Add differences of one month (ordinal).

        Places = column * rows + row. AmountOverflowError as in `index.exact`.
        """
        n_places = self._shape[0] * self._shape[1]
        block = self._months.get(month)
        if block is None:
            block = self._months[month] = _Month(month, n_places)
        at = (day - block.first).astype(np.int64) * n_places + places
        any_new = new.any()
        add_exactly(block.sums, at, deltas, "a day")
        if any_new:
            np.add.at(block.cells.reshape(-1), at, new)
        for prefix in self._prefixes.values():
            inside = (day >= prefix.first) & (day < prefix.end)
            if inside.any():
                add_exactly(prefix.amounts, places[inside], deltas[inside], "the days of a period")
                if any_new:
                    np.add.at(prefix.cells.reshape(-1), places[inside], new[inside])

    def prefix(self, period: Period, role: str, n_days: int) -> Prefix:
        """The sums of the first `n_days` days of a period, kept up to date under (period, role) until dropped."""
        first = period.first_day()
        prefix = self._prefixes.get((period, role))
        if prefix is None or first + n_days < prefix.end:  # fewer days than before: a watermark that went back
            prefix = self._prefixes[period, role] = Prefix(first, *self._shape)
        self._extend(prefix, first + n_days)
        return prefix

    def drop(self, period: Period, role: str) -> None:
        """Forget a prefix; nothing happens if there is none."""
        self._prefixes.pop((period, role), None)

    def _extend(self, prefix: Prefix, end: int) -> None:
        """Move the end of a prefix forward; whole runs of days of a month at once."""
        amounts, cells = prefix.amounts.reshape(-1), prefix.cells.reshape(-1)
        day = prefix.end
        while day < end:
            month = int(self.calendar.month_of_day(np.array([day], np.int32))[0])
            month_end = Period(Grain.MONTH, month).successor.first_day()
            block, stop = self._months.get(month), min(end, month_end)
            if block is not None:
                run = slice(day - block.first, stop - block.first)
                amounts += block.sums[run].sum(axis=0)
                cells += block.cells[run].sum(axis=0, dtype=np.int32)
                if not (amounts.min() > -BOUND and amounts.max() < BOUND):
                    raise AmountOverflowError("the days of a period: an amount reached 2^62 units")
            day = stop
        prefix.end = end
