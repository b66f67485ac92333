"""Integer amounts per period, column and row: the state that all values follow from.

A page holds one period of one system. Groups are rows of their own, kept as exact sums of their members: a change of a
cell is added to its city's row (of a merged code: to its successor's) and to those of its groups, in every page whose
period contains it and in each column that it belongs to, at most two: its indicator's, its industry's. Integers, so
nothing is ever recomputed and the order of changes does not matter. 12 bytes per column and row of a page, and 8 per
column that has days (351 cities, 8 columns: 75 kB; 40,000: 6.5 MB).

int64 wraps silently at 2^63. So no sum may reach 2^62, and no batch adds more than 2^61 between two looks at the sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from index.catalogue import Catalogue
from index.changes import Amounts, Changes, DayAmounts, select_amounts, select_days
from index.columns import Columns
from index.days import DayProfiles
from index.exact import add_exactly
from index.layout import Layout, Rows
from index.periods import Grain, Period

_STEP = 2.0**61
_SAFE_CHANGES = int(_STEP) // (2 * 10**15)  # a cell stays below 10^15, so a difference below 2 * 10^15


class Page:
    """One period: `amounts` int64, `cells` int32 (how many cells exist below), each [columns, rows]; `dated` int64 (the
    part of the amounts that has days) [day columns, rows]. `touched`, `touched_days`: rows changed since the board last
    looked, as arrays of rows."""

    __slots__ = ("amounts", "cells", "dated", "name", "period", "touched", "touched_days")

    def __init__(self, period: Period, n_columns: int, n_day_columns: int, n_rows: int) -> None:
        self.period = period
        self.name = period.name
        self.amounts = np.zeros((n_columns, n_rows), np.int64)
        self.cells = np.zeros((n_columns, n_rows), np.int32)
        self.dated = np.zeros((n_day_columns, n_rows), np.int64)
        self.touched: list[Rows] = []
        self.touched_days: list[Rows] = []


class Cube:
    """The pages of a system's grains, made when first needed, and its day profiles."""

    def __init__(self, catalogue: Catalogue, columns: Columns, grains: Sequence[Grain], layout: Layout) -> None:
        """`is_flow`: bool[columns]; `day_columns`: the columns that have days, since they count all industries of a
        flow."""
        self.layout = layout
        self.grains = tuple(grains)
        self.n_columns = len(columns.keys)
        self.pages: dict[Period, Page] = {}
        indicators = [catalogue.indicator_index[code] for code, _ in columns.keys]
        self.is_flow = np.array([catalogue.indicators[i].kind == "flow" for i in indicators], np.bool_)
        whole = np.array([industry is None for _, industry in columns.keys], np.bool_)
        self.day_columns = np.flatnonzero(whole & self.is_flow)
        self._all = np.full(len(catalogue.indicators), -1, np.int64)  # indicator -> its column over all industries
        self._day = np.full(len(catalogue.indicators), -1, np.int64)  # indicator -> place among the day columns
        sizes = [len(codes) for codes in catalogue.industry_codes]
        self._first = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        self._one = np.full(self._first[-1], -1, np.int64)  # (indicator, industry), flat -> its column
        for column, (indicator, (_, industry)) in enumerate(zip(indicators, columns.keys, strict=True)):
            if industry is None:
                self._all[indicator] = column
            else:
                self._one[self._first[indicator] + catalogue.industry_index[indicator][industry]] = column
        for place, column in enumerate(self.day_columns.tolist()):
            self._day[indicators[column]] = place
        self._industries = not whole.all()
        self.days = DayProfiles(catalogue.calendar, len(self.day_columns), layout.size)

    def page(self, period: Period) -> Page:
        """The page of a period, empty if there was none."""
        page = self.pages.get(period)
        if page is None:
            page = self.pages[period] = Page(period, self.n_columns, len(self.day_columns), self.layout.size)
        return page

    def apply(self, changes: Changes) -> None:
        """Add differences and note the rows that they touch. AmountOverflowError when a sum leaves the exact range."""
        containing = [[p for p in period.ancestors() if p.grain in self.grains] for period in changes.periods]
        exactly = [[p] if p.grain in self.grains else [] for p in changes.periods]
        months = np.array([p.ordinal * p.grain.months for p in changes.periods], np.int32)
        for part in _safe_steps(changes.flows.delta):
            self._add(select_amounts(changes.flows, part), containing, months)
        for part in _safe_steps(changes.levels.delta):
            self._add(select_amounts(changes.levels, part), exactly, months)
        for part in _safe_steps(changes.days.delta):
            self._add_days(select_days(changes.days, part))

    def _add(self, changes: Amounts, targets: Sequence[Sequence[Period]], months: NDArray[np.int32]) -> None:
        column = self._all[changes.indicator]
        if self._industries:
            one = self._one[self._first[changes.indicator] + changes.industry]
            both = np.concatenate((np.flatnonzero(column >= 0), np.flatnonzero(one >= 0)))
            column, changes = np.concatenate((column, one)), select_amounts(changes, both)
            column = column[column >= 0]
        elif (column < 0).any():
            ours = column >= 0
            changes, column = select_amounts(changes, ours), column[ours]
        if not len(column):
            return
        city = changes.city
        if self.layout.mergers:
            city = self.layout.mergers.counted_for(city, months[changes.period])
        which, rows = self.layout.spread(city)
        place = column[which] * self.layout.size + rows
        delta, new = changes.delta[which], changes.new[which].astype(np.int32)
        for number, chosen in _by(changes.period[which]):
            for period in targets[number]:
                page = self.page(period)
                add_exactly(page.amounts, place[chosen], delta[chosen], page.name)
                if new.any():
                    np.add.at(page.cells.reshape(-1), place[chosen], new[chosen])
                page.touched.append(rows[chosen])

    def _add_days(self, changes: DayAmounts) -> None:
        column = self._day[changes.indicator]
        if (column < 0).any():
            ours = column >= 0
            changes, column = select_days(changes, ours), column[ours]
        if not len(column):
            return
        city, month = changes.city, self.days.calendar.month_of_day(changes.day)
        if self.layout.mergers:
            city = self.layout.mergers.counted_for(city, month)
        which, rows = self.layout.spread(city)
        place = column[which] * self.layout.size + rows
        day, delta, new = changes.day[which], changes.delta[which], changes.new[which].astype(np.int32)
        for number, chosen in _by(month[which]):
            self.days.add(number, day[chosen], place[chosen], delta[chosen], new[chosen])
            for period in Period(Grain.MONTH, number).ancestors():
                if period.grain in self.grains:
                    page = self.page(period)
                    add_exactly(page.dated, place[chosen], delta[chosen], page.name)
                    page.touched_days.append(rows[chosen])


def _by(keys: NDArray[np.int32]) -> Iterator[tuple[int, slice | NDArray[np.int64]]]:
    """(key, which places hold it), for each different key."""
    first = int(keys[0])
    if (keys == first).all():
        yield first, slice(None)
        return
    order = np.argsort(keys, kind="stable")
    different, starts = np.unique(keys[order], return_index=True)
    yield from zip(different.tolist(), np.split(order, starts[1:]), strict=True)


def _safe_steps(delta: NDArray[np.int64]) -> list[slice]:
    """Portions of changes, none of which can move a sum by more than 2^61. Nearly always that is one."""
    n = len(delta)
    if n <= _SAFE_CHANGES or float(np.abs(delta).sum(dtype=np.float64)) < _STEP:
        return [slice(None)]
    return [slice(start, start + _SAFE_CHANGES) for start in range(0, n, _SAFE_CHANGES)]
