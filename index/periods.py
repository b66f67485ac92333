"""Calendar periods of four grains, as numbers.

A period is (grain, ordinal): its place in the endless row of periods of that grain. So predecessor, year-ago and parts
are additions and multiplications, and any period holds the months `ordinal * n .. ordinal * n + n - 1`, n = months in
the grain:

    2023    year  2023          2023H2  half  2023*2 + 1
    2023Q4  quarter 2023*4 + 3  2023-12 month 2023*12 + 11

Days are epoch days: days since 1970-01-01 of the local calendar, no time zone in them. `index.localtime` ties them to
instants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, NewType

from index.localtime import LocalCalendar

__all__ = ["EpochDay", "Grain", "LocalCalendar", "Period", "month_name"]

EpochDay = NewType("EpochDay", int)

_ORDINAL_OF_1970_01_01 = date(1970, 1, 1).toordinal()
_NAME = re.compile(r"([0-9]{4})(?:H([12])|Q([1-4])|-(0[1-9]|1[0-2]))?")


class Grain(IntEnum):
    """Length of a period, from the coarsest to the finest."""

    YEAR = 0
    HALF = 1
    QUARTER = 2
    MONTH = 3

    @property
    def label(self) -> str:
        """The word used in definitions: `year`, `half`, `quarter`, `month`."""
        return self.name.lower()

    @property
    def per_year(self) -> int:
        """Periods of this grain in a year."""
        return (1, 2, 4, 12)[self]

    @property
    def months(self) -> int:
        """Months in a period of this grain."""
        return (12, 6, 3, 1)[self]

    @classmethod
    def parse(cls, label: str) -> Grain:
        """The grain of that word; ValueError if it is none."""
        try:
            return cls[label.upper()]
        except KeyError:
            raise ValueError(f"{label!r} is no grain; grains are year, half, quarter, month") from None


class Period(NamedTuple):
    """A year, half, quarter or month: `grain` and `ordinal` (see the head of this file)."""

    grain: Grain
    ordinal: int

    @classmethod
    def parse(cls, name: str) -> Period:
        """`2023`, `2023H1`, `2023Q1` or `2023-01`; ValueError for anything else, also for year 0000."""
        return _parse(name)

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        year, part = divmod(self.ordinal, self.grain.per_year)
        if self.grain is Grain.YEAR:
            return f"{year:04d}"
        if self.grain is Grain.MONTH:
            return f"{year:04d}-{part + 1:02d}"
        return f"{year:04d}{'H' if self.grain is Grain.HALF else 'Q'}{part + 1}"

    @property
    def year(self) -> int:
        """The calendar year that contains it."""
        return self.ordinal // self.grain.per_year

    @property
    def predecessor(self) -> Period:
        """The period of the same grain just before."""
        return Period(self.grain, self.ordinal - 1)

    @property
    def successor(self) -> Period:
        """The period of the same grain just after."""
        return Period(self.grain, self.ordinal + 1)

    @property
    def year_ago(self) -> Period:
        """The same period of the year before."""
        return Period(self.grain, self.ordinal - self.grain.per_year)

    @property
    def year_after(self) -> Period:
        """The same period of the next year."""
        return Period(self.grain, self.ordinal + self.grain.per_year)

    def parts(self) -> tuple[Period, ...]:
        """Its direct parts in order: a year's 2 halves, a half's 2 quarters, a quarter's 3 months; a month has none."""
        if self.grain is Grain.MONTH:
            return ()
        finer = Grain(self.grain + 1)
        n = self.grain.months // finer.months
        return tuple(Period(finer, self.ordinal * n + i) for i in range(n))

    def ancestors(self) -> tuple[Period, ...]:
        """Itself first, then the periods that contain it, finest first: month, quarter, half, year."""
        return _ancestors(self)

    def months(self) -> tuple[Period, ...]:
        """The months in it, in order."""
        n = self.grain.months
        return tuple(Period(Grain.MONTH, self.ordinal * n + i) for i in range(n))

    def first_day(self) -> EpochDay:
        """Epoch day of its first day."""
        month = self.ordinal * self.grain.months
        return EpochDay(date(month // 12, month % 12 + 1, 1).toordinal() - _ORDINAL_OF_1970_01_01)

    def days(self) -> range:
        """Its days as epoch days."""
        return range(self.first_day(), self.successor.first_day())

    @property
    def n_days(self) -> int:
        """How many days it has."""
        return self.successor.first_day() - self.first_day()


@lru_cache(maxsize=4096)
def _parse(name: str) -> Period:
    match = _NAME.fullmatch(name)
    if match is None or match[1] == "0000":
        raise ValueError(f"{name!r} is no period; write 2023, 2023H1, 2023Q1 or 2023-01")
    year = int(match[1])
    for grain, part in ((Grain.HALF, match[2]), (Grain.QUARTER, match[3]), (Grain.MONTH, match[4])):
        if part is not None:
            return Period(grain, year * grain.per_year + int(part) - 1)
    return Period(Grain.YEAR, year)


def month_name(day: int) -> str:
    """Name of the month that holds an epoch day."""
    d = date.fromordinal(day + _ORDINAL_OF_1970_01_01)
    return f"{d.year:04d}-{d.month:02d}"


def parse_day(text: str) -> EpochDay:
    """Epoch day of `YYYY-MM-DD`; ValueError if it is no such date."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":  # fromisoformat also reads weeks
        raise ValueError(f"{text!r} is no day; write 2023-01-31")
    return EpochDay(date.fromisoformat(text).toordinal() - _ORDINAL_OF_1970_01_01)


def day_name(day: int) -> str:
    """`YYYY-MM-DD` of an epoch day."""
    return date.fromordinal(day + _ORDINAL_OF_1970_01_01).isoformat()


def grains_of(labels: Iterable[str]) -> tuple[Grain, ...]:
    """The grains of several words, in their order; ValueError as `Grain.parse`."""
    return tuple(Grain.parse(label) for label in labels)


@lru_cache(maxsize=4096)
def _ancestors(period: Period) -> tuple[Period, ...]:
    first_month = period.ordinal * period.grain.months
    return tuple(Period(g, first_month // g.months) for g in map(Grain, range(period.grain, -1, -1)))
