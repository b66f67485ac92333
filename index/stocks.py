"""Stocks: of the levels reported for a period, its parts and by several partitions, the latest counts.

A reported level is an entry (at, source, seq, value), greatest first by (at, source, seq); source is compared by code
point (docs/formats.md section 3). Entries cannot be added up, so every one is kept, with the periods that contain it,
and a change yields the difference between the latest before and after, per containing period. A few microseconds a
change: stocks are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from index.changes import Amounts
from index.periods import Period


class Entry(NamedTuple):
    """A reported level. Tuples compare in the order of the rule: at, then source, then seq."""

    at_us: int
    source: str
    seq: int
    value: int


class _Level:
    """What is reported for one period, city, indicator and industry, in it or in its parts."""

    __slots__ = ("city", "indicator", "industry", "latest", "period", "reports")

    def __init__(self, period: int, city: int, indicator: int, industry: int) -> None:
        self.period = period
        self.city = city
        self.indicator = indicator
        self.industry = industry
        self.reports: list[int] = []
        self.latest: Entry | None = None


class Stocks:
    """All reports of a store, numbered from 0, and the levels that follow from them."""

    def __init__(self, number_of_period: Mapping[Period, int]) -> None:
        """`number_of_period`: the store's numbering; asking for a new period adds it."""
        self._number_of_period = number_of_period
        self._entries: list[Entry | None] = []
        self._levels_of: list[tuple[_Level, ...]] = []
        self._levels: dict[tuple[Period, int, int, int], _Level] = {}

    def open(self, period: Period, city: int, indicator: int, industry: int) -> int:
        """A number for a report of that period; there is nothing in it yet."""
        number = len(self._entries)
        self._entries.append(None)
        levels = []
        for containing in period.ancestors():
            key = (containing, city, indicator, industry)
            level = self._levels.get(key)
            if level is None:
                level = self._levels[key] = _Level(self._number_of_period[containing], city, indicator, industry)
            level.reports.append(number)
            levels.append(level)
        self._levels_of.append(tuple(levels))
        return number

    def present(self, number: int) -> bool:
        """Whether that report holds an entry."""
        return self._entries[number] is not None

    def update(self, entries: Mapping[int, Entry | None]) -> Amounts:
        """Put new entries (None: gone) in place of the old; returns the differences of the levels that changed."""
        touched: dict[int, _Level] = {}
        for number, entry in entries.items():
            if entry != self._entries[number]:
                self._entries[number] = entry
                for level in self._levels_of[number]:
                    touched[id(level)] = level
        changed: list[tuple[_Level, int, int]] = []
        for level in touched.values():
            before = level.latest
            level.latest = after = max((e for r in level.reports if (e := self._entries[r]) is not None), default=None)
            delta = (after.value if after else 0) - (before.value if before else 0)
            new = (after is not None) - (before is not None)
            if delta or new:
                changed.append((level, delta, new))
        return _columns(changed)

    def everything(self) -> Amounts:
        """All levels, as differences from nothing."""
        return _columns([(level, level.latest.value, 1) for level in self._levels.values() if level.latest is not None])


def _columns(changed: list[tuple[_Level, int, int]]) -> Amounts:
    levels = [c[0] for c in changed]
    return Amounts(
        period=np.array([x.period for x in levels], np.int32),
        city=np.array([x.city for x in levels], np.int32),
        indicator=np.array([x.indicator for x in levels], np.int32),
        industry=np.array([x.industry for x in levels], np.int32),
        delta=np.array([c[1] for c in changed], np.int64),
        new=np.array([c[2] for c in changed], np.int8),
    )
